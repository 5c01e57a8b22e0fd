"""Tests that can say no: each case against a bound, corrected for their number; what it would take to know.

Pure functions of numbers; scipy and statsmodels do the arithmetic, and are imported when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.errors import check_known

__all__ = [
    "ALPHA",
    "POWER",
    "decide_cases",
    "equivalence",
    "equivalences",
    "hierarchical_interval",
    "power",
    "runs_needed",
]

ALPHA = 0.05  # of each one-sided test, after Holm's correction
POWER = 0.8  # at which `runs_needed` aims
MOST_RUNS = 1000
Direction = Literal["above", "below"]


def decide_cases(
    cases: pd.DataFrame, bound: float, direction: Direction, alpha: float = ALPHA
) -> pd.DataFrame:
    """Test every case on both sides of a bound, with Holm's correction over the cases.

    Parameters
    ----------
    cases : DataFrame
        Columns ``mean``, ``sd``, ``n``, ``se`` and ``df`` as `over_repeats` gives them. A case without a
        standard error (one repetition) cannot be decided and takes no part in the correction.
    bound : float
    direction : {"above", "below"}
        On which side of the bound the claim lies; exactly at the bound it does not hold.
    alpha : float, default=0.05
        Level of the family of cases, for each of the two questions.

    Returns
    -------
    DataFrame
        `cases` with ``p_holds`` (of the hypothesis that the claim does not hold there), ``p_fails`` (that
        it does), both corrected, and ``decision`` (``"holds"``, ``"fails"`` or ``"undecided"``).

    Notes
    -----
    Where no case holds in truth, the chance that any is said to hold is at most `alpha`; likewise for
    fails. A spread of zero is taken at its word.

    Examples
    --------
    >>> cases = pd.DataFrame({"mean": [3.0, 0.1], "sd": 1.0, "n": 5, "se": 0.45, "df": 4})
    >>> decide_cases(cases, 0, "above")["decision"].tolist()
    ['holds', 'undecided']
    """
    from scipy import stats

    check_known("direction", direction, ["above", "below"])
    distance = (cases["mean"] - bound) * (1 if direction == "above" else -1)
    se, df = cases["se"].to_numpy(float), cases["df"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(se > 0, distance / se, np.copysign(np.inf, distance))
    t = np.where((se == 0) & (distance == 0), -np.inf, t)
    t = np.where(np.isfinite(se), t, np.nan)
    p_holds, p_fails = _holm(stats.t.sf(t, df)), _holm(stats.t.cdf(t, df))
    decision = np.select([p_holds < alpha, p_fails < alpha], ["holds", "fails"], "undecided")
    return cases.assign(p_holds=p_holds, p_fails=p_fails, decision=decision)


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction; NaN stays. (statsmodels' own collects garbage in every call.)"""
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known])]
    corrected = np.full(len(p), np.nan)
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    corrected[order] = np.minimum(steps, 1)
    return corrected


def equivalence(mean: float, se: float, df: float, margin: float) -> float:
    """P value of two one-sided tests that a mean lies within plus or minus a margin.

    References
    ----------
    .. [1] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
       assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and
       Biopharmaceutics 15, 1987.

    Examples
    --------
    >>> bool(equivalence(0.0, 1.0, 4, margin=5.0) < 0.05 < equivalence(4.0, 1.0, 4, margin=5.0))
    True
    """
    from scipy import stats

    if np.isnan(se):
        return float("nan")
    if se == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(max(stats.t.sf((mean + margin) / se, df), stats.t.cdf((mean - margin) / se, df)))


def equivalences(cases: pd.DataFrame, margin: float) -> NDArray[np.float64]:
    """P value of `equivalence` for every case (n_cases,), with Holm's correction; NaN where it has no spread.

    Examples
    --------
    >>> cases = pd.DataFrame({"mean": [0.0, 9.0], "se": 1.0, "df": 4})
    >>> (equivalences(cases, 5.0) < ALPHA).tolist()
    [True, False]
    """
    of_each = zip(cases["mean"], cases["se"], cases["df"], strict=True)
    return _holm(np.array([equivalence(mean, se, df, margin) for mean, se, df in of_each]))


