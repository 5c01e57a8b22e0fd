"""Stratified folds, standardised with the statistics of the training part only. Touches nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError, SpecError

__all__ = ["Split", "stratified_split"]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Split:
    """One fold as the test set and the others as the training set, both standardised.

    Attributes
    ----------
    X_train, X_test : ndarray of shape (n_train, d) and (n_test, d)
        ``(x - mean) / scale``.
    y_train, y_test : ndarray of shape (n_train,) and (n_test,)
    mean, scale : ndarray of shape (d,)
        Mean and standard deviation of the training rows; the scale of a constant column is 1.
    baseline : ndarray of shape (d,)
        Most common training value of each feature (of several, the smallest), standardised: where a
        sparse or binary feature rests. It says nothing of a column whose values are all different.
    train_rows, test_rows : ndarray of shape (n_train,) and (n_test,)
        Rows of the input that each part holds, ascending.

    Examples
    --------
    >>> X, y = [[0.0], [0.0], [0.0], [4.0]], [0, 0, 1, 1]
    >>> split = stratified_split(X, y, split=0, n_splits=2, random_state=0)
    >>> split.y_test.tolist(), float(split.X_train.mean())
    ([0, 1], 0.0)
    """

    X_train: Array
    y_train: Labels
    X_test: Array
    y_test: Labels
    mean: Array
    scale: Array
    baseline: Array
    train_rows: Rows
    test_rows: Rows


def stratified_split(
    X: ArrayLike,
    y: ArrayLike,
    *,
    split: int,
    n_splits: int = 5,
    random_state: int,
    standardise: bool = True,
) -> Split:
    """Hold out one of `n_splits` shuffled stratified folds, and standardise.

    Parameters
    ----------
    X : array-like of shape (n, d)
    y : array-like of shape (n,)
        Integer class labels.
    split : int
        Which fold is the test set, from 0.
    n_splits : int, default=5
    random_state : int
        Seed of the shuffle; folds of one seed partition the data.
    standardise : bool, default=True
        Otherwise the features stay as they are: mean 0, scale 1.

    Returns
    -------
    Split

    Raises
    ------
    SpecError
        If `n_splits` is below 2, or `split` is not below `n_splits`.
    DataError
        If shapes disagree, a value is not finite, or a class has fewer points than `n_splits`.

    Examples
    --------
    >>> stratified_split([[1.0]] * 10, [0, 1] * 5, split=5, random_state=0)
    Traceback (most recent call last):
    ...
    cemag.errors.SpecError: split is 5: it must be from 0 to 4, one of n_splits=5
    """
    from sklearn.model_selection import StratifiedKFold

    if n_splits < 2:
        raise SpecError(f"n_splits is {n_splits}: it must be at least 2")
    if not 0 <= split < n_splits:
        raise SpecError(f"split is {split}: it must be from 0 to {n_splits - 1}, one of n_splits={n_splits}")
    values, labels = _checked(X, y, n_splits)
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=random_state)
    train, test = list(folds.split(values, labels))[split]
    X_train = values[train]
    constant = X_train.max(axis=0) == X_train.min(axis=0)
    # a constant column's computed mean and deviation may be off by rounding, which dividing would blow up
    mean = np.where(constant, X_train[0], X_train.mean(axis=0))
    scale = X_train.std(axis=0)
    scale = np.where(constant | (scale == 0), 1.0, scale)
    if not standardise:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    return Split(
        X_train=(X_train - mean) / scale,
        y_train=labels[train],
        X_test=(values[test] - mean) / scale,
        y_test=labels[test],
        mean=mean,
        scale=scale,
        baseline=(_modes(X_train) - mean) / scale,
        train_rows=train,
        test_rows=test,
    )


def _checked(X: ArrayLike, y: ArrayLike, n_splits: int) -> tuple[Array, Labels]:
    values, labels = np.asarray(X, dtype=np.float64), np.asarray(y)
    if values.ndim != 2 or labels.shape != values.shape[:1] or not labels.size:
        raise DataError(
            f"X has shape {values.shape} and y {labels.shape}: (n, d) and (n,) are needed, with n > 0"
        )
    if labels.dtype.kind not in "biu":
        raise DataError(f"y holds {labels.dtype} values: integer class labels are needed")
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        raise DataError(f"X holds {bad} NaN or infinite values: every value must be finite")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < n_splits:
        raise DataError(
            f"class {classes[counts.argmin()]} has {counts.min()} points: at least n_splits={n_splits} are "
            "needed, one a fold"
        )
    return values, labels.astype(np.int64)


def _modes(X: Array) -> Array:
    """Most common value of each column (n, d) -> (d,); of several, the smallest."""
    ordered = np.sort(X, axis=0)
    place = np.arange(len(ordered))[:, None]
    starts = np.vstack([np.ones((1, ordered.shape[1]), dtype=bool), ordered[1:] != ordered[:-1]])
    run_so_far = place - np.maximum.accumulate(np.where(starts, place, 0), axis=0)
    return np.take_along_axis(ordered, run_so_far.argmax(axis=0)[None, :], axis=0)[0]
