"""Numbers and labels from anywhere (numpy, torch, pandas, scipy) as checked arrays.

Only values in hand are touched; torch and scipy are recognised without being imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError

__all__ = [
    "as_array",
    "class_labels",
    "label_positions",
    "listed",
    "names_of",
    "not_finite",
    "numbers",
    "rows_of",
]

BLOCK = 1 << 22  # values tested for NaN at a time: a mapped file is never read whole
DENSE_BYTES = 8 << 30  # a sparse matrix above this (as float64) would fill an ordinary machine
LISTED = 12


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Return values as a numpy array, without a copy where the source allows it.

    Parameters
    ----------
    name : str
        What the values are, for the message.
    values : array_like, torch.Tensor, pandas object or scipy sparse matrix
        A tensor may be on any device and need gradients; a sparse matrix is made dense.

    Raises
    ------
    DataError
        If rows have different lengths, or a sparse matrix is too large to be made dense.

    Examples
    --------
    >>> as_array("weights", [[1, 2]]).shape
    (1, 2)
    """
    if callable(getattr(values, "detach", None)):
        tensor = values.detach().cpu()
        # numpy has no bfloat16
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    if callable(getattr(values, "toarray", None)):
        size = 8 * int(np.prod(values.shape, dtype=np.int64))
        if size > DENSE_BYTES:
            raise DataError(
                f"{name} is sparse with shape {tuple(values.shape)}: dense it takes {size / 2**30:.0f} GiB, "
                f"and at most {DENSE_BYTES >> 30} are allowed; give fewer rows"
            )
        return np.asarray(values.toarray())
    if isinstance(values, pd.DataFrame | pd.Series | pd.Index):
        return values.to_numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(f"{name} has rows of different lengths: a plain array is needed") from None


def rows_of(name: str, values: Any) -> Any:
    """Return a feature matrix: sparse as it is, anything else as an array.

    Examples
    --------
    >>> rows_of("features", [[1, 2]]).shape
    (1, 2)
    """
    return values if callable(getattr(values, "tocsr", None)) else as_array(name, values)


def numbers(name: str, values: Any, ndim: int) -> NDArray[Any]:
    """Return real numbers of `ndim` dimensions in their own dtype, refusing NaN and infinity.

    Raises
    ------
    DataError
        If the values are no numbers, have another number of dimensions, or are not all finite (counted,
        with the place of the first).

    Examples
    --------
    >>> numbers("features", [[1.0, float("nan")]], 2)
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: features holds 1 NaN and 0 infinite values, the first in row 0, column 1
    """
    array = as_array(name, values)
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{name} holds values that are not numbers{_where_not(values)}") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} is of dtype {array.dtype}: real numbers are needed")
    if array.ndim != ndim:
        raise DataError(f"{name} has shape {array.shape}: {ndim} dimension(s) are needed")
    if array.dtype.kind == "f" and (found := not_finite(array)):
        raise DataError(f"{name} holds {found}")
    return array


def _where_not(values: Any) -> str:
    """The columns of a table that are no numbers."""
    if not isinstance(values, pd.DataFrame):
        return ""
    bad = [
        str(column)
        for place, column in enumerate(values.columns)
        if pd.to_numeric(values.iloc[:, place], errors="coerce").isna().any()
    ]
    return f" in column {', '.join(map(repr, bad[:LISTED]))}" if bad else ""