def power(effect: float, n: int, alpha: float = ALPHA, folds: bool = False) -> float:
    """Chance that a one-sided t test of n runs finds an effect, in standard deviations.

    Parameters
    ----------
    effect : float
    n : int
    alpha : float, default=0.05
        Level of the test; over m cases Holm's correction starts with ``ALPHA / m``.
    folds : bool, default=False
        Whether the runs are the folds of one cross-validation, which share training rows: see
        `over_repeats` for what that adds to the variance of their mean.

    Examples
    --------
    >>> round(power(2.0, 3), 2), round(power(2.0, 5), 2), round(power(2.0, 3, ALPHA / 12), 2)
    (0.71, 0.97, 0.1)
    """
    from scipy import stats

    spread = np.sqrt(1 / n + (1 / (n - 1) if folds else 0))
    found = stats.nct.sf(stats.t.isf(alpha, n - 1), n - 1, effect / spread)
    return float(found) if np.isfinite(found) else 1.0  # so far from zero that scipy gives up


def runs_needed(effect: float, alpha: float = ALPHA, folds: bool = False, above: int = 1) -> float:
    """Runs of one case for a power of 0.8, more than it has; infinite beyond 1,000, NaN for no known effect.

    Parameters
    ----------
    effect, alpha, folds
        As for `power`; of folds, as if more of them left the spread as it is.
    above : int, default=1
        Runs that there are, and that did not decide.

    Examples
    --------
    >>> runs_needed(1.0), runs_needed(1.0, ALPHA / 12), runs_needed(0.01)
    (8.0, 16.0, inf)
    """
    if not effect >= 0:
        return float("nan")
    low, high = max(2, above + 1), MOST_RUNS
    if power(effect, high, alpha, folds) < POWER:
        return float("inf")
    while low < high:  # power grows with the number of runs
        middle = (low + high) // 2
        enough = power(effect, middle, alpha, folds) >= POWER
        low, high = (low, middle) if enough else (middle + 1, high)
    return float(low)


def hierarchical_interval(
    frame: pd.DataFrame,
    value: str,
    *,
    group: str = "dataset",
    unit: Sequence[str] = ("split", "seed"),
    confidence: float = 0.95,
    n_resamples: int = 4000,
    random_state: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of the mean over groups of the mean within each: groups, then repetitions.

    Parameters
    ----------
    frame : DataFrame
        A row a repetition and case; rows where `value` is NaN are left out.
    value, group : str
        Column to average, and the outer level that is drawn with replacement first.
    unit : sequence of str
        Columns that name a repetition. All rows of one are drawn together: they share a network, or
        training rows. A frame without these columns has a row a repetition.

    Returns
    -------
    tuple of float
        Lower and upper end; NaN for an empty frame. Memory is ``n_resamples`` x groups x repetitions.

    Examples
    --------
    >>> frame = pd.DataFrame({"dataset": ["a"] * 3 + ["b"] * 3, "x": [1.0, 1.0, 1.0, 3.0, 3.0, 3.0]})
    >>> hierarchical_interval(frame, "x")
    (1.0, 3.0)
    """
    frame = frame.dropna(subset=[value]).reset_index(drop=True)
    if frame.empty:
        return float("nan"), float("nan")
    names = [name for name in unit if name in frame]
    repetition = [frame[name] for name in names] or [frame.index.to_series()]
    per_unit = frame.groupby([frame[group], *repetition])[value].agg(["sum", "count"])
    parts = [part.to_numpy(float) for _, part in per_unit.groupby(level=0)]
    sizes = np.array([len(part) for part in parts])
    padded = np.zeros((len(parts), sizes.max(), 2))  # sum and number of rows of each repetition
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    rng = np.random.default_rng(random_state)
    groups = rng.integers(len(parts), size=(n_resamples, len(parts)))
    n = sizes[groups][..., None]
    rows = np.floor(rng.random((n_resamples, len(parts), sizes.max())) * n).astype(int)
    inside = (np.arange(sizes.max()) < n)[..., None]  # a group draws as many repetitions as it has
    total, count = np.moveaxis((padded[groups[..., None], rows] * inside).sum(axis=2), -1, 0)
    low, high = np.quantile((total / count).mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
