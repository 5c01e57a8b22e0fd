"""Theory of magnitude dominance: theorems on CEs (T1 to T7), as functions that give a law or a bound.

The book's chapter "Theory" states and proves them; `test_theory.py` holds each against brute force or
simulation. T6 has no law to compute: it says what a moved bias or a factor on a class's weights leaves alone.
Pure functions of arrays and of a model's CEs. Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from cemag.embeddings import ClassificationEmbeddings, Margins
from cemag.errors import DataError
from cemag.metrics import n_top
from cemag.metrics.truncation import rank_ces

__all__ = [
    "Law",
    "Made",
    "coherence",
    "common_vector_left",
    "dropout_penalty",
    "gaussian_weights",
    "half_normal",
    "interpolated",
    "log_normal",
    "normal_product",
    "required_at_least",
    "required_at_most",
    "required_of_one_sum_at_most",
    "ridge_shrinkage",
    "top_share_between",
    "vast_majority_weights",
]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
CHUNK_BYTES = (
    3 << 17
)  # of what is dropped, over all rivals: two such arrays stay in the second cache of a core
ROUNDING = 4 * np.finfo(np.float64).eps  # of a sum, for each of its terms and relative to their magnitude


# ---------------------------------------------------------------- T1: how many CEs are required


def required_of_one_sum_at_most(ces: ArrayLike, bias: ArrayLike = 0.0) -> Index:
    r"""T1, upper bound: CEs required where one sum decides, largest magnitude first, for good.

    With :math:`z = \sum_j v_j + b > 0` and :math:`T_k` the magnitude outside the k largest,
    :math:`k^* \le \min\{k : T_k < z\}`: what is dropped takes at most :math:`T_k` from z. The bound is
    attained where all that is dropped speaks for the prediction.

    Parameters
    ----------
    ces : array_like of shape (n, d)
        CEs v towards the prediction, a row per instance.
    bias : float or array_like of shape (n,), default=0.0
        What the sum has beside them.

    Returns
    -------
    ndarray of shape (n,)
        From 0 to d; d where z is not positive, as then only the full set counts as keeping the prediction.

    Examples
    --------
    >>> required_of_one_sum_at_most([[5.0, 2.0, -1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    array([1, 1])
    """
    v = _rows("ces", ces)
    sizes = -np.sort(-np.abs(v), axis=1)
    outside = np.zeros((v.shape[0], v.shape[1] + 1))
    np.cumsum(sizes[:, ::-1], axis=1, out=outside[:, 1:])
    outside = outside[:, ::-1]
    b = np.broadcast_to(np.asarray(bias, dtype=np.float64), len(v))
    slack = ROUNDING * v.shape[1] * (outside[:, 0] + np.abs(b))
    enough = outside < (v.sum(axis=1) + b - slack)[:, None]
    enough[:, -1] = True
    return enough.argmax(axis=1)


def required_at_least(ces: ArrayLike, bias: ArrayLike) -> Index:
    r"""T1, lower bound: with a bias against the prediction, more than :math:`|b| / a_{(1)}` CEs are required.

    It holds under every counting rule with the bias, since k CEs add up to at most k times the largest.

    Parameters
    ----------
    ces : array_like of shape (n, d)
        CEs towards the prediction.
    bias : float or array_like of shape (n,)
        What the sum has beside them; where it is positive the bound is 0.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> required_at_least([[2.0, 2.0, 1.0], [2.0, 2.0, 1.0]], [-3.0, 3.0])
    array([2, 0])
    """
    v = _rows("ces", ces)
    b = np.broadcast_to(np.asarray(bias, dtype=np.float64), len(v))
    largest = np.abs(v).max(axis=1)
    ratio = np.divide(-b, largest, out=np.zeros(len(v)), where=(b <= 0) & (largest > 0))
    return np.where(b > 0, 0, np.floor(ratio).astype(np.intp) + 1)


def coherence(ces: ArrayLike, bias: ArrayLike = 0.0) -> Array:
    r"""How far the CEs agree, :math:`\rho = z / S`, from 0 (they cancel) to 1 (all speak for the prediction).

    In its terms T1 reads :math:`k^* \le \min\{k : s_k > 1 - \rho\}`, with :math:`s_k` the share of the k
    largest: concentration alone does not make few enough.

    Examples
    --------
    >>> coherence([[3.0, -1.0], [3.0, 1.0]])
    array([0.5, 1. ])
    """
    v = _rows("ces", ces)
    total = np.abs(v).sum(axis=1)
    return np.divide(v.sum(axis=1) + np.asarray(bias), total, out=np.full(len(v), np.nan), where=total > 0)


def required_at_most(
    ce: ClassificationEmbeddings | Margins, counted: NDArray[np.bool_] | None = None
) -> Array:
    """T1 for any model: at most so many CEs are required without the bias, largest magnitude first, for good.

    It bounds what `cemag.metrics.per_instance` calls ``required_without_bias``. With several sums, what is
    dropped takes from the lead over a rival at most the magnitude of its CEs' differences, so the bound is
    the largest over all rivals.

    Parameters
    ----------
    ce : ClassificationEmbeddings or Margins
        CEs of N instances, or margin CEs.
    counted : ndarray of shape (N,), optional
        For which instances; all when not given.

    Returns
    -------
    ndarray of shape (N,)
        From 1 to d. NaN where the CEs alone do not give the prediction, or it was not asked for.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 1.0, 2.0]], [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    >>> required_at_most(ce)
    array([1.])
    """
    found = np.full(ce.n_instances, np.nan)
    rows_asked = np.arange(ce.n_instances) if counted is None else np.flatnonzero(counted)
    for rows in ce.compact_blocks(rows_asked):  # columns that are zero in all of these rows change no sum
        block, columns = ce.compact(rows)
        if len(columns) == 0:
            continue
        if isinstance(block, Margins) or block.single_sum:
            alone, k = _of_one_sum(block.of_prediction(slice(None)))
        else:
            alone, k = _of_many_sums(block)
        found[rows] = np.where(alone > 0, np.maximum(k, 1), np.nan)
    return found


def _of_one_sum(ces: Array) -> tuple[Array, Index]:
    """Sum of the CEs without the bias (n,), and the bound (n,)."""
    return ces.sum(axis=1), required_of_one_sum_at_most(ces)


def _of_many_sums(ce: ClassificationEmbeddings) -> tuple[Array, Index]:
    """Lead of the prediction without the bias over the nearest rival (n,), and the bound (n,)."""
    features, labels = ce.features[:], ce.predictions
    sums = features @ ce.weights.T
    leads = np.take_along_axis(sums, labels[:, None], axis=1) - sums
    leads[np.arange(len(labels)), labels] = np.inf
    by_feature = np.ascontiguousarray(ce.weights.T)
    ranked = rank_ces(ce.weights[labels] * features, with_order=True)["magnitude"].order
    assert ranked is not None
    order = ranked[:, ::-1]
    k = np.empty(len(labels), dtype=np.intp)
    at_once = max(1, CHUNK_BYTES // (8 * by_feature.shape[1]))
    for start in range(0, len(labels), at_once):
        part = slice(start, start + at_once)
        k[part] = _smallest_dropped(by_feature, features[part], labels[part], order[part], leads[part])
    return leads.min(axis=1), k


def _smallest_dropped(by_feature: Array, features: Array, labels: Index, order: Index, leads: Array) -> Index:
    """How many CEs are left (m,) when the smallest are dropped while they cannot have made up any lead."""
    m, d = order.shape
    left = np.zeros(m, dtype=np.intp)
    going = np.arange(m)
    taken = np.zeros_like(leads)
    for place in range(d):
        j = order[going, place]
        gap = by_feature[j, labels[going]][:, None] - by_feature[j]
        taken += np.abs(gap * features[going, j][:, None])
        stop = (taken * (1 + ROUNDING * d) >= leads).any(axis=1)
        if stop.any():
            left[going[stop]] = d - place
            going, taken, leads = going[~stop], taken[~stop], leads[~stop]
            if len(going) == 0:
                break
    return left


# ---------------------------------------------------------------- T2: share of the largest, and participation


class Law(NamedTuple):
    """What a distribution of CE magnitudes gives for very many features.

    Attributes
    ----------
    top_share : float
        Share of the magnitude in the top 10 %, or another share of the features.
    participation : float
        Participation ratio over the number of features.
    """

    top_share: float
    participation: float


def top_share_between(
    participation_ratio: ArrayLike, n_features: int, share: float = 0.1
) -> tuple[Array, Array]:
    r"""T2: least and largest share of the m largest CEs that a participation ratio PR leaves open.

    :math:`s_m \le \sqrt{m / PR}` by Cauchy and Schwarz, and
    :math:`s_m^2 + s_m (1 - s_m) / m \ge 1 / PR`, as no other CE is larger than the mean of the m largest.

    Parameters
    ----------
    participation_ratio : array_like
        From 1 to d.
    n_features : int
        d.
    share : float, default=0.1
        Share of the features that counts as the top: m of them, rounded up.

    Returns
    -------
    low, high : ndarray

    Examples
    --------
    >>> low, high = top_share_between(16.0, 64)
    >>> round(float(low), 3), round(float(high), 3)
    (0.199, 0.661)
    """
    ratio = np.asarray(participation_ratio, dtype=np.float64)
    m = n_top(n_features, share)
    high = np.minimum(1.0, np.sqrt(m / ratio))
    if m == 1:
        low = 1 / ratio
    else:  # the positive root of (1 - 1/m) s^2 + s/m - 1/PR = 0
        a = 1 - 1 / m
        low = (-1 / m + np.sqrt(1 / m**2 + 4 * a / ratio)) / (2 * a)
    return np.maximum(low, m / n_features), high


def log_normal(sigma: float, share: float = 0.1) -> Law:
    r"""T2: log-normal CEs, :math:`s = \Phi(\sigma - z_{1 - share})` and :math:`PR / d = e^{-\sigma^2}`.

    So the top tenth carries more than half exactly when sigma is above 1.2816.

    Examples
    --------
    >>> log_normal(1.2815515655446004).top_share
    0.5
    """
    return Law(float(stats.norm.cdf(sigma - stats.norm.isf(share))), float(np.exp(-(sigma**2))))


def normal_product(share: float = 0.1) -> Law:
    r"""T2: products of two independent normals: weights that have nothing to do with the features.

    The magnitude has the density :math:`\frac{2}{\pi} K_0(t)`, so that what lies above its quantile q is
    the share :math:`q K_1(q)`, and :math:`PR / d = 4 / \pi^2`.

    Examples
    --------
    >>> [round(value, 3) for value in normal_product()]
    [0.386, 0.405]
    """
    q = optimize.brentq(lambda t: 1 - 2 / np.pi * special.iti0k0(t)[1] - share, 1e-9, 50)
    return Law(float(q * special.k1(q)), 4 / np.pi**2)


def half_normal(share: float = 0.1) -> Law:
    r"""T2: half-normal noise, :math:`s = e^{-z^2 / 2}` and :math:`PR / d = 2 / \pi`.

    Here z is the :math:`1 - share / 2` quantile of the normal.

    Examples
    --------
    >>> [round(value, 3) for value in half_normal()]
    [0.259, 0.637]
    """
    return Law(float(np.exp(-(stats.norm.isf(share / 2) ** 2) / 2)), 2 / np.pi)


# ---------------------------------------------------------------- T3: what imbalance does to weights


def gaussian_weights(means: ArrayLike, covariance: ArrayLike, minority: float) -> tuple[Array, float]:
    r"""T3a: the logistic regression of two normal classes of one covariance, in the population.

    :math:`w = \Sigma^{-1} (\mu_1 - \mu_0)` has no class ratio in it; only
    :math:`b = \log \frac{\pi}{1 - \pi} - \frac12 (\mu_1 + \mu_0)^T w` does.

    Parameters
    ----------
    means : array_like of shape (2, d)
        Of the majority and of the minority.
    covariance : array_like of shape (d, d)
        Of both.
    minority : float
        Share of the minority, between 0 and 1.

    Returns
    -------
    weights : ndarray of shape (d,)
    bias : float

    Examples
    --------
    >>> gaussian_weights([[0.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], 0.5)
    (array([2., 0.]), -2.0)
    """
    if not 0 < minority < 1:
        raise DataError(f"minority is {minority}: a share above 0 and below 1 is needed")
    mu = _rows("means", means)
    weights = np.linalg.solve(np.asarray(covariance, dtype=np.float64), mu[1] - mu[0])
    return weights, float(special.logit(minority) - mu.mean(axis=0) @ weights)


def ridge_shrinkage(X: ArrayLike, probability: ArrayLike, penalty: float) -> Array:
    r"""T3b: what a ridge leaves of a logistic regression's weights, :math:`(N I_\pi + \lambda)^{-1} N I_\pi`.

    :math:`N I_\pi = \sum_n p_n (1 - p_n) (x_n - \bar x)(x_n - \bar x)^T`, with :math:`\bar x` the weighted
    mean, is the information about the weights. A small class has little of it, so imbalance shrinks
    weights once the penalty is as large. First order in the penalty.

    Parameters
    ----------
    X : array_like of shape (N, d)
    probability : array_like of shape (N,)
        Of the second class, by the model without penalty.
    penalty : float
        lambda of the term ``lambda / 2 * |w|^2`` beside the summed log loss (1 / C in scikit-learn).

    Returns
    -------
    ndarray of shape (d, d)
        Times the weights without penalty it gives those with it.

    Examples
    --------
    >>> ridge_shrinkage([[-1.0], [1.0]], [0.5, 0.5], penalty=0.5)
    array([[0.5]])
    """
    rows, p = _rows("X", X), np.asarray(probability, dtype=np.float64)
    if penalty < 0:
        raise DataError(f"penalty is {penalty}: it must be at least 0")
    weight = p * (1 - p)
    centred = rows - weight @ rows / weight.sum()
    information = (centred * weight[:, None]).T @ centred
    return np.linalg.solve(information + penalty * np.eye(rows.shape[1]), information)


def vast_majority_weights(X: ArrayLike, minority_mean: ArrayLike) -> Array:
    r"""T3c: a logistic regression's weights as the majority grows without limit and the minority stays.

    They solve :math:`\sum_n e^{x_n^T w} (x_n - \bar x_1) = 0` over the majority: of the minority only its
    mean :math:`\bar x_1` is left (Owen 2007). It must lie within the majority for a solution to exist.

    Parameters
    ----------
    X : array_like of shape (N, d)
        The majority.
    minority_mean : array_like of shape (d,)

    Returns
    -------
    ndarray of shape (d,)

    References
    ----------
    .. [1] A. B. Owen, "Infinitely Imbalanced Logistic Regression", Journal of Machine Learning
       Research 8, 2007.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100_000, 1))
    >>> vast_majority_weights(X, [1.0]).round(1)  # of a standard normal: the mean itself
    array([1.])
    """
    centred = _rows("X", X) - np.asarray(minority_mean, dtype=np.float64)

    def objective(w: Array) -> tuple[float, Array]:
        z = centred @ w
        return float(special.logsumexp(z)), special.softmax(z) @ centred

    with np.errstate(over="ignore"):  # where there is no limit
        solved = optimize.minimize(objective, np.zeros(centred.shape[1]), jac=True, method="BFGS")
    if np.abs(solved.jac).max() > 1e-3 * max(1.0, float(np.abs(centred).max())):
        raise DataError("minority_mean does not lie within the majority: the weights have no limit")
    return solved.x


# ---------------------------------------------------------------- T4: the common vector of all classes


def common_vector_left(learning_rates: Sequence[float], weight_decay: float, momentum: float = 0.0) -> float:
    r"""T4: what stochastic gradient descent leaves of the sum of all classes' weights.

    A softmax's gradient sums to zero over the classes, so the sum only decays,
    :math:`\sum_c W_c \leftarrow (1 - \eta \lambda) \sum_c W_c` (with momentum its second-order
    recursion), towards 0, which it is at every stationary point of an L2-penalised softmax.

    Parameters
    ----------
    learning_rates : sequence of float
        One per step.
    weight_decay, momentum : float
        As ``torch.optim.SGD`` has them.

    Returns
    -------
    float
        Factor on the sum after all steps.

    Examples
    --------
    >>> common_vector_left([0.1, 0.1], weight_decay=1.0)
    0.81
    """
    left, velocity = 1.0, 0.0
    for rate in learning_rates:
        velocity = momentum * velocity + weight_decay * left
        left -= rate * velocity
    return left


# ---------------------------------------------------------------- T5: what interpolation does to features


class Made(NamedTuple):
    """A non-negative feature among the points that an augmenter makes.

    Attributes
    ----------
    frequency : ndarray
        Share of the points in which it is active.
    intensity : ndarray
        Its mean where it is active.
    mean : ndarray
        Over all points.
    """

    frequency: Array
    intensity: Array
    mean: Array


def interpolated(
    frequency: ArrayLike,
    intensity: ArrayLike,
    partner_frequency: ArrayLike | None = None,
    partner_intensity: ArrayLike | None = None,
    partner_weight: float = 0.5,
) -> Made:
    r"""T5: a feature of points between two parents that are drawn independently.

    It is active in a point where it is in either parent: :math:`1 - (1 - p)(1 - p')`. For parents of one
    class (SMOTE) the mean :math:`p a` stays, so the intensity falls to :math:`a / (2 - p)`: frequency for
    intensity, and no feature that the class did not have. EOS's partners are enemies and bring theirs.

    Parameters
    ----------
    frequency, intensity : array_like
        p and a: how often the feature is active in the class, and its mean where it is.
    partner_frequency, partner_intensity : array_like, optional
        Of the second parent's class; the same class when not given.
    partner_weight : float, default=0.5
        Mean share of the second parent: a half where the point is drawn evenly between the two.

    Returns
    -------
    Made

    Examples
    --------
    >>> [round(float(value), 3) for value in interpolated(0.5, 1.0)]
    [0.75, 0.667, 0.5]
    """
    p, a = np.asarray(frequency, dtype=np.float64), np.asarray(intensity, dtype=np.float64)
    q = p if partner_frequency is None else np.asarray(partner_frequency, dtype=np.float64)
    c = a if partner_intensity is None else np.asarray(partner_intensity, dtype=np.float64)
    active = np.asarray(1 - (1 - p) * (1 - q))
    mean = np.asarray((1 - partner_weight) * p * a + partner_weight * q * c)
    made = np.divide(mean, active, out=np.zeros(active.shape), where=active > 0)
    return Made(active, made, mean)


# ---------------------------------------------------------------- T7: dropout on the features


def dropout_penalty(ce: ClassificationEmbeddings, rate: float) -> Array:
    r"""T7: what dropout on the features adds to each instance's expected log loss, to second order.

    For one sum :math:`\frac12 \frac{q}{1 - q} p (1 - p) \sum_j CE_j^2`; with several the variance of a
    feature's CEs over the predicted probabilities stands in place of :math:`p (1 - p) CE_j^2`. A penalty on
    the CEs themselves, largest where the model is unsure; of equal sums it prefers the one that is spread
    over more features (Wager, Wang and Liang 2013).

    Parameters
    ----------
    ce : ClassificationEmbeddings
    rate : float
        q, the probability with which a feature is dropped, at least 0 and below 1; those kept are scaled by
        1 / (1 - q).

    Returns
    -------
    ndarray of shape (N,)

    References
    ----------
    .. [1] S. Wager, S. Wang, P. Liang, "Dropout Training as Adaptive Regularization", NeurIPS 2013.

    Examples
    --------
    >>> dropout_penalty(ClassificationEmbeddings([[1.0, -1.0]], [[2.0, 2.0]]), 0.5)
    array([1.])
    """
    if not 0 <= rate < 1:
        raise DataError(f"rate is {rate}: it must be at least 0 and below 1")
    penalty = np.empty(ce.n_instances)
    for rows in ce.blocks():
        squared = ce.features[rows] ** 2
        logits = ce.features[rows] @ ce.weights.T + ce.bias
        if ce.single_sum:
            p = special.expit(logits[:, 0])
            penalty[rows] = p * (1 - p) * (squared @ ce.weights[0] ** 2)
        else:
            p = special.softmax(logits, axis=1)
            spread = p @ ce.weights**2 - (p @ ce.weights) ** 2
            penalty[rows] = np.einsum("nj,nj->n", squared, spread)
    return 0.5 * rate / (1 - rate) * penalty


def _rows(name: str, values: ArrayLike) -> Array:
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise DataError(f"{name} has shape {rows.shape}: two axes and at least one column are needed")
    return rows
