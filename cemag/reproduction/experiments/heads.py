"""Interventions on a linear head over stored features: what moves recall, what moves concentration.

Some move recall and leave every CE (the bias), or every share of a class's CEs (factors on its row), as they
are. Others move the CEs and leave the class ratio: dropout, an elastic net, noise features. Pure arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics.concentration import of_magnitudes
from cemag.reproduction.runs.thresholds import logit_adjusted, tau_normalised

__all__ = ["INTERVENTIONS", "Features", "Intervention", "fit_head", "head_interventions"]

Array = NDArray[np.float64]
Labels = NDArray[np.intp]
RIDGE, LASSO, DROPOUT, COPIES = 1e-3, 2e-3, 0.5, 3


@dataclass(frozen=True, eq=False)
class Features:
    """Features of training and test instances, and the head that the model has.

    Attributes
    ----------
    X, y : ndarray of shape (N, d) and (N,)
        Training rows; labels from 0.
    ce : ClassificationEmbeddings
        Of the test rows, several sums.
    labels : ndarray of shape (n,)
        True labels of the test rows.
    baseline : float or ndarray of shape (d,), default=0.0
        Value at which a feature is inactive.
    """

    X: Array
    y: Labels
    ce: ClassificationEmbeddings
    labels: Labels
    baseline: Array | float = 0.0

    @property
    def counts(self) -> Labels:
        """Training rows of each class (C,)."""
        return np.bincount(self.y, minlength=len(self.ce.classes))


@dataclass(frozen=True)
class Intervention:
    """One intervention on a head.

    Attributes
    ----------
    title : str
    moves : str
        ``"bias"``, ``"rows"``, ``"head"`` or ``"CEs"``: what it changes, which says what it is compared with.
    apply : callable
        From features to CEs of the test rows with the new head.
    """

    title: str
    moves: str
    apply: Callable[[Features], ClassificationEmbeddings]

    @property
    def against(self) -> str:
        """The intervention that it is compared with: the head as trained, or retrained plainly."""
        return "as trained" if self.moves in ("bias", "rows") else "retrained"


def fit_head(
    X: Array,
    y: Labels,
    n_classes: int,
    *,
    sample_weight: Array | None = None,
    l1: float = 0.0,
    l2: float = RIDGE,
) -> tuple[Array, Array]:
    """Softmax regression by L-BFGS: weights (C, d) and bias (C,).

    Parameters
    ----------
    X, y : ndarray of shape (N, d) and (N,)
    n_classes : int
    sample_weight : ndarray of shape (N,), optional
        Their mean counts as 1.
    l1, l2 : float
        Of the terms ``l1 * sum |w| + l2 / 2 * sum w^2`` beside the mean log loss; |w| is rounded off at 0.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> weights, bias = fit_head(X, np.array([0, 0, 1, 1]), 2)
    >>> (X @ weights.T + bias).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    n, d = X.shape
    share = np.full(n, 1 / n) if sample_weight is None else sample_weight / sample_weight.sum()
    one_hot = np.eye(n_classes)[y]

    def objective(flat: Array) -> tuple[float, Array]:
        W, b = flat[:-n_classes].reshape(n_classes, d), flat[-n_classes:]
        logits = X @ W.T + b
        log_p = logits - special.logsumexp(logits, axis=1, keepdims=True)
        size = np.sqrt(W**2 + 1e-8)
        loss = -share @ log_p[np.arange(n), y] + l1 * size.sum() + l2 / 2 * (W**2).sum()
        residual = share[:, None] * (np.exp(log_p) - one_hot)
        gradient = residual.T @ X + l1 * W / size + l2 * W
        return float(loss), np.r_[gradient.ravel(), residual.sum(axis=0)]

    start = np.zeros(n_classes * (d + 1))
    solved = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return solved.x[:-n_classes].reshape(n_classes, d), solved.x[-n_classes:]


def _with(one: Features, weights: Array, bias: Array) -> ClassificationEmbeddings:
    return ClassificationEmbeddings(one.ce.features, weights, bias, one.ce.classes)


def _retrained(one: Features) -> ClassificationEmbeddings:
    return _with(one, *fit_head(one.X, one.y, len(one.ce.classes)))


def _moved(one: Features) -> ClassificationEmbeddings:
    return _with(one, one.ce.weights, logit_adjusted(one.ce.bias, one.counts))


