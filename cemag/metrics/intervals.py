"""How sure a figure is: intervals of means, of shares, and of unions, over the instances that it rests on.

The bootstrap draws as many instances as there are, with replacement; for a union that is invalid (a draw has
fewer distinct instances than the sample, and so a smaller union), and draws without replacement at a stated
number of instances take its place. Pure functions of arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from cemag.errors import DataError

__all__ = ["bootstrap_means", "percentiles", "unions", "wilson"]

Array = NDArray[np.float64]
DRAWN_AT_ONCE = 4_000_000  # counts of one batch of resamples: 32 MB


def bootstrap_means(values: ArrayLike, *, n_resamples: int = 1000, random_state: Any = 0) -> Array:
    """Means of the columns of values (n, m) in each of B resamples of the rows: (B, m).

    A resample is a vector of counts, so all of them are one matrix product. A NaN is left out of its
    column. Deviations from the mean are stretched by ``sqrt(n / (n - 1))`` and by Student's t over the
    normal, without which the percentiles of few instances are too close together [1]_.

    Parameters
    ----------
    values : array_like of shape (n, m)
    n_resamples : int, default=1000
    random_state : int or numpy Generator, default=0

    Returns
    -------
    ndarray of shape (B, m)
        NaN for a column with fewer than two values.

    References
    ----------
    .. [1] T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69,
       2015: the expanded percentile interval.

    Examples
    --------
    >>> low, high = percentiles(bootstrap_means(np.arange(100.0)[:, None]))
    >>> bool(low < 49.5 < high)
    True
    """
    values = np.asarray(values, dtype=float)
    n, m = values.shape
    if n < 2:
        return np.full((n_resamples, m), np.nan)
    rng = np.random.default_rng(random_state)
    known = np.isfinite(values)
    n_known = known.sum(axis=0)
    weighted = np.column_stack([np.where(known, values, 0.0), known])
    drawn = np.empty((n_resamples, 2 * m))
    step = max(1, DRAWN_AT_ONCE // n)
    for start in range(0, n_resamples, step):
        size = min(step, n_resamples - start)
        cells = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(cells.ravel(), minlength=size * n).reshape(size, n)
        drawn[start : start + size] = counts.astype(float) @ weighted
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = weighted[:, :m].sum(axis=0) / n_known
        # a resample may hold none of the few values that a column has: it says nothing, the mean stands
        means = np.where(drawn[:, m:] > 0, drawn[:, :m] / drawn[:, m:], mean)
        stretch = np.sqrt(n_known / (n_known - 1)) * stats.t.ppf(0.975, n_known - 1) / stats.norm.ppf(0.975)
        return np.where(n_known > 1, mean + stretch * (means - mean), np.nan)


def percentiles(resamples: Array, confidence: float = 0.95) -> Array:
    """Lower and upper end of the interval of each column of resamples (B, m): (2, m).

    Examples
    --------
    >>> percentiles(np.arange(101.0)[:, None], confidence=0.5).ravel().tolist()
    [25.0, 75.0]
    """
    if not 0 < confidence < 1:
        raise DataError(f"confidence is {confidence}: it must be between 0 and 1")
    tail = (1 - confidence) / 2
    return np.quantile(resamples, [tail, 1 - tail], axis=0)


def wilson(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
    """Wilson's interval of shares k / n: it is not empty where k is 0 or n, as the bootstrap's would be.

    Examples
    --------
    >>> low, high = wilson([10], [10])
    >>> round(float(low[0]), 2), float(high[0])
    (0.72, 1.0)
    """
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    z = stats.norm.ppf((1 + confidence) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (k + z**2 / 2) / (n + z**2)
        half = z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
        known = n > 0
        return np.where(known, np.clip(middle - half, 0, 1), np.nan), np.where(
            known, np.clip(middle + half, 0, 1), np.nan
        )


def unions(sets: NDArray[np.bool_], n: int, *, n_resamples: int = 200, random_state: Any = 0) -> Array:
    """Size of the union of n of the sets, drawn without replacement, in each of B draws: (B,).

    A union grows with the number of sets, so that only unions of as many can be compared. With fewer
    sets than 2 n the draws are too much alike to say how far another would differ: NaN.

    Parameters
    ----------
    sets : ndarray of shape (N, d)
        Members of each of N sets.
    n : int
        How many sets a union is of.

    Examples
    --------
    >>> unions(np.eye(8, dtype=bool), 3, n_resamples=2)
    array([3., 3.])
    """
    if n < 1:
        raise DataError(f"n is {n}: it must be at least 1")
    if len(sets) < 2 * n:
        return np.full(n_resamples, np.nan)
    rng = np.random.default_rng(random_state)
    drawn = np.argsort(rng.random((n_resamples, len(sets))), axis=1)[:, :n]
    chosen = np.zeros((n_resamples, len(sets)), dtype=np.float32)
    np.put_along_axis(chosen, drawn, 1.0, axis=1)
    return (chosen @ sets.astype(np.float32) > 0).sum(axis=1).astype(float)
