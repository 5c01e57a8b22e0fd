"""Factors: the CEs of one model on labelled instances, with the names under which a report shows them.

Touches the arrays it is given, and the one file that `Factors.save` writes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings, KernelFeatures
from cemag.embeddings.arrays import as_array, class_labels, label_positions, listed, names_of, numbers
from cemag.embeddings.features import SparseFeatures
from cemag.embeddings.tables import aligned_columns, column_names, named_rows, row_names, same_order
from cemag.errors import CemagError, DataError, check_known
from cemag.files import written_whole

__all__ = ["KINDS", "Factors", "Kind", "factors"]

Kind = Literal["input column", "latent feature", "support vector"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT_NAMES = {"input column": "x", "latent feature": "feature ", "support vector": "support vector "}


@dataclass(frozen=True, eq=False)
class Factors:
    """What an audit starts from: CEs as factors, the true labels, and names.

    Made by `factors` and by the adapters, which check what they put in.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        Features (N, d), weights and bias of the last linear step.
    y : ndarray of shape (N,)
        True labels, of the dtype of ``ce.classes`` and among them.
    feature_names : tuple of str
        d names.
    class_names : tuple of str
        C names, in the order of ``ce.classes``.
    model_name : str
        What was audited, for the report.
    kind : {"input column", "latent feature", "support vector"}
        What one feature is.
    notes : tuple of str
        What a reader should know of how the factors were obtained, a sentence each.

    Examples
    --------
    >>> made = factors([[1.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], labels=[0, 1])
    >>> made.feature_names, made.class_names, made.empty_classes
    (('feature 0', 'feature 1'), ('0', '1'), ())
    """

    ce: ClassificationEmbeddings
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    model_name: str
    kind: Kind
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> NDArray[np.intp]:
        """Instances of each class (C,), in the order of ``ce.classes``."""
        return np.bincount(self.ce.label_indices(self.y), minlength=len(self.ce.classes))

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Names of the classes that the model knows and no instance belongs to."""
        return tuple(self.class_names[c] for c in np.flatnonzero(self.counts == 0))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file, which `load_factors` reads; whole or not at all.

        Parameters
        ----------
        path : path
            Its name must end in ``.npz``. An existing file is replaced.

        Returns
        -------
        pathlib.Path
            `path`.

        Raises
        ------
        CemagError
            If the name ends otherwise, or the folder does not exist.

        Examples
        --------
        >>> import tempfile
        >>> made = factors([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], labels=[0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made.save(Path(folder) / "factors.npz").name
        'factors.npz'
        """
        target = Path(path)
        if target.suffix != ".npz":
            raise CemagError(f"{target}: the name of saved factors must end in .npz")
        features = self.ce.features
        if isinstance(features, KernelFeatures):  # its rows are far larger than what they are made of
            arrays: dict[str, Any] = {
                "kernel_inputs": features.X,
                "kernel_support_vectors": features.support_vectors,
                "kernel_gamma": features.gamma,
            }
        elif isinstance(features, SparseFeatures):
            kept = features.values
            arrays = {f"sparse_{part}": getattr(kept, part) for part in ("data", "indices", "indptr")}
            arrays["sparse_shape"] = np.array(kept.shape)
        else:
            arrays = {"features": features}
        with written_whole(target) as scratch, scratch.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                **arrays,
                weights=self.ce.weights,
                bias=self.ce.bias,
                labels=self.y,
                classes=self.ce.classes,
                class_names=np.array(self.class_names),
                feature_names=np.array(self.feature_names),
                model_name=np.array(self.model_name),
                kind=np.array(self.kind),
                notes=np.array(self.notes, dtype=str),
            )
        return target


def factors(
    features: Any,
    weights: Any,
    bias: Any = None,
    labels: Any = None,
    *,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    classes: Any = None,
    model_name: str = "factors",
    kind: Kind = "latent feature",
    notes: Sequence[str] = (),
) -> Factors:
    """Make factors of plain arrays, however they were obtained; everything is checked first.

    Parameters
    ----------
    features : array_like of shape (N, d), torch.Tensor, DataFrame, sparse matrix or KernelFeatures
        Input of the model's last linear step. A first column that is pandas' index is none of the features.
    weights : array_like of shape (C, d), or (1, d) or (d,) for a binary model with a single sum
        Weights of that step. The columns of a DataFrame are matched with those of `features` by name.
    bias : array_like of shape (C,), or one number for a single sum, optional
        Zero when not given.
    labels : array_like of shape (N,)
        True classes: numbers or strings from `classes`, or names from `class_names`.
    class_names : sequence of C str, optional
        The names of the rows of a DataFrame in `weights`, else the labels in `classes`, when not given.
    feature_names : sequence of d str, optional
        The columns of a DataFrame, else numbered, when not given.
    classes : array_like of shape (C,), optional
        Labels in the order of the rows of `weights`. When not given, the numbers of the rows of a
        DataFrame in `weights`, else 0, 1, ....
    model_name : str, default="factors"
        What a report calls the model.
    kind : {"input column", "latent feature", "support vector"}, default="latent feature"
        What one feature is.
    notes : sequence of str, optional
        Kept for the report.

    Returns
    -------
    Factors
        A class without an instance is allowed: see `Factors.empty_classes`.

    Raises
    ------
    DataError
        If shapes or names do not fit, a value is NaN or infinite, or a label is no class.

    Examples
    --------
    >>> factors([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], labels=[2])
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: labels holds 2 in row 0, which is not one of the 2 classes: 0, 1
    """
    check_known("kind", kind, KINDS)
    features, weights, bias = (
        _named(*one) for one in (("features", features), ("weights", weights), ("bias", bias))
    )
    weights, feature_names = _columns_by_name(features, weights, feature_names)
    if classes is None:
        classes, class_names = _classes_by_row(weights, class_names)
        _refuse_numbers_of_others(class_names, classes, labels)
    rows = _rows(features)
    heads = _weights(weights)
    _fit_shapes(rows.shape, heads.shape)
    for name, known in (("classes", classes), ("class_names", class_names), ("bias", row_names(bias))):
        same_order(name, known, "the rows of weights", row_names(weights))
    same_order("labels", row_names(labels), "the rows of features", row_names(features))
    offsets = None if bias is None else _bias(bias, len(heads))
    labels_of_classes = class_labels(classes, max(2, len(heads)))
    shown = names_of("class_names", class_names, [str(one) for one in labels_of_classes.tolist()], "classes")
    if len(set(shown)) < len(shown):
        raise DataError(f"class_names holds a name twice: {', '.join(shown)}")
    default = list(map(DEFAULT_NAMES[kind].__add__, map(str, range(rows.shape[1]))))
    columns = names_of("feature_names", feature_names, default, "features")
    if feature_names is not None and len(set(columns)) < len(columns):
        twice = sorted(name for name, n in Counter(columns).items() if n > 1)
        raise DataError(f"feature_names holds a name twice: {', '.join(twice[:5])}")
    index = label_positions(labels, labels_of_classes, shown, rows.shape[0])
    ce = ClassificationEmbeddings(rows, heads, offsets, labels_of_classes)  # type: ignore[arg-type]
    return Factors(ce, labels_of_classes[index], columns, shown, str(model_name), kind, tuple(notes))


def _named(name: str, values: Any) -> Any:
    if hasattr(values, "columns") and callable(getattr(values, "to_pandas", None)):  # polars, pyarrow
        values = values.to_pandas()
    return named_rows(name, values) if isinstance(values, pd.DataFrame) else values


def _columns_by_name(
    features: Any, weights: Any, feature_names: Sequence[str] | None
) -> tuple[Any, Sequence[str] | None]:
    """Weights in the order of the features' columns, and the names of those."""
    own = column_names(features)
    same_order("feature_names", feature_names, "the columns of features", own)
    if isinstance(weights, pd.Series):  # of a single sum
        weights = weights.to_frame().T.reset_index(drop=True)
    if isinstance(weights, pd.DataFrame):
        wanted = own if own or feature_names is None else [str(one) for one in feature_names]
        if wanted is None or len(wanted) == weights.shape[1]:  # else the shapes are refused, or the names
            weights = aligned_columns(weights, wanted)
        own = own or column_names(weights)
    return weights, own if feature_names is None else feature_names


def _classes_by_row(weights: Any, class_names: Sequence[str] | None) -> tuple[Any, Sequence[str] | None]:
    """Labels and names of the classes, of which the rows of a table of weights may be either."""
    rows = row_names(weights)
    if rows is None or len(rows) < 2 or isinstance(weights, pd.Series):
        return None, class_names
    if rows.dtype.kind in "iub":
        return rows, class_names
    return None, [str(one) for one in rows] if class_names is None else class_names


def _refuse_numbers_of_others(class_names: Sequence[str] | None, classes: Any, labels: Any) -> None:
    """Class names 1, 0 beside labels that are numbers: is the label 1 the first class or the second?"""
    if class_names is None or classes is not None or isinstance(class_names, str):
        return
    shown = [str(one) for one in class_names]
    numbered = [str(place) for place in range(len(shown))]
    crossed = any(name in numbered and name != number for name, number in zip(shown, numbered, strict=True))
    if crossed and as_array("labels", labels).dtype.kind in "iuf":
        raise DataError(
            f"class_names are {listed(shown)}, which read like the numbers of other classes, and labels are "
            "numbers: give classes, the labels in the order of the rows of weights"
        )


def _rows(features: Any) -> Any:
    if isinstance(features, KernelFeatures | SparseFeatures):
        return features
    if callable(getattr(features, "tocsr", None)):
        return SparseFeatures(features)
    return numbers("features", features, 2)


def _weights(weights: Any) -> NDArray[Any]:
    if isinstance(weights, pd.DataFrame):
        return numbers("weights", weights, 2)
    heads = as_array("weights", weights)
    return numbers("weights", heads[None] if heads.ndim == 1 else heads, 2)


def _bias(bias: Any, n_rows: int) -> NDArray[Any]:
    offsets = as_array("bias", bias)
    offsets = numbers("bias", offsets[None] if offsets.ndim == 0 else offsets, 1)
    if len(offsets) != n_rows:
        raise DataError(
            f"bias has shape {offsets.shape} and weights {n_rows} row(s): one number a row is needed"
        )
    return offsets


def _fit_shapes(features: tuple[int, ...], weights: tuple[int, ...]) -> None:
    if features[0] == 0:
        raise DataError(f"features has shape {features}: at least one instance is needed")
    if weights[0] == 0 or weights[1] == 0:
        raise DataError(f"weights has shape {weights}: at least one class and one feature are needed")
    if features[1] != weights[1]:
        hint = "; the transposed weights would fit" if features[1] == weights[0] else ""
        raise DataError(
            f"features has shape {features} and weights {weights}: "
            f"the number of columns must be the same{hint}"
        )
