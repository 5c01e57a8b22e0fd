"""What a few repetitions allow to say: of one case, of all cases together, and of how many of them.

Pure functions of numbers; scipy is imported when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BeforeValidator, PlainSerializer

__all__ = [
    "ALPHA",
    "Estimate",
    "Number",
    "at_least",
    "of_repetitions",
    "pooled",
    "power",
    "runs_range",
]

ALPHA = 0.05  # of a one-sided test of one case
CONFIDENCE = 0.95
POWER = 0.8  # at which `runs_range` aims
MOST_RUNS = 1000
Array = NDArray[np.float64]


def _read(value: object) -> object:
    return float("nan") if value is None else value


def _written(value: float) -> float | str | None:
    if np.isnan(value):
        return None
    return float(f"{value:.6g}") if np.isfinite(value) else "inf"


# JSON knows neither NaN nor infinity; six digits are more than any machine differs in
Number = Annotated[float, BeforeValidator(_read), PlainSerializer(_written, when_used="json")]


@dataclass(frozen=True)
class Estimate:
    """A mean with the variance of it.

    Attributes
    ----------
    mean, variance : float
    df : float
        Degrees of freedom that the variance is known with; NaN where it is not.
    n : int
        Repetitions behind it.
    """

    mean: Number
    variance: Number
    df: Number
    n: int

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Student's interval; (NaN, NaN) where the variance is not known.

        Examples
        --------
        >>> low, high = of_repetitions([1.0, 2.0, 3.0]).interval()
        >>> round(low, 2), round(high, 2)
        (-0.48, 4.48)
        """
        from scipy import special

        half = float(special.stdtrit(self.df, (1 + confidence) / 2)) * float(np.sqrt(self.variance))
        return self.mean - half, self.mean + half

    def p_above(self, bound: float) -> float:
        """P value of a one-sided t test that the mean lies above a bound; no spread is taken at its word.

        Examples
        --------
        >>> round(of_repetitions([1.0, 2.0, 3.0]).p_above(0.0), 3)
        0.037
        """
        from scipy import special

        distance = self.mean - bound
        if np.isnan(self.variance) or np.isnan(distance):
            return float("nan")
        if self.variance == 0:
            return 0.0 if distance > 0 else 1.0
        return float(special.stdtr(self.df, -distance / np.sqrt(self.variance)))

    def p_below(self, bound: float) -> float:
        """P value of the test on the other side.

        Examples
        --------
        >>> round(of_repetitions([1.0, 2.0, 3.0]).p_below(4.0), 3)
        0.037
        """
        return Estimate(-self.mean, self.variance, self.df, self.n).p_above(-bound)


def of_repetitions(values: ArrayLike, fold_factor: float = 0.0) -> Estimate:
    """Mean over the repetitions of one case.

    Parameters
    ----------
    values : array_like of shape (n,)
        One value a repetition.
    fold_factor : float, default=0.0
        What repetitions that share training rows add to the variance of their mean, beyond ``1 / n``: it
        comes from the planned number of folds, also where a fold has no value. 0 for networks, each of
        which has a training subset of its own.

    Examples
    --------
    >>> of_repetitions([1.0, 2.0, 3.0])
    Estimate(mean=2.0, variance=0.3333333333333333, df=2.0, n=3)
    >>> round(of_repetitions([1.0, 2.0, 3.0], fold_factor=0.25).variance, 3)
    0.583
    """
    found = np.asarray(values, dtype=float)
    n = len(found)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    if n == 1:
        return Estimate(float(found[0]), float("nan"), float("nan"), 1)
    spread = float(found.var(ddof=1))
    return Estimate(float(found.mean()), (1 / n + fold_factor) * spread, float(n - 1), n)


def pooled(of_sets: Sequence[Estimate]) -> Estimate:
    """Mean over fixed sets of the mean within each, with Welch and Satterthwaite's degrees of freedom.

    References
    ----------
    .. [1] F. E. Satterthwaite, "An Approximate Distribution of Estimates of Variance Components", Biometrics
       Bulletin 2, 1946.

    Examples
    --------
    >>> both = pooled([of_repetitions([1.0, 2.0, 3.0]), of_repetitions([4.0, 5.0, 6.0])])
    >>> both.mean, round(both.variance, 3), both.df, both.n
    (3.5, 0.167, 4.0, 6)
    """
    n = len(of_sets)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    variances = np.array([part.variance for part in of_sets])
    known = np.array([part.df for part in of_sets])
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variances.sum() ** 2 / (variances**2 / known).sum() if variances.any() else known.sum()
    mean = float(np.mean([part.mean for part in of_sets]))
    return Estimate(mean, float(variances.sum()) / n**2, float(df), sum(part.n for part in of_sets))


