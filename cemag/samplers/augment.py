"""augment: a training set in, what a classifier's ``fit`` gets out. Checks the data before work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError, SpecError, one_line
from cemag.samplers.mixing import harden
from cemag.samplers.registry import Augmenter, get_augmenter

__all__ = ["AugmentedData", "augment"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AugmentedData:
    """What to fit a classifier to: ``fit(X, y, sample_weight=sample_weight)``.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows. Of a mixing method each stands here once per class in its soft label.
    y : ndarray of shape (n,)
        Their classes.
    sample_weight : ndarray of shape (n,) or None
        Their weights; None if all weigh the same.
    n_original : int
        Rows that were given.
    n_synthetic : int
        Rows that the augmenter made: copies, new points, or mixtures (counted before they are
        written once per class). Mixtures replace the original rows, all others add to them.
    note : str
        What is unusual about the outcome, in one line; empty when nothing is.
    """

    X: Array
    y: NDArray[Any]
    sample_weight: Array | None
    n_original: int
    n_synthetic: int
    note: str = ""


def augment(
    name: str, X: ArrayLike, y: ArrayLike, *, random_state: int | None, k_neighbors: int = 5
) -> AugmentedData:
    """Apply the augmenter of that name to a training set.

    Soft labels of the mixing methods are written as weighted hard ones (`cemag.samplers.harden`),
    so that the classifier minimises the loss that they stand for.

    ADASYN makes points in proportion to how many neighbours are of another class. Where a class has
    none of those, or each row's share rounds to zero, the rule gives no points: the class is then
    left as it is, and the note says so.

    Parameters
    ----------
    name : str
        Name in `AUGMENTERS`.
    X : array-like of shape (N, d)
        Training rows, finite.
    y : array-like of shape (N,)
        Their classes, two or more.
    random_state : int or None
        Seed.
    k_neighbors : int, default=5
        Neighbours of SMOTE and ADASYN.

    Returns
    -------
    AugmentedData
        Rows, labels and weights to fit to.

    Raises
    ------
    UnknownNameError
        If there is no such augmenter.
    SpecError
        If `k_neighbors` is not a whole number of at least 1.
    DataError
        If the data is not a finite table with labels of two or more classes, or a class is too small
        for the neighbours.

    Examples
    --------
    >>> data = augment("ros", [[0.0], [1.0], [2.0]], [0, 0, 1], random_state=0)
    >>> data.y, data.n_original, data.n_synthetic
    (array([0, 0, 1, 1]), 3, 1)
    """
    augmenter = get_augmenter(name)
    X, y = _checked(X, y)
    if augmenter.kind in ("none", "threshold"):
        return AugmentedData(X, y, None, len(y), 0)
    if augmenter.kind == "weights":
        from sklearn.utils.class_weight import compute_sample_weight

        return AugmentedData(X, y, compute_sample_weight("balanced", y), len(y), 0)
    if augmenter.uses_neighbors:
        _check_neighbors(augmenter, y, k_neighbors)

    assert augmenter.factory is not None
    sampler = augmenter.factory(random_state, k_neighbors)
    if name == "adasyn":
        return _adasyn(sampler, X, y)
    if hasattr(sampler, "fit_resample_soft"):
        mixed, soft = sampler.fit_resample_soft(X, y)
        note = f"the {len(soft)} mixtures replace the {len(y)} original rows"
        return AugmentedData(*harden(mixed, soft, sampler.classes_), len(y), len(soft), note)
    X_new, y_new = sampler.fit_resample(X, y)
    return AugmentedData(X_new, y_new, None, len(y), len(y_new) - len(y))


def _adasyn(sampler: Any, X: Array, y: NDArray[Any]) -> AugmentedData:
    """ADASYN class by class: imbalanced-learn's stops at the first class for which it makes no point.

    The classes share one stream of random numbers, in imbalanced-learn's own order, so that the
    points are those of a single call wherever that succeeds.
    """
    from sklearn.utils import check_random_state

    sampler.set_params(random_state=check_random_state(sampler.random_state))
    made_X, made_y, without = [X], [y], []
    for label, missing in _to_over_sample(y).items():
        sampler.set_params(sampling_strategy={label: int(np.sum(y == label)) + missing})
        try:
            X_new, y_new = sampler.fit_resample(X, y)
        except RuntimeError:  # no neighbour of another class
            without.append(label)
        except ValueError as error:
            if "No samples will be generated" not in str(error):
                raise
            without.append(label)
        else:
            made_X.append(X_new[len(X) :])
            made_y.append(y_new[len(y) :])
    note = f"ADASYN made no points of class {', '.join(map(str, without))}" if without else ""
    n_synthetic = sum(map(len, made_y)) - len(y)
    return AugmentedData(np.concatenate(made_X), np.concatenate(made_y), None, len(y), n_synthetic, note)


def _to_over_sample(y: NDArray[Any]) -> dict[Any, int]:
    """How many points each class falls short of the largest, where it does."""
    labels, counts = np.unique(y, return_counts=True)
    return {
        c: int(counts.max() - n) for c, n in zip(labels.tolist(), counts, strict=True) if n < counts.max()
    }


def _checked(X: ArrayLike, y: ArrayLike) -> tuple[Array, NDArray[Any]]:
    try:
        X, y = np.asarray(X, dtype=np.float64), np.asarray(y)
    except (TypeError, ValueError) as error:
        raise DataError(f"features are not a table of numbers: {error}") from None
    if X.ndim != 2 or X.shape[1] == 0 or y.shape != (len(X),):
        raise DataError(f"features have shape {X.shape} and labels {y.shape}: (n, d) and (n,) are needed")
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise DataError(
            f"features hold {finite.size - finite.sum()} NaN or infinite values, the first in row {row}, "
            f"column {column}: fill or drop them first"
        )
    _check_labels(y)
    return X, y


def _check_labels(y: NDArray[Any]) -> None:
    from sklearn.utils.multiclass import type_of_target

    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError(f"labels hold NaN or infinite values, the first in row {np.argmin(np.isfinite(y))}")
    try:
        kind, labels = type_of_target(y), np.unique(y)
    except (TypeError, ValueError) as error:  # None, or types that do not compare
        raise DataError(f"labels are not classes: {one_line(error)}") from None
    if kind not in ("binary", "multiclass"):
        raise DataError(f"labels are {kind}: whole numbers or strings, one a class, are needed")
    if len(labels) < 2:
        raise DataError(f"labels are of {len(labels)} class ({', '.join(map(str, labels))}): two are needed")


def _check_neighbors(augmenter: Augmenter, y: NDArray[Any], k_neighbors: int) -> None:
    if isinstance(k_neighbors, bool) or not isinstance(k_neighbors, int | np.integer) or k_neighbors < 1:
        raise SpecError(f"k_neighbors is {k_neighbors!r}: a whole number of at least 1 is needed")
    for label in _to_over_sample(y):
        count = int(np.sum(y == label))
        if count <= k_neighbors:
            raise DataError(
                f"class {label} has {count} training rows: {augmenter.title} with k_neighbors={k_neighbors} "
                f"needs at least {k_neighbors + 1} in every class that it over-samples"
            )
