"""Factors from files of plain numbers: nothing is ever unpickled. Reads the files it is given."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cemag.embeddings import KernelFeatures
from cemag.embeddings.factors import Factors, factors
from cemag.embeddings.tables import named_rows, read_csv, read_text, typed
from cemag.errors import CemagError, check_known

__all__ = ["load_factors"]

Path_ = str | os.PathLike[str]
TABLES = (".parquet", ".csv")
ARRAYS = (".npy", ".npz", *TABLES)
STORED = (
    *("features", "weights", "bias", "labels", "classes", "class_names", "feature_names"),
    *("model_name", "kind", "notes", "kernel_inputs", "kernel_support_vectors", "kernel_gamma"),
)
MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04"}
PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt")


def load_factors(
    features: Path_,
    weights: Path_ | None = None,
    labels: Path_ | None = None,
    bias: Path_ | None = None,
    names: Path_ | None = None,
    *,
    label_column: str = "label",
    model_name: str | None = None,
) -> Factors:
    """Read factors from files: one ``.npz`` with everything, or a file for each part.

    Parameters
    ----------
    features : path
        ``.npy``, ``.parquet`` or ``.csv`` of shape (N, d); or an ``.npz`` with the arrays `features`,
        `weights`, `labels` and, optionally, `bias`, `classes`, `class_names`, `feature_names`,
        `model_name`, as `Factors.save` writes it. A ``.npy`` is mapped, not read.
    weights : path, optional
        ``.npy``, ``.parquet`` or ``.csv`` of shape (C, d). Needed unless `features` is an ``.npz``
        that has them; a file given beside an ``.npz`` replaces what is in it. Columns are matched with
        those of `features` by name.
    labels : path, optional
        ``.npy``, ``.parquet`` or ``.csv`` with N labels, one a line, with or without a header. When
        not given, `label_column` of the table in `features`. A label that reads like a class name is
        that class, whatever else it may look like.
    bias : path, optional
        ``.npy`` or table with C numbers; zero when not given.
    names : path, optional
        ``.json`` with `class_names`, `feature_names` and `classes` (any of them), or ``.txt`` with the
        name of one class a line.
    label_column : str, default="label"
        Name of the column of labels where a table has several columns.
    model_name : str, optional
        What a report calls the model; the name of the features' file when not given.

    Returns
    -------
    Factors
        Checked as `factors` checks them.

    Raises
    ------
    CemagError
        If a file is missing, holds pickled objects, or is of a kind that is not read.
    DataError
        If what it holds does not fit.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = factors([[1.0, 0.0]], np.eye(2), labels=[0]).save(Path(folder) / "factors.npz")
    ...     load_factors(path).ce.logits()
    array([[1., 0.]])
    """
    path = Path(features)
    text = label_column if labels is None else None
    found: dict[str, Any] = (
        _archive(path) if path.suffix == ".npz" else {"features": _read(path, "features", text=text)}
    )
    if isinstance(found.get("features"), pd.DataFrame) and labels is None:
        found["labels"] = _take_labels(path, found, label_column)
    found["features"] = _kernel_or_features(path, found)
    if weights is not None:
        found["weights"] = _part(Path(weights), "weights")
    if bias is not None:
        n_rows = len(found["weights"]) if np.ndim(found.get("weights", 0)) == 2 else 1
        found["bias"] = _bias(Path(bias), n_rows)
    if labels is not None:
        n_rows = int(found["features"].shape[0]) if np.ndim(found["features"]) else 1
        found["labels"] = _labels(Path(labels), label_column, n_rows)
    if names is not None:
        found |= _names(Path(names))
    if isinstance(found.get("labels"), pd.Series) and pd.api.types.is_string_dtype(found["labels"]):
        found["labels"] = _as_classes(found["labels"], found.get("class_names"))
    given = found.get("labels")
    in_text = labels is not None and Path(labels).suffix == ".csv"
    if in_text and isinstance(given, pd.Series) and isinstance(given.index, pd.RangeIndex):
        found["labels"] = given.to_numpy()  # rows of a file without an index have no names
    for role in ("weights", "labels"):
        if found.get(role) is None:
            raise CemagError(f"{path} holds no {role}: give {role}=PATH ({', '.join(ARRAYS)})")
    found["model_name"] = model_name or str(found.get("model_name", path.stem))
    found["kind"] = str(found.get("kind", "latent feature"))
    return factors(**{name: value for name, value in found.items() if value is not None})


# ---------------------------------------------------------------------- one file


def _refuse(path: Path, role: str) -> None:
    if path.suffix in PICKLES:
        raise CemagError(
            f"{path}: {path.suffix} files run code when they are opened and are never read; "
            f"save {role} as one of {', '.join(ARRAYS)}"
        )
    if path.suffix not in ARRAYS:
        raise CemagError(f"{path}: {role} are read from {', '.join(ARRAYS)}")
    if not path.is_file():
        raise CemagError(f"{path}: no such file")
    with path.open("rb") as file:  # numpy takes any other file for a pickle
        if not file.read(8).startswith(MAGIC.get(path.suffix, b"")):
            raise CemagError(f"{path}: not a readable {path.suffix} file (it starts as none does)")


def _read(path: Path, role: str, *, text: str | None = None, n_rows: int | None = None) -> Any:
    """Return a mapped array, or a table."""
    _refuse(path, role)
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npz":
            return _archive(path).get(role)
        if path.suffix == ".csv":
            return read_csv(path, role, text=text, n_rows=n_rows)
        return pd.read_parquet(path)
    except CemagError:
        raise
    except Exception as error:  # a damaged file makes its reader raise anything
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> CemagError:
    if any(text in str(error) for text in ("allow_pickle", "Object arrays", "Python objects")):
        return CemagError(f"{path}: holds pickled objects, which are never read; save numbers or strings")
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return CemagError(f"{path}: not a readable {path.suffix} file ({first})")


def _part(path: Path, role: str, n_rows: int | None = None) -> Any:
    read = _read(path, role, n_rows=n_rows)
    if read is None:
        raise CemagError(f"{path}: holds no array named {role!r}")
    return read


def _bias(path: Path, n_rows: int) -> Any:
    """One number a row of weights, from a column or a row of a table."""
    read = _part(path, "bias", n_rows)
    if not isinstance(read, pd.DataFrame):
        return np.ravel(read)
    read = named_rows("bias", read)
    return read.iloc[:, 0] if read.shape[1] == 1 else read.to_numpy().ravel()


def _archive(path: Path) -> dict[str, Any]:
    """Return the arrays of an ``.npz`` under the names that `factors` takes."""
    _refuse(path, "factors")
    try:
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                check_known(f"array in {path}", name, STORED)
            found = {name: file[name] for name in file.files}
    except CemagError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    for name in ("class_names", "feature_names", "notes"):
        if name in found:
            found[name] = [str(one) for one in np.atleast_1d(found[name])]
    return found


def _kernel_or_features(path: Path, found: dict[str, Any]) -> Any:
    kernel = [found.pop(f"kernel_{part}", None) for part in ("inputs", "support_vectors", "gamma")]
    if all(part is not None for part in kernel):
        if np.size(kernel[2]) != 1:
            raise CemagError(f"{path}: kernel_gamma has shape {np.shape(kernel[2])}: one number is needed")
        return KernelFeatures(kernel[0], kernel[1], float(np.ravel(kernel[2])[0]))
    if found.get("features") is None:
        raise CemagError(f"{path}: holds no array named 'features'")
    return found["features"]


# ---------------------------------------------------------------------- labels and names


def _take_labels(path: Path, found: dict[str, Any], label_column: str) -> pd.Series:
    table = found["features"]
    if label_column not in table.columns:
        check_known(f"column of labels in {path}", label_column, [str(column) for column in table.columns])
    found["features"] = table.drop(columns=label_column)
    return table[label_column]


def _labels(path: Path, label_column: str, n_rows: int) -> Any:
    if path.suffix == ".csv":
        _refuse(path, "labels")
        try:
            read = read_text(path, n_rows)
        except CemagError:
            raise
        except (ValueError, OSError) as error:
            raise _unreadable(path, error) from None
    else:
        read = _read(path, "labels")
        if not isinstance(read, pd.DataFrame):
            return np.asarray(read)
        read = named_rows("labels", read)
    if read.shape[1] > 1 and label_column not in read.columns:
        check_known(f"column of labels in {path}", label_column, [str(column) for column in read.columns])
    return read[label_column] if label_column in read.columns else read.iloc[:, 0]


def _as_classes(labels: pd.Series, class_names: list[str] | None) -> pd.Series:
    """Texts as the names that they are, else as the numbers or truth values that they all read like."""
    texts = labels.str.strip()
    if class_names is not None and set(texts) <= {str(one) for one in class_names}:
        return texts
    return pd.Series(typed(texts), index=labels.index)


def _names(path: Path) -> dict[str, list[str]]:
    if not path.is_file():
        raise CemagError(f"{path}: no such file")
    if path.suffix not in (".json", ".txt"):
        raise CemagError(f"{path}: names are read from .json or .txt")
    try:
        text = path.read_text("utf-8-sig")
    except (ValueError, OSError) as error:
        raise CemagError(f"{path}: not text in UTF-8 ({error})") from None
    if path.suffix == ".txt":
        return {"class_names": [line.strip() for line in text.splitlines() if line.strip()]}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CemagError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(found, Mapping):
        raise CemagError(f"{path}: an object with class_names and feature_names is needed")
    for name, value in found.items():
        check_known(f"name in {path}", name, ("class_names", "feature_names", "classes"))
        if not isinstance(value, list):
            raise CemagError(f"{path}: {name} must be a list")
        if not all(isinstance(one, str | int | float) for one in value):
            raise CemagError(f"{path}: {name} must hold strings or numbers alone")
    return dict(found)
