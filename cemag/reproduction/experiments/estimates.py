"""Means over repetitions with their intervals. Pure functions of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from cemag.errors import DataError

__all__ = ["Estimate", "mean_and_interval", "over_sets"]


@dataclass(frozen=True)
class Estimate:
    """A mean over repetitions with its 95 % t interval.

    Examples
    --------
    >>> str(Estimate(0.5, 0.25, 0.75, 12))
    '0.500 (0.250 to 0.750)'
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> str:
        """``holds`` if the interval lies above 0, ``fails`` if below, else ``open``."""
        return "holds" if self.low > 0 else "fails" if self.high < 0 else "open"

    @property
    def points(self) -> str:
        """The same as text in percentage points."""
        return f"{self.value:+.1f} points ({self.low:+.1f} to {self.high:+.1f})"

    def times(self, scale: float) -> Estimate:
        """The same in another unit."""
        return Estimate(scale * self.value, scale * self.low, scale * self.high, self.n)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_and_interval(values: pd.Series) -> Estimate:
    """Mean and 95 % t interval over repetitions; of a single one the interval is not known.

    Examples
    --------
    >>> mean_and_interval(pd.Series([1.0, 2.0, 3.0])).value
    2.0
    """
    known = values.dropna().to_numpy(dtype=float)
    if len(known) == 0:
        raise DataError("there is no repetition to take a mean over")
    half = np.nan
    if len(known) > 1:
        half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    mean = float(known.mean())
    return Estimate(mean, mean - half, mean + half, len(known))


def over_sets(table: pd.DataFrame, column: str) -> Estimate:
    """Mean over fixed data sets of the mean over their repetitions; interval by Welch and Satterthwaite.

    Sets with a single repetition take no part: how much they vary is not known.

    Examples
    --------
    >>> table = pd.DataFrame({"dataset": ["a"] * 3 + ["b"] * 3, "x": [1.0, 2.0, 3.0, 5.0, 6.0, 7.0]})
    >>> str(over_sets(table, "x"))
    '4.000 (2.867 to 5.133)'
    """
    by = table.dropna(subset=[column]).groupby("dataset")[column].agg(["mean", "var", "size"])
    by = by[by["size"] > 1]
    if by.empty:
        raise DataError(f"no data set has two repetitions of {column}")
    of_set = by["var"] / by["size"] / len(by) ** 2
    variance = float(of_set.sum())
    freedom = variance**2 / float((of_set**2 / (by["size"] - 1)).sum()) if variance > 0 else np.inf
    half = float(stats.t.ppf(0.975, freedom) * np.sqrt(variance))
    mean = float(by["mean"].mean())
    return Estimate(mean, mean - half, mean + half, int(by["size"].sum()))
