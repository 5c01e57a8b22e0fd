"""The errors that bad input raises: one line, naming the thing, its value and what is allowed.

Touches nothing. The command line turns each of them into one printed line and exit status 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "CemagError",
    "DataError",
    "MissingExtraError",
    "NotebookError",
    "SpecError",
    "StoreError",
    "UnknownNameError",
    "check_known",
    "extra",
    "one_line",
]


class CemagError(ValueError):
    """Base of every error that cemag raises for bad input."""


class UnknownNameError(CemagError):
    """A data set, augmenter, model, parameter or profile that is not in its registry."""


class SpecError(CemagError):
    """A run specification with a wrong type, range or combination of fields."""


class DataError(CemagError):
    """A data set that is missing, cut short, altered or unfit for what is asked of it."""


class StoreError(CemagError):
    """A stored record that is damaged or does not belong where it lies."""


class NotebookError(CemagError):
    """A notebook that failed, with the cell that did."""


class MissingExtraError(CemagError, ImportError):
    """A package that only an extra of cemag installs, and that is not installed."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra of cemag brings the packages that are imported in this block, if one is missing.

    Parameters
    ----------
    name : str
        The extra, as ``pyproject.toml`` spells it.

    Raises
    ------
    MissingExtraError
        In one line, which is also an ``ImportError``.

    Examples
    --------
    >>> with extra("torch"):
    ...     import a_package_that_is_nowhere
    Traceback (most recent call last):
    ...
    cemag.errors.MissingExtraError: a_package_that_is_nowhere is not installed: pip install "cemag[torch]"
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or str(error)).split(".")[0]
        if missing == "cemag":
            raise
        raise MissingExtraError(f'{missing} is not installed: pip install "cemag[{name}]"') from None


def one_line(error: BaseException, limit: int = 200) -> str:
    r"""What an exception says, in one line: of the file system the reason alone, else its text or its type.

    Examples
    --------
    >>> one_line(ValueError("two\n  lines")), one_line(KeyError())
    ('two lines', 'KeyError')
    >>> one_line(FileNotFoundError(2, "No such file", "a"))
    'No such file'
    """
    text = (isinstance(error, OSError) and error.strerror) or str(error)
    return " ".join(text.split())[:limit] or type(error).__name__


def check_known(kind: str, value: str, known: Iterable[str]) -> str:
    """Return `value` if it is one of `known`, else raise with the nearest known name.

    Parameters
    ----------
    kind : str
        What `value` names, as the reader calls it: ``"data set"``, ``"augmenter"``.
    value : str
        The name to check.
    known : iterable of str
        The allowed names, in the order in which to list them.

    Returns
    -------
    str
        `value`, unchanged.

    Raises
    ------
    UnknownNameError
        If `value` is not in `known`.

    Examples
    --------
    >>> check_known("augmenter", "smoet", ["none", "smote", "adasyn"])
    Traceback (most recent call last):
    ...
    cemag.errors.UnknownNameError: unknown augmenter 'smoet': did you mean 'smote'? known: none, smote, adasyn
    """
    names = list(known)
    if value in names:
        return value
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownNameError(f"unknown {kind} {value!r}: {hint}known: {', '.join(names)}")