def _normalised(one: Features) -> ClassificationEmbeddings:
    return _with(one, *tau_normalised(one.ce.weights, one.ce.bias))


def _balanced_weight(one: Features) -> Array:
    return 1 / one.counts[one.y]


def _balanced(one: Features) -> ClassificationEmbeddings:
    return _with(one, *fit_head(one.X, one.y, len(one.ce.classes), sample_weight=_balanced_weight(one)))


def _scaled(one: Features) -> ClassificationEmbeddings:
    """Factors on the rows of the head as it is, learned on balanced classes, from a tenth to ten each."""
    W, b, share = one.ce.weights, one.ce.bias, _balanced_weight(one)
    sums, share, n = one.X @ W.T, share / share.sum(), len(one.y)
    one_hot = np.eye(len(W))[one.y]

    def objective(factors: Array) -> tuple[float, Array]:
        logits = factors * sums + b
        log_p = logits - special.logsumexp(logits, axis=1, keepdims=True)
        residual = share[:, None] * (np.exp(log_p) - one_hot)
        return float(-share @ log_p[np.arange(n), one.y]), (residual * sums).sum(axis=0)

    bounds = [(0.1, 10.0)] * len(W)
    solved = optimize.minimize(objective, np.ones(len(W)), jac=True, method="L-BFGS-B", bounds=bounds)
    return _with(one, solved.x[:, None] * W, b)


def _dropout(one: Features) -> ClassificationEmbeddings:
    rng = np.random.default_rng(0)
    X, y = np.tile(one.X, (COPIES, 1)), np.tile(one.y, COPIES)
    kept = (rng.random(X.shape) >= DROPOUT) / (1 - DROPOUT)
    return _with(one, *fit_head(X * kept, y, len(one.ce.classes)))


def _elastic(one: Features) -> ClassificationEmbeddings:
    return _with(one, *fit_head(one.X, one.y, len(one.ce.classes), l1=LASSO))


def _noise(one: Features) -> ClassificationEmbeddings:
    """As many features again, each a real one dealt to the instances at random."""
    rng = np.random.default_rng(0)
    X = np.hstack([one.X, rng.permuted(one.X, axis=0)])
    test = np.hstack([one.ce.features[:], rng.permuted(one.ce.features[:], axis=0)])
    return ClassificationEmbeddings(test, *fit_head(X, one.y, len(one.ce.classes)), one.ce.classes)


INTERVENTIONS = {
    "as trained": Intervention("the head as trained", "bias", lambda one: one.ce),
    "bias": Intervention("bias moved by the log prior", "bias", _moved),
    "tau_norm": Intervention("rows over their norm", "rows", _normalised),
    "lws": Intervention("rows scaled by learned factors", "rows", _scaled),
    "retrained": Intervention("retrained", "head", _retrained),
    "crt": Intervention("retrained on balanced classes", "head", _balanced),
    "dropout": Intervention("retrained with dropout", "CEs", _dropout),
    "elastic": Intervention("retrained with an elastic net", "CEs", _elastic),
    "noise": Intervention("retrained with noise features", "CEs", _noise),
}


def head_interventions(one: Features, names: tuple[str, ...] = tuple(INTERVENTIONS)) -> pd.DataFrame:
    """Recall and concentration of each class under each intervention.

    Parameters
    ----------
    one : Features
    names : tuple of str
        From `INTERVENTIONS`; all when not given.

    Returns
    -------
    DataFrame
        One row per intervention and class: ``intervention``, ``class``, ``n_train``, ``n``, ``recall``, and
        the means over all instances of the class of ``top_share`` and ``participation`` (over d) of the CEs
        towards it.
    """
    rows = []
    for name in names:
        ce = INTERVENTIONS[name].apply(one)
        for label in np.unique(one.labels):
            of_class = np.flatnonzero(one.labels == label)
            found = of_magnitudes(np.abs(ce.of_class(of_class, int(label))))
            rows.append(
                {
                    "intervention": name,
                    "class": str(ce.classes[label]),
                    "n_train": int(one.counts[label]),
                    "n": len(of_class),
                    "recall": float((ce.predictions[of_class] == label).mean()),
                    "top_share": float(np.nanmean(found.top_share)),
                    "participation": float(np.nanmean(found.participation_ratio)) / ce.n_features,
                }
            )
    return pd.DataFrame(rows)
