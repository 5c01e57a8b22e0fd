"""Means over repetitions with intervals that know whether these share training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from cemag.reproduction.claims.plan import PLAN

__all__ = ["Measured", "over_repeats", "paired_over_repeats", "paired_repeats"]

TOP = "share of the top 10 %"
Measured = Literal["weights", "test", "recall", "share of the top 10 %"]


def over_repeats(
    frame: pd.DataFrame,
    value: str,
    by: Sequence[str],
    confidence: float = 0.95,
    *,
    of: Measured = "weights",
) -> pd.DataFrame:
    r"""Mean of a column over repetitions, with a t interval.

    A repetition is a split of k-fold cross-validation, or, where the column ``design`` says
    ``"seeds"``, a network with a training subset and a seed of its own.

    Folds share training rows, so that their results are not independent; the variance of the mean is
    taken as :math:`(1/n + f) s^2`, with n rows and the plan's f: :math:`1/(k-1)` for what is measured on test
    rows [1]_, and 1.25 for what depends on the weights, by the coverage measured on resampled tables
    (`cemag.reproduction.claims.coverage`). Degrees of freedom are those of the splits: more seeds do not add
    any. Seeds draw their own subsets, and the variance is :math:`s^2/n`; all are judged by one test set, so
    that the interval speaks of training, not of other test images.

    Parameters
    ----------
    frame : DataFrame
        A row a split (and seed) in each group, with the column ``split``; without it each row is a split.
    value : str
        Column to average; rows where it is NaN are left out, and `n` says how many remain.
    by : sequence of str
        Columns that name a group.
    of : {"weights", "test", "recall", "share of the top 10 %"}
        What the column depends on: the weights, as every CE does, or the test rows alone, as what recall
        gains does; recall itself, and the share of the top 10 %, have factors of their own in the plan.

    Returns
    -------
    DataFrame
        Columns of `by`, then ``mean``, ``sd``, ``n``, ``se`` (standard error), ``df`` (degrees of
        freedom), ``low``, ``high``.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003.

    Examples
    --------
    >>> frame = pd.DataFrame({"set": ["a"] * 5, "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    >>> over_repeats(frame, "x", ["set"]).round(2)[["mean", "sd", "low", "high"]].values.tolist()
    [[3.0, 1.58, -2.29, 8.29]]
    >>> over_repeats(frame, "x", ["set"], of="test").round(2)[["low", "high"]].values.tolist()
    [[0.06, 5.94]]
    >>> over_repeats(frame.assign(design="seeds"), "x", ["set"]).round(2)[["low", "high"]].values.tolist()
    [[1.04, 4.96]]
    """
    frame = frame.dropna(subset=[value])
    if "split" not in frame:
        frame = frame.assign(split=np.arange(len(frame)))
    if "design" not in frame:
        frame = frame.assign(design="folds")
    grouped = frame.groupby(list(by), observed=True, sort=False)
    found = grouped.agg(
        mean=(value, "mean"),
        sd=(value, "std"),
        n=(value, "count"),
        k=("split", "nunique"),
        design=("design", "first"),
    ).reset_index()
    k = found.pop("k")
    k = k.where(k > 1).astype(float)
    own = {"weights": PLAN.fold_factor("weights"), "recall": PLAN.fold_factor("test", "recall")}
    own |= {TOP: PLAN.fold_factor("weights", TOP)}
    factor = own.get(of, 1 / (k - 1))
    shared = pd.Series(factor, index=found.index).where(found.pop("design") == "folds", 0.0)
    found = found.assign(se=found["sd"] * np.sqrt(1 / found["n"] + shared), df=k - 1)
    half = stats.t.ppf((1 + confidence) / 2, found["df"]) * found["se"]
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


def paired_repeats(
    frame: pd.DataFrame, value: str, by: Sequence[str], *, factor: str, reference: str
) -> pd.DataFrame:
    """Difference of each level of a factor to a reference level, repetition by repetition.

    Parameters
    ----------
    frame : DataFrame
        Columns `by`, `factor`, ``split`` (and ``seed``), and `value`.
    factor, reference : str
        Such as ``"augmenter"`` and ``"none"``.

    Returns
    -------
    DataFrame
        The rows of the other levels, with the columns ``reference`` and ``difference``.

    Examples
    --------
    >>> frame = pd.DataFrame({"set": "a", "augmenter": ["none", "none", "ros", "ros"], "seed": 0,
    ...                       "split": [0, 1, 0, 1], "x": [1.0, 2.0, 2.0, 4.0]})
    >>> paired_repeats(frame, "x", ["set"], factor="augmenter", reference="none")["difference"].tolist()
    [1.0, 2.0]
    """
    unit = [*by, "split", "seed"]
    base = frame.loc[frame[factor] == reference, [*unit, value]].rename(columns={value: "reference"})
    others = frame.loc[frame[factor] != reference].merge(base, on=unit, validate="many_to_one")
    return others.assign(difference=others[value] - others["reference"])


def paired_over_repeats(
    frame: pd.DataFrame,
    value: str,
    by: Sequence[str],
    *,
    factor: str,
    reference: str,
    of: Measured = "weights",
) -> pd.DataFrame:
    """Mean and interval of `paired_repeats`, as `over_repeats` has them.

    Examples
    --------
    >>> frame = pd.DataFrame({"set": "a", "augmenter": ["none", "none", "ros", "ros"], "seed": 0,
    ...                       "split": [0, 1, 0, 1], "x": [1.0, 2.0, 2.0, 4.0]})
    >>> paired_over_repeats(frame, "x", ["set"], factor="augmenter", reference="none")["mean"].tolist()
    [1.5]
    """
    others = paired_repeats(frame, value, by, factor=factor, reference=reference)
    return over_repeats(others, "difference", [*by, factor], of=of)
