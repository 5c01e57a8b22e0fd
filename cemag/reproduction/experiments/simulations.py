"""Each theorem's law or bound beside a simulation of it, for the chapter "Theory". Pure; a second each.

Every function gives a DataFrame with columns ``x``, ``law``, ``simulated`` and ``series``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from cemag import theory
from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import per_instance
from cemag.metrics.concentration import of_magnitudes
from cemag.reproduction.runs.thresholds import logit_adjusted, tau_normalised

__all__ = [
    "augmenter_features",
    "class_ratio_and_weights",
    "common_vector",
    "concentration_of_laws",
    "dropout_loss",
    "head_scaling",
    "required_and_bound",
    "ridge_and_imbalance",
]


def _frame(series: str, x: object, law: object, simulated: object) -> pd.DataFrame:
    return pd.DataFrame({"x": x, "law": law, "simulated": simulated, "series": series})


def required_and_bound(n: int = 150, d: int = 64, seed: int = 0) -> pd.DataFrame:
    """T1: CEs required (simulated) and their bound (law), of log-normal CEs; x is their coherence.

    Examples
    --------
    >>> table = required_and_bound(n=20)
    >>> bool((table["simulated"] <= table["law"]).all())
    True
    """
    rng = np.random.default_rng(seed)
    parts = []
    for sigma in (0.5, 1.2816, 2.0):
        agree = rng.uniform(0.5, 1.0, n)[:, None]
        signs = np.where(rng.random((n, d)) < agree, 1.0, -1.0)
        ces = signs * rng.lognormal(0, sigma, (n, d))
        ces *= np.sign(ces.sum(axis=1, keepdims=True))
        ce = ClassificationEmbeddings(ces, np.ones((1, d)))
        bound, found = theory.required_at_most(ce), per_instance(ce)["required_without_bias"]
        parts.append(_frame(f"sigma = {sigma:.3g}", theory.coherence(ces), bound, found))
    return pd.concat(parts, ignore_index=True)


def concentration_of_laws(seed: int = 0) -> pd.DataFrame:
    """T2: share of the top tenth of log-normal CEs against their sigma, of 64 and of 10,000 features."""
    rng = np.random.default_rng(seed)
    sigmas = np.linspace(0.1, 2.5, 13)
    laws = [theory.log_normal(sigma).top_share for sigma in sigmas]
    parts = []
    for d, n in ((64, 400), (10_000, 4)):
        found = [of_magnitudes(rng.lognormal(0, s, (n, d))).top_share.mean() for s in sigmas]
        parts.append(_frame(f"{d:,} features", sigmas, laws, found))
    return pd.concat(parts, ignore_index=True)


def class_ratio_and_weights(n: int = 20_000, seed: int = 0) -> pd.DataFrame:
    """T3a: norm of the weights, and bias, of a logistic regression against the minority's share."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    means, covariance = np.array([[0.0, 0.0], [1.0, 0.5]]), np.array([[1.0, 0.3], [0.3, 1.0]])
    rows = []
    for minority in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        sizes = [round(n * (1 - minority)), round(n * minority)]
        X = np.concatenate(
            [rng.multivariate_normal(m, covariance, k) for m, k in zip(means, sizes, strict=True)]
        )
        fitted = LogisticRegression(C=np.inf).fit(X, np.repeat([0, 1], sizes))
        weights, bias = theory.gaussian_weights(means, covariance, minority)
        norms = np.linalg.norm(weights), np.linalg.norm(fitted.coef_)
        rows += [_frame("norm of the weights", [minority], norms[0], norms[1])]
        rows += [_frame("bias", [minority], bias, fitted.intercept_)]
    return pd.concat(rows, ignore_index=True)