def not_finite(array: NDArray[Any]) -> str:
    """Say how many NaN and infinite values an array holds and where the first is; empty where there are none.

    Examples
    --------
    >>> not_finite(np.array([[1.0, np.nan], [np.inf, np.nan]]))
    '2 NaN and 1 infinite values, the first in row 0, column 1'
    """
    step = max(1, BLOCK // max(1, array[:1].size))
    n_nan, n_infinite, first = 0, 0, None
    for start in range(0, len(array), step):
        block = array[start : start + step]
        fine = np.isfinite(block)
        if fine.all():
            continue
        n_nan += int(np.isnan(block).sum())
        n_infinite += int(np.isinf(block).sum())
        if first is None:
            place = np.argwhere(~fine)[0]
            first = place[0] + start, *place[1:]
    if first is None:
        return ""
    axes = zip(("row", "column") if array.ndim == 2 else ("place",), first, strict=True)
    where = ", ".join(f"{axis} {index}" for axis, index in axes)
    return f"{n_nan} NaN and {n_infinite} infinite values, the first in {where}"


def class_labels(classes: Any, n_classes: int) -> NDArray[Any]:
    """Return the labels of the classes (n_classes,) as numbers or as strings; 0, 1, ... for None.

    Raises
    ------
    DataError
        If their number is another, one occurs twice, or numbers and strings are mixed.

    Examples
    --------
    >>> class_labels(["cat", "dog"], 2).dtype.kind
    'U'
    """
    if classes is None:
        return np.arange(n_classes)
    labels = as_array("classes", classes)
    if labels.shape != (n_classes,):
        found = f"{len(labels)} labels" if labels.ndim == 1 else f"shape {labels.shape}"
        raise DataError(f"classes has {found}: the weights have {n_classes} classes")
    if labels.dtype == object:
        texts = [isinstance(label, str) for label in labels]
        if any(texts) and not all(texts):
            raise DataError(f"classes mixes strings and other values: {labels.tolist()}")
        labels = np.array(labels.tolist())
        if labels.dtype == object:
            raise DataError(f"classes holds values that are neither numbers nor strings: {labels.tolist()}")
    if len(np.unique(labels)) != n_classes:
        raise DataError(f"classes holds a label twice: {listed(labels)}")
    return labels


def names_of(name: str, names: Sequence[str] | None, default: Sequence[str], of_what: str) -> tuple[str, ...]:
    """Return names as a tuple of strings, or the default ones for None.

    Raises
    ------
    DataError
        If there are more or fewer than the default has.

    Examples
    --------
    >>> names_of("class_names", None, ["0", "1"], "classes")
    ('0', '1')
    """
    if names is None:
        return tuple(default)
    if isinstance(names, str):
        raise DataError(f"{name} is the string {names!r}: a list of names is needed")
    given = tuple(str(one) for one in names)
    if len(given) != len(default):
        raise DataError(
            f"{name} has {len(given)} names: {len(default)} are needed, one for each of the {of_what}"
        )
    return given


def label_positions(
    labels: Any, classes: NDArray[Any], class_names: Sequence[str], n_rows: int
) -> NDArray[np.intp]:
    """Index into `classes` of every label (N,); strings beside numbered classes are class names.

    Raises
    ------
    DataError
        If there is not one label a row, or a label is no class (the first is named, with its row).

    Examples
    --------
    >>> label_positions(["dog", "cat"], np.arange(2), ["cat", "dog"], 2)
    array([1, 0])
    """
    if labels is None:
        raise DataError("labels are missing: the true class of every row is needed")
    given = as_array("labels", labels)
    if given.shape != (n_rows,):
        raise DataError(f"labels has shape {given.shape}: ({n_rows},) is needed, one a row of features")
    known: Any = classes
    if classes.dtype.kind != "U" and (pd.api.types.is_string_dtype(given) or _read_like(given, class_names)):
        known, given = np.array(class_names), given.astype(str)
    # numbers and strings must not meet as equal: "1" is not 1
    found = pd.Index(_plain(known)).get_indexer(pd.Index(_plain(given)))
    if (wrong := found < 0).any():
        row = int(wrong.argmax())
        value = given[row].item() if isinstance(given[row], np.generic) else given[row]
        raise DataError(
            f"labels holds {value!r} in row {row}, which is not one of the {len(known)} classes: "
            f"{listed(known)}"
        )
    return found.astype(np.intp)


def _read_like(labels: NDArray[Any], class_names: Sequence[str]) -> bool:
    """Whether truth values read like names of classes."""
    return labels.dtype.kind == "b" and {"True", "False"} == set(class_names)


def _plain(labels: NDArray[Any]) -> NDArray[Any]:
    """Truth values as the numbers 0 and 1, which they equal everywhere but in an index of pandas."""
    return labels.astype(np.int64) if labels.dtype.kind == "b" else labels


def listed(values: ArrayLike) -> str:
    """Return the values as they are typed: a range where they are one, the first few where they are many.

    Examples
    --------
    >>> listed(np.arange(1000)), listed(["a", "b"])
    ('0 to 999', "'a', 'b'")
    """
    given = np.asarray(values)
    if given.dtype.kind in "iu" and len(given) > 2 and (np.diff(given.astype(np.int64)) == 1).all():
        return f"{given[0]} to {given[-1]}"
    shown = ", ".join(repr(value) for value in given[:LISTED].tolist())
    return shown + (", ..." if len(given) > LISTED else "")
