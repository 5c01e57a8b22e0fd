"""Models without augmentation whose threshold alone is moved. Pure functions, but for fits on inner folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.models import LogisticModel, SVMModel, fit_model

if TYPE_CHECKING:
    from cemag.reproduction.datasets import Split

__all__ = ["by_inner_folds", "logit_adjusted", "moved_bias", "tau_normalised"]

Array = NDArray[np.float64]
INNER_FOLDS = 5


def moved_bias(
    model: LogisticModel | SVMModel, bias: Array, split: Split, *, random_state: int
) -> NDArray[np.float64]:
    """Bias (1,) of a fitted binary model, moved against the imbalance of its training rows.

    A logistic regression's is moved by the log prior; the scores of an SVM have no prior, so that its
    threshold is the one that is best on held-out parts of the training rows.
    """
    if model.name == "svm":
        return bias - by_inner_folds(model, split, random_state=random_state)
    return logit_adjusted(bias, np.bincount(split.y_train))


def logit_adjusted(bias: ArrayLike, counts: ArrayLike, strength: float = 1.0) -> Array:
    """Bias less `strength` times the logarithm of each class's share; of a single sum, of their ratio.

    Parameters
    ----------
    bias : array_like of shape (C,), or (1,) for a single sum
    counts : array_like of shape (C,), or (2,)
        Training instances of each class.
    strength : float, default=1

    References
    ----------
    .. [1] A. K. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021.

    Examples
    --------
    >>> logit_adjusted([0.0], [90, 10]).round(2), logit_adjusted([0.0, 0.0], [90, 10]).round(2)
    (array([2.2]), array([0.11, 2.3 ]))
    """
    moved, n = np.asarray(bias, dtype=float), np.asarray(counts, dtype=float)
    if len(moved) == 1:
        return moved + strength * np.log(n[0] / n[1])
    return moved - strength * np.log(n / n.sum())


def tau_normalised(weights: ArrayLike, bias: ArrayLike, tau: float = 1.0) -> tuple[Array, Array]:
    """Row of each class, bias included, over its weights' norm to the power tau: one factor for its CEs.

    Parameters
    ----------
    weights : array_like of shape (C, d)
    bias : array_like of shape (C,)
    tau : float, default=1
        0 leaves them as they are.

    References
    ----------
    .. [1] B. Kang et al., "Decoupling representation and classifier for long-tailed recognition",
       ICLR 2020; there without a bias.

    Examples
    --------
    >>> weights, bias = tau_normalised([[3.0, 4.0], [0.0, 2.0]], [1.0, 1.0])
    >>> weights.tolist(), bias.tolist()
    ([[0.6, 0.8], [0.0, 1.0]], [0.2, 0.5])
    """
    rows, offsets = np.asarray(weights, dtype=float), np.asarray(bias, dtype=float)
    norms = np.linalg.norm(rows, axis=1) ** tau
    return rows / norms[:, None], offsets / norms


def by_inner_folds(model: LogisticModel | SVMModel, split: Split, *, random_state: int) -> float:
    """Score that parts the classes best, by balanced accuracy over held-out parts of the training rows."""
    from sklearn.model_selection import StratifiedKFold

    X, y = split.X_train, split.y_train
    folds = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=random_state)
    scores = np.empty(len(y))
    for seen, held_out in folds.split(X, y):
        fitted: Any = fit_model(model, X[seen], y[seen], None, random_state=random_state)
        scores[held_out] = fitted.decision_function(X[held_out])
    return best_threshold(scores, y)


def best_threshold(scores: ArrayLike, y: ArrayLike) -> float:
    """Middle between two neighbouring scores that gives the best balanced accuracy; of several, the lowest.

    Examples
    --------
    >>> best_threshold([-2.0, -1.0, -0.5, 1.0], [0, 0, 1, 1])
    -0.75
    """
    order = np.argsort(scores, kind="stable")
    ranked, labels = np.asarray(scores, dtype=float)[order], np.asarray(y)[order]
    edges = np.flatnonzero(ranked[1:] > ranked[:-1])  # between equal scores nothing can be parted
    right_0 = np.cumsum(labels == 0)[edges] / (labels == 0).sum()
    right_1 = 1 - np.cumsum(labels == 1)[edges] / (labels == 1).sum()
    if len(edges) == 0:
        return 0.0
    best = edges[(right_0 + right_1).argmax()]
    return float((ranked[best] + ranked[best + 1]) / 2)
