"""load_tabular: a tabular data set, verified against the registry. Reads a file; may download one."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError, one_line
from cemag.reproduction.datasets.registry import DatasetInfo, get_dataset_info
from cemag.reproduction.datasets.sources import obtain

__all__ = ["TabularDataset", "content_fingerprint", "load_tabular"]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

DECIMALS = 8
SHORT = 12  # digits of a fingerprint that an error shows


@dataclass(frozen=True, eq=False)
class TabularDataset:
    """A binary tabular data set, as its source has it: neither thinned, nor split, nor scaled.

    Attributes
    ----------
    info : DatasetInfo
    X : ndarray of shape (n, d), float64, read-only
        Rounded to 8 decimals, so that it is a function of the fingerprint.
    y : ndarray of shape (n,), int64, read-only
        0 for the majority class, 1 for the minority.
    fingerprint : str

    Examples
    --------
    >>> data = load_tabular("digits")
    >>> data.X.shape, int(data.y.sum())
    ((1797, 64), 174)
    """

    info: DatasetInfo
    X: Array
    y: Labels
    fingerprint: str


def content_fingerprint(X: ArrayLike, y: ArrayLike) -> str:
    """SHA-256 of what a data set says, whatever file it came in.

    Values count to 8 decimals, so that a file rebuilt from the original text, with other bytes and
    other last bits, has the same fingerprint. The order of the rows counts: folds depend on it.

    Parameters
    ----------
    X : array-like of shape (n, d)
    y : array-like of shape (n,)
        Labels that fit an 8-bit integer.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> content_fingerprint([[0.1]], [0]) == content_fingerprint([[0.1 + 1e-12]], [0])
    True
    >>> content_fingerprint([[0.0]], [0]) == content_fingerprint([[-0.0]], [0])
    True
    """
    values = np.ascontiguousarray(_rounded(np.asarray(X, dtype=np.float64)), dtype="<f8")
    digest = hashlib.sha256("x".join(map(str, values.shape)).encode())
    digest.update(values.tobytes())
    digest.update(np.asarray(y).astype(np.int8).tobytes())
    return digest.hexdigest()


def load_tabular(name: str, data_home: str | os.PathLike[str] | None = None) -> TabularDataset:
    """Load a tabular data set and verify its content against the registry.

    Repeated calls in one process return the same arrays, unless the file has changed.

    Parameters
    ----------
    name : str
        Name in `DATASETS`.
    data_home : path, optional
        Folder to read from, and nowhere else. By default ``$CEMAG_DATA`` if it holds the file, else the
        per-user cache, into which a missing set is downloaded.

    Returns
    -------
    TabularDataset

    Raises
    ------
    UnknownNameError
        If there is no such set.
    DataError
        If its file is missing and cannot be downloaded, or is cut short or altered, or holds NaN.

    Examples
    --------
    >>> load_tabular("breast_cancer").info.positive
    'a malignant tumour'
    """
    info = get_dataset_info(name)
    path = obtain(name, data_home)
    if path is None:
        return _load(name, None, ())
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(_damaged(info, path, error)) from error
    return _load(name, path.absolute(), (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=8)
def _load(name: str, path: Path | None, stamp: tuple[int, ...]) -> TabularDataset:
    """Read and verify; `stamp` is there so that a changed file is read again."""
    info = get_dataset_info(name)
    X, minority = _read_embedded(name) if path is None else _read_file(info, path)
    where = "scikit-learn's copy" if path is None else str(path)
    if bad := int(np.count_nonzero(~np.isfinite(X))):
        raise DataError(f"{name}: {where} holds {bad} NaN or infinite values: every value must be finite")
    X, y = _rounded(X), minority.astype(np.int64)
    fingerprint = content_fingerprint(X, y)
    if fingerprint != info.fingerprint:
        raise DataError(
            f"{name}: content of {where} is not what the registry records "
            f"(fingerprint {fingerprint[:SHORT]}, expected {info.fingerprint[:SHORT]}): {_remedy(path)}"
        )
    X.flags.writeable = y.flags.writeable = False
    return TabularDataset(info, X, y, fingerprint)


def _read_embedded(name: str) -> tuple[Array, NDArray[np.bool_]]:
    from sklearn.datasets import load_breast_cancer, load_digits

    if name == "breast_cancer":
        X, y = load_breast_cancer(return_X_y=True)
        return X, y == 0
    X, y = load_digits(return_X_y=True)
    return X, y == 8


def _read_file(info: DatasetInfo, path: Path) -> tuple[Array, NDArray[np.bool_]]:
    """Read imbalanced-learn's layout with NumPy alone: importing imblearn would cost a second a process."""
    try:
        with np.load(path, allow_pickle=False) as members:
            X = np.ascontiguousarray(members["data"], dtype=np.float64)
            labels = np.asarray(members["label"])
    except Exception as error:  # on damaged bytes zipfile and NumPy raise some ten kinds between them
        raise DataError(_damaged(info, path, error)) from error
    if X.ndim != 2 or labels.shape != X.shape[:1]:
        raise DataError(
            f"{info.name}: {path} holds data of shape {X.shape} and labels of shape {labels.shape}: "
            f"{_remedy(path)}"
        )
    if not np.isin(labels, (-1, 1)).all():
        raise DataError(f"{info.name}: {path} holds labels other than -1 and 1: {_remedy(path)}")
    return X, labels == 1


def _rounded(X: Array) -> Array:
    return np.round(X, DECIMALS) + 0.0  # adding zero turns -0.0 into 0.0


def _damaged(info: DatasetInfo, path: Path, error: Exception) -> str:
    return (
        f"{info.name}: cannot read {path}, which is cut short or damaged ({one_line(error)}): {_remedy(path)}"
    )


def _remedy(path: Path | None) -> str:
    if path is None:
        return "install a version of scikit-learn in the range that cemag declares"
    return "restore the file, or delete it to have it downloaded"
