"""Tests that can say no: each case against a bound, corrected for their number; what it would take to know.

Pure functions of numbers; scipy and statsmodels do the arithmetic, and are imported when called.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.errors import check_known

__all__ = ["ALPHA", "POWER", "decide_cases", "equivalence", "hierarchical_interval", "power", "runs_needed"]

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

    if se == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(max(stats.t.sf((mean + margin) / se, df), stats.t.cdf((mean - margin) / se, df)))


def power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Chance that a one-sided t test of n independent runs finds an effect, in standard deviations.

    Examples
    --------
    >>> round(power(2.0, 3), 2), round(power(2.0, 5), 2)
    (0.71, 0.97)
    """
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().power(effect, n, alpha, alternative="larger"))


def runs_needed(effect: float, alpha: float = ALPHA) -> float:
    """Independent runs of one case for a power of 0.8, infinite beyond 1,000; NaN for an unknown effect.

    Examples
    --------
    >>> runs_needed(1.0), runs_needed(0.01)
    (8.0, inf)
    """
    if not effect >= 0:
        return float("nan")
    low, high = 2, MOST_RUNS
    if power(effect, high, alpha) < POWER:
        return float("inf")
    while low < high:  # power grows with the number of runs
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, alpha) >= POWER else (middle + 1, high)
    return float(low)


def hierarchical_interval(
    frame: pd.DataFrame,
    value: str,
    *,
    group: str = "dataset",
    confidence: float = 0.95,
    n_resamples: int = 4000,
    random_state: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of the mean over groups of the mean within each: groups, then rows within them.

    Parameters
    ----------
    frame : DataFrame
        A row a repetition; rows where `value` is NaN are left out.
    value, group : str
        Column to average, and the outer level that is drawn with replacement first.

    Returns
    -------
    tuple of float
        Lower and upper end; NaN for an empty frame. Memory is ``n_resamples`` x groups x rows a group.

    Examples
    --------
    >>> frame = pd.DataFrame({"dataset": ["a"] * 3 + ["b"] * 3, "x": [1.0, 1.0, 1.0, 3.0, 3.0, 3.0]})
    >>> hierarchical_interval(frame, "x")
    (1.0, 3.0)
    """
    parts = [part.to_numpy(float) for _, part in frame.dropna(subset=[value]).groupby(group)[value]]
    if not parts:
        return float("nan"), float("nan")
    rng = np.random.default_rng(random_state)
    sizes = np.array([len(part) for part in parts])
    padded = np.zeros((len(parts), sizes.max()))
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    groups = rng.integers(len(parts), size=(n_resamples, len(parts)))
    n = sizes[groups][..., None]
    rows = np.floor(rng.random((n_resamples, len(parts), sizes.max())) * n).astype(int)
    inside = np.arange(sizes.max()) < n  # a group draws as many rows as it has
    means = (padded[groups[..., None], rows] * inside).sum(-1) / n[..., 0]
    low, high = np.quantile(means.mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