def at_least(p: ArrayLike, alpha: float = ALPHA) -> int:
    """In at least how many of n cases a claim holds, at confidence ``1 - alpha``.

    The partial conjunction hypothesis "fewer than u of n" is rejected where ``(n - u + 1) p_(u) <= alpha``
    (Bonferroni's combination of the n - u + 1 largest P values); the largest such u is returned. For u = n
    that is the intersection-union test: every P value on its own.

    Parameters
    ----------
    p : array_like of shape (n,)
        One-sided P values of the cases.

    Notes
    -----
    Taking the largest u over all n questions is Hochberg's step-up procedure on the cases that do not
    hold: the chance that u is too large is at most `alpha` where their P values are independent or
    positively dependent.

    References
    ----------
    .. [1] Y. Benjamini and R. Heller, "Screening for Partial Conjunction Hypotheses", Biometrics 64, 2008.
    .. [2] Y. Hochberg, "A sharper Bonferroni procedure for multiple tests of significance", Biometrika,
       1988.

    Examples
    --------
    >>> at_least([0.001, 0.04, 0.3]), at_least([0.04, 0.04, 0.04]), at_least([0.02, 0.2, 0.3])
    (1, 3, 0)
    """
    return int(at_least_of_each(np.asarray(p, dtype=float)[None], alpha)[0])


def at_least_of_each(p: Array, alpha: float = ALPHA) -> NDArray[np.intp]:
    """`at_least` for every row of (m, n) P values: (m,)."""
    n = p.shape[1]
    if n == 0:
        return np.zeros(len(p), dtype=np.intp)
    rejected = np.sort(p, axis=1) * np.arange(n, 0, -1) <= alpha
    return np.where(rejected.any(axis=1), n - np.argmax(rejected[:, ::-1], axis=1), 0)


# ---------------------------------------------------------------------- what it would take to know


def power(effect: float, n: int, fold_factor: float = 0.0, alpha: float = ALPHA) -> float:
    """Chance that the one-sided test of one case finds an effect, in standard deviations of a repetition.

    Examples
    --------
    >>> round(power(2.0, 3), 2), round(power(0.8, 12), 2), round(power(2.0, 5, fold_factor=0.25), 2)
    (0.71, 0.83, 0.79)
    """
    from scipy import special

    spread = np.sqrt(1 / n + fold_factor)
    found = 1 - special.nctdtr(n - 1, effect / spread, special.stdtrit(n - 1, 1 - alpha))
    return float(found) if np.isfinite(found) else 1.0  # so far from zero that scipy gives up


def runs_range(case: Estimate, bound: float, fold_factor: float = 0.0) -> tuple[float, float]:
    """Repetitions of one open case for a power of 0.8: a range, as its effect is known in an interval only.

    Parameters
    ----------
    case : Estimate
    bound : float
    fold_factor : float, default=0.0
        With which `case` was estimated. More folds of the same rows take nothing from it, so the answer
        is in repetitions that share nothing: networks, or tables of this size drawn anew.

    Returns
    -------
    tuple of float
        For the ends of the 80 % interval of the mean, farthest from the bound first; infinite beyond 1,000,
        and where the interval holds the bound. NaN where there is no spread.

    Examples
    --------
    >>> runs_range(of_repetitions([0.1, 0.9, 0.5, -0.1]), 0.0)
    (5.0, inf)
    """
    if case.n < 2 or not case.variance > 0:
        return float("nan"), float("nan")
    spread = np.sqrt(case.variance / (1 / case.n + fold_factor))
    low, high = (abs(end - bound) / spread for end in case.interval(0.8))
    inside = (case.interval(0.8)[0] - bound) * (case.interval(0.8)[1] - bound) <= 0
    few = _runs_needed(max(low, high), case.n)
    return few, float("inf") if inside else _runs_needed(min(low, high), case.n)


def _runs_needed(effect: float, at_hand: int) -> float:
    """Fewest repetitions, more than there are, that find an effect with a power of 0.8."""
    low, high = max(2, at_hand + 1), MOST_RUNS
    if power(effect, high) < POWER:
        return float("inf")
    while low < high:  # power grows with the number of runs
        middle = (low + high) // 2
        enough = power(effect, middle) >= POWER
        low, high = (low, middle) if enough else (middle + 1, high)
    return float(low)
