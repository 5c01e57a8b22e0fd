"""``python -m cemag``: the same as the ``cemag`` command."""

from cemag.cli import main

if __name__ == "__main__":
    main()
