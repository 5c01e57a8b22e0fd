"""The ``cemag`` command. Bad input is one printed line and exit status 2; a failed run or build is 1."""

from cemag.cli.app import main

__all__ = ["main"]
