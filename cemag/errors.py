"""The errors that bad input raises: one line, naming the thing, its value and what is allowed.

Touches nothing. The command line turns each of them into one printed line and exit status 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CemagError",
    "DataError",
    "NotebookError",
    "SpecError",
    "StoreError",
    "UnknownNameError",
    "check_known",
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