def ridge_and_imbalance(n: int = 4000, penalty: float = 30.0, seed: int = 0) -> pd.DataFrame:
    """T3b: what a ridge leaves of the weights' norm against the minority's share, and its first order."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    rows = []
    for minority in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
        k = round(n * minority)
        X = np.concatenate([rng.standard_normal((n - k, 5)), rng.standard_normal((k, 5)) + 0.5])
        y = np.repeat([0, 1], [n - k, k])
        plain, ridge = (LogisticRegression(C=C, tol=1e-8).fit(X, y) for C in (np.inf, 1 / penalty))
        matrix = theory.ridge_shrinkage(X, plain.predict_proba(X)[:, 1], penalty)
        norm = np.linalg.norm(plain.coef_)
        law, found = (np.linalg.norm(w) / norm for w in (matrix @ plain.coef_[0], ridge.coef_))
        rows.append(_frame(f"lambda = {penalty:g}", [minority], law, found))
    return pd.concat(rows, ignore_index=True)


def common_vector(steps: int = 400, seed: int = 0) -> pd.DataFrame:
    """T4: what is left of the sum of all classes' weights after so many steps of gradient descent."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((120, 8)), rng.integers(0, 5, 120)
    one_hot = np.eye(5)[y]
    parts = []
    for momentum, rate, decay in ((0.0, 0.1, 0.05), (0.9, 0.1, 0.005)):
        W, velocity = rng.standard_normal((5, 8)), np.zeros((5, 8))
        start, found = np.linalg.norm(W.sum(axis=0)), []
        for _ in range(steps):
            gradient = (special.softmax(X @ W.T, axis=1) - one_hot).T @ X / len(X) + decay * W
            velocity = momentum * velocity + gradient
            W = W - rate * velocity
            found.append(np.linalg.norm(W.sum(axis=0)) / start)
        at = np.arange(0, steps, 20)
        laws = [theory.common_vector_left([rate] * (k + 1), decay, momentum) for k in at]
        parts.append(_frame(f"momentum {momentum:g}, decay {decay:g}", at + 1, laws, np.array(found)[at]))
    return pd.concat(parts, ignore_index=True)


def augmenter_features(seed: int = 0) -> pd.DataFrame:
    """T5: how often a feature is active in made points against how often in the class.

    Parents drawn independently, and those that SMOTE draws: near neighbours, of handwritten digits.
    """
    from sklearn.datasets import load_digits
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(seed)
    X, y = load_digits(return_X_y=True)
    X = X[y == 3]
    p = (X > 0).mean(axis=0)
    near = NearestNeighbors(n_neighbors=6).fit(X).kneighbors(X, return_distance=False)[:, 1:]
    base = rng.integers(len(X), size=4000)
    law, parts = theory.interpolated(p, 1.0).frequency, []
    for series, partner in (
        ("independent parents", rng.integers(len(X), size=4000)),
        ("five nearest neighbours", near[base, rng.integers(5, size=4000)]),
    ):
        made = X[base] + rng.random(4000)[:, None] * (X[partner] - X[base])
        parts.append(_frame(series, p, law, (made > 0).mean(axis=0)))
    return pd.concat(parts, ignore_index=True).sort_values("x", ignore_index=True)


def head_scaling(seed: int = 0) -> pd.DataFrame:
    """T6: minority recall and top share of a logistic regression on digits as its bias or its rows are moved.

    ``law`` is the top share of the same instances before; ``simulated`` after; ``recall`` of the minority.
    """
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    X, y = load_digits(return_X_y=True)
    test = rng.random(len(y)) < 0.4
    keep = ~test & ((y < 5) | (rng.random(len(y)) < 0.08))
    fitted = LogisticRegression(C=1.0, max_iter=500).fit(X[keep] / 16, y[keep])
    ce = ClassificationEmbeddings(X[test] / 16, fitted.coef_, fitted.intercept_)
    counts, labels, minority = np.bincount(y[keep]), y[test], y[test] >= 5
    rows = []
    for strength in np.linspace(0, 1.5, 7):
        for series, head in (
            ("bias moved by the log prior", (ce.weights, logit_adjusted(ce.bias, counts, strength))),
            ("rows scaled (tau-normalised)", tau_normalised(ce.weights, ce.bias, strength)),
        ):
            moved = ClassificationEmbeddings(ce.features, *head)
            rows_of = moved.predictions
            shares = [
                of_magnitudes(np.abs(one.of_class(slice(None), rows_of))).top_share.mean()
                for one in (ce, moved)
            ]
            recall = (moved.predictions == labels)[minority].mean()
            rows.append(_frame(series, [strength], *shares).assign(recall=recall))
    return pd.concat(rows, ignore_index=True)


def dropout_loss(seed: int = 0) -> pd.DataFrame:
    """T7: what dropout adds to the log loss against its rate, for CEs that are spread or few."""
    rng = np.random.default_rng(seed)
    parts = []
    for series, weights in (
        ("64 equal CEs", np.full(64, 1 / 64)),
        ("4 of 64", np.r_[np.full(4, 1 / 4), np.zeros(60)]),
    ):
        ce = ClassificationEmbeddings(np.ones((1, 64)), weights[None])
        rates = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
        laws, found = [], []
        for rate in rates:
            laws.append(theory.dropout_penalty(ce, rate)[0])
            z = (rng.random((40_000, 64)) >= rate) @ weights / (1 - rate)
            found.append(np.logaddexp(0, z).mean() - z.mean() / 2 - np.logaddexp(0, 1.0) + 0.5)
        parts.append(_frame(series, rates, laws, found))
    return pd.concat(parts, ignore_index=True)
