"""Does magnitude follow frequency? Correlation over features, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError, check_known

__all__ = ["Relation", "relation"]

Array = NDArray[np.float64]
Statistic = Literal["spearman", "pearson"]


@dataclass(frozen=True)
class Relation:
    """A correlation and its bootstrap interval; all NaN where it is undefined.

    Attributes
    ----------
    statistic : "spearman" or "pearson"
    estimate, low, high : float
        The correlation and its percentile interval.
    n : int
        Number of pairs.
    """

    statistic: str
    estimate: float
    low: float
    high: float
    n: int


def relation(
    x: ArrayLike,
    y: ArrayLike,
    *,
    statistic: Statistic = "spearman",
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int = 0,
) -> Relation:
    """Correlation of x and y with a percentile bootstrap interval over the pairs.

    A resample is a vector of counts, so all of them are matrix products; ranks are those of the
    resample itself, ties shared, as if it had been ranked anew.

    Parameters
    ----------
    x, y : array_like of shape (d,)
        One pair a feature; pairs with a NaN are left out.
    statistic : {"spearman", "pearson"}
    n_resamples : int, default=1000
        Takes memory for a few arrays of (n_resamples, d).
    confidence : float, default=0.95
    random_state : int, default=0

    Returns
    -------
    Relation
        NaN where fewer than three pairs are left or one side is constant: a correlation with a
        constant is not zero, it does not exist.

    Examples
    --------
    >>> found = relation([1, 2, 3, 4, 5], [2, 4, 6, 8, 11])
    >>> found.estimate, found.n
    (1.0, 5)
    """
    check_known("statistic", statistic, ("spearman", "pearson"))
    pairs = _pairs(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    n = len(pairs[0])
    if n < 3 or any(np.ptp(side) == 0 for side in pairs):
        return Relation(statistic, np.nan, np.nan, np.nan, n)
    counts = _resamples(n, n_resamples, random_state)
    estimate = float(_correlate(*pairs, np.ones((1, n)), statistic)[0])
    draws = _correlate(*pairs, counts, statistic)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(draws, [tail, 1 - tail]) if np.isfinite(draws).any() else (np.nan, np.nan)
    return Relation(statistic, estimate, float(low), float(high), n)


def _pairs(x: Array, y: Array) -> tuple[Array, Array]:
    if x.ndim != 1 or x.shape != y.shape:
        raise DataError(f"x has shape {x.shape} and y {y.shape}: one pair a feature is needed")
    both = np.isfinite(x) & np.isfinite(y)
    return x[both], y[both]


@lru_cache(maxsize=2)
def _resamples(n: int, n_resamples: int, random_state: int) -> Array:
    """How often each of n pairs is in each resample: (n_resamples, n)."""
    rng = np.random.default_rng(random_state)
    drawn = rng.integers(0, n, size=(n_resamples, n))
    drawn += n * np.arange(n_resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n * n_resamples).reshape(n_resamples, n).astype(np.float64)
    counts.setflags(write=False)
    return counts


def _correlate(x: Array, y: Array, counts: Array, statistic: Statistic) -> Array:
    """Correlation in each resample: (B,), from counts (B, d) whose rows sum to d."""
    n = len(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        if statistic == "pearson":
            x, y = x - x.mean(), y - y.mean()
            mx, my, xy, xx, yy = (counts @ np.column_stack([x, y, x * y, x * x, y * y]) / n).T
            r = (xy - mx * my) / np.sqrt((xx - mx**2) * (yy - my**2))
        else:
            u, v = _midranks(x, counts) - (n + 1) / 2, _midranks(y, counts) - (n + 1) / 2
            weighted = counts * u
            uv, uu = np.einsum("ij,ij->i", weighted, v), np.einsum("ij,ij->i", weighted, u)
            r = uv / np.sqrt(uu * np.einsum("ij,ij,ij->i", counts, v, v))
    return np.clip(r, -1, 1)


def _midranks(values: Array, counts: Array) -> Array:
    """Rank of each value among a resample that holds it `counts` times, ties at their middle: (B, d)."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    in_group = np.add.reduceat(counts[:, order], starts, axis=1)
    middle = np.cumsum(in_group, axis=1) - (in_group - 1) / 2
    return middle[:, group]
