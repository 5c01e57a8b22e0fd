"""The arithmetic of mixing: factors, rows, soft labels, and soft labels as weighted hard ones.

Pure functions of arrays and a generator, so that samplers and training batches share them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import CemagError, DataError

__all__ = ["harden", "mix_labels", "mix_rows", "mixing_factors", "rebalanced_label_factor"]

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


def mixing_factors(rng: np.random.Generator, n: int, alpha: float) -> Array:
    """Draw lambda ~ Beta(alpha, alpha), one a row.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n : int
        How many.
    alpha : float
        Small: most rows stay near one of their two parents. 1: uniform. 0: no mixing, all ones.

    Returns
    -------
    ndarray of shape (n,)
        In [0, 1].

    Examples
    --------
    >>> mixing_factors(np.random.default_rng(0), 3, alpha=0.0)
    array([1., 1., 1.])
    """
    if not (np.isfinite(alpha) and alpha >= 0):
        raise CemagError(f"alpha is {alpha}: the Beta parameter must be finite and at least 0")
    return np.ones(n) if alpha == 0 else rng.beta(alpha, alpha, size=n)


def rebalanced_label_factor(
    lam: ArrayLike, n_i: ArrayLike, n_j: ArrayLike, kappa: float = 3.0, tau: float = 0.5
) -> Array:
    """Label factor of Chou et al. for ``lam * x_i + (1 - lam) * x_j``: the rarer class may take all.

    Parameters
    ----------
    lam : array-like of shape (n,)
        Weight of x_i among the features.
    n_i, n_j : array-like of shape (n,)
        Training instances in the class of x_i, and in that of x_j.
    kappa : float, default=3.0
        How many times more frequent a class must be before it yields its label.
    tau : float, default=0.5
        Below which share of the features it does.

    Returns
    -------
    ndarray of shape (n,)
        Weight of x_i's label: 0 if ``n_i / n_j >= kappa`` and ``lam < tau``; 1 if
        ``n_i / n_j <= 1 / kappa`` and ``1 - lam < tau``; `lam` otherwise.

    Examples
    --------
    >>> rebalanced_label_factor([0.4, 0.6, 0.6, 0.4], [90, 90, 10, 10], [10, 10, 90, 90])
    array([0. , 0.6, 1. , 0.4])
    """
    lam, n_i, n_j = np.asarray(lam, dtype=np.float64), np.asarray(n_i), np.asarray(n_j)
    all_to_j = (n_i >= kappa * n_j) & (lam < tau)
    all_to_i = (kappa * n_i <= n_j) & (1 - lam < tau)
    return np.select([all_to_j, all_to_i], [0.0, 1.0], default=lam)


def mix_rows(X: Any, own: Indices, partner: Indices, lam: Array) -> Any:
    """Mix rows of `X`: ``lam * X[own] + (1 - lam) * X[partner]``.

    Parameters
    ----------
    X : ndarray of shape (N, ...) or sparse matrix of shape (N, d)
        Floating-point rows; images may keep their shape.
    own, partner : ndarray of shape (n,)
        Row numbers in `X`.
    lam : ndarray of shape (n,)
        Weight of `own`.

    Returns
    -------
    ndarray of shape (n, ...) or sparse matrix of shape (n, d)
        Of `X`'s type and dtype.

    Examples
    --------
    >>> mix_rows(np.array([[0.0], [10.0]]), np.array([0]), np.array([1]), np.array([0.75]))
    array([[2.5]])
    """
    start = X[partner]
    step = X[own] - start  # start + lam * step leaves equal features exactly equal
    lam = lam.astype(X.dtype).reshape(-1, *[1] * (X.ndim - 1))
    if isinstance(X, np.ndarray):
        return start + lam * step
    return (start + step.multiply(lam)).asformat(X.format)


def mix_labels(own: Indices, partner: Indices, lam: Array, n_classes: int) -> Array:
    """Soft labels: weight `lam` on class `own`, the rest on class `partner`.

    Parameters
    ----------
    own, partner : ndarray of shape (n,)
        Class numbers, 0 to ``n_classes - 1``.
    lam : ndarray of shape (n,)
        Weight of `own`.
    n_classes : int
        Number of classes C.

    Returns
    -------
    ndarray of shape (n, C)
        Rows sum to 1.

    Examples
    --------
    >>> mix_labels(np.array([0, 1]), np.array([1, 1]), np.array([0.75, 0.5]), 2)
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    rows = np.arange(len(lam))
    soft = np.zeros((len(lam), n_classes))
    soft[rows, own] = lam
    soft[rows, partner] += 1 - lam
    return soft


def harden(X: NDArray[Any], soft: ArrayLike, classes: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], Array]:
    """Write each row with a soft label as one weighted row per class.

    A row x with label (p_0, ..., p_C-1) becomes the rows (x, class c, weight p_c), one for each
    p_c > 0. Any loss that a classifier sums over weighted rows is then the expected loss under the
    soft label: exactly the soft cross-entropy for the log loss, the expected hinge loss for an SVM.
    Nothing is merged or rounded, so the weights sum to the number of rows and each class keeps its
    mass. In an SVM a mixture may so become two support vectors of opposite sign at one point.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Features.
    soft : array-like of shape (n, C)
        Not negative; rows sum to 1.
    classes : array-like of shape (C,)
        The label of each column.

    Returns
    -------
    X : ndarray of shape (m, d)
        Features, in the order of the rows given, then of the classes; n <= m <= n C.
    y : ndarray of shape (m,)
        Hard labels.
    sample_weight : ndarray of shape (m,)
        Their weights, in (0, 1].

    Raises
    ------
    DataError
        If the shapes do not fit, or a row of `soft` is not a distribution.

    Examples
    --------
    >>> X, y, weight = harden(np.array([[1.0], [2.0]]), [[0.75, 0.25], [0.0, 1.0]], ["rare", "common"])
    >>> X.ravel(), y, weight
    (array([1., 1., 2.]), array(['rare', 'common', 'common'], dtype='<U6'), array([0.75, 0.25, 1.  ]))
    """
    soft, classes = np.asarray(soft, dtype=np.float64), np.asarray(classes)
    if soft.shape != (len(X), len(classes)):
        raise DataError(
            f"soft labels have shape {soft.shape}: {len(X)} rows and {len(classes)} classes "
            f"need {(len(X), len(classes))}"
        )
    bad = ~((soft >= 0).all(axis=1) & np.isclose(soft.sum(axis=1), 1))  # NaN fails both
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"soft label of row {row} is {soft[row].tolist()}: it must be >= 0 and sum to 1")
    rows, columns = np.nonzero(soft)
    return X[rows], classes[columns], soft[rows, columns]
