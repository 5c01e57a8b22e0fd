"""Two audits side by side: what an intervention changed, class by class, with intervals. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.errors import CemagError, DataError
from cemag.metrics import bootstrap_means, percentiles

if TYPE_CHECKING:
    from cemag.auditing.result import Audit

__all__ = ["Comparison", "compare"]

Array = NDArray[np.float64]
OF_ALL = ("recall", "lost_without_bias")
MEASURES = ("required_share", "top_share", "largest_share")
UNITS = {
    "recall": "recall",
    "lost_without_bias": "% predicted correctly only with the bias",
    "required_share": "% of the CEs required without the bias",
    "top_share": "share of the top 10 %",
    "largest_share": "share of the largest CE",
}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What differs between two audits, second minus first.

    Attributes
    ----------
    before, after : Audit
    paired : bool
        Whether both are of the same instances, in the same order.
    per_class : DataFrame
        One row per class and measure: ``before``, ``after``, ``difference`` with ``low`` and ``high``, and
        ``n``, the instances it rests on. ``recall`` and ``lost_without_bias`` (%, correct, and would not be
        without the bias) are over all instances of the class; the others are over correct predictions
        (of both models, where paired), without the bias: ``required_share`` (%, where the CEs give the
        prediction), ``top_share``, ``largest_share``.
    overall : DataFrame
        The same over the classes of each role, and over all: means over classes.
    confidence : float
    """

    before: Audit
    after: Audit
    paired: bool
    per_class: pd.DataFrame
    overall: pd.DataFrame
    confidence: float

    def summary(self) -> str:
        """What changed, in plain words, a line a measure and role."""
        how = "the same instances" if self.paired else "different instances"
        lines = [f"{self.before.model_name} against {self.after.model_name}, on {how}:"]
        for row in self.overall.to_dict("records"):
            verdict = "more" if row["low"] > 0 else "less" if row["high"] < 0 else "no difference seen"
            lines.append(
                f"- {UNITS[row['measure']]}, {row['role']} classes: {row['before']:.3g} to "
                f"{row['after']:.3g}, difference {row['difference']:+.3g} "
                f"({row['low']:+.3g} to {row['high']:+.3g}): {verdict}"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        head, *lines = self.summary().splitlines()
        table = self.overall.to_html(index=False, float_format=lambda v: f"{v:.3g}", classes="cemag-table")
        items = "".join(f"<li>{escape(line[2:])}</li>" for line in lines)
        return f"<p>{escape(head)}</p><ul>{items}</ul>{table}"


def compare(
    before: Audit,
    after: Audit,
    *,
    paired: bool | None = None,
    confidence: float = 0.95,
    n_resamples: int = 1000,
    random_state: int = 0,
) -> Comparison:
    """Compare two audits of models with the same classes, with bootstrap intervals over instances.

    Parameters
    ----------
    before, after : Audit
        With the same class names.
    paired : bool, optional
        Whether both are of the same instances in the same order. When not given, they are taken to be
        where the labels are the same row by row and are not merely sorted by class, as any two
        test sets of one folder layout would be.
    confidence : float, default=0.95
    n_resamples : int, default=1000
    random_state : int, default=0

    Returns
    -------
    Comparison

    Raises
    ------
    CemagError
        If the classes differ, or one audit is of the paper's CEs and the other of margin CEs.
    DataError
        If `confidence` is not between 0 and 1, `n_resamples` is below 100, or `paired` is asked for
        and the labels differ.

    Notes
    -----
    Instances are drawn anew within each class. The interval speaks of other instances, not of
    another training of the models: for that, repeat the training (see the book).
    """
    if before.class_names != after.class_names:
        only = [
            sorted(set(a.class_names) - set(b.class_names)) for a, b in ((before, after), (after, before))
        ]
        raise CemagError(
            f"the classes differ: only in the first {only[0][:5]}, only in the second {only[1][:5]}"
            if only != [[], []]
            else "the classes are in another order"
        )
    forms = [audit.settings["ces"] for audit in (before, after)]
    if forms[0] != forms[1]:
        raise CemagError(
            f"ces is {forms[0]!r} in the first audit and {forms[1]!r} in the second: one is needed"
        )
    if not 0 < confidence < 1:
        raise DataError(f"confidence is {confidence}: it must be between 0 and 1")
    if n_resamples < 100:
        raise DataError(f"n_resamples is {n_resamples}: it must be at least 100")
    paired = _same_instances(before, after, paired)
    drawn = np.random.default_rng(random_state)
    rows, draws = [], []
    sides = [_values(audit) for audit in (before, after)]
    for c, name in enumerate(before.class_names):
        of_class = [tuple(part[labels == c] for part in parts) for labels, *parts in sides]
        for measure, one, other, resampled in _of_class(of_class, paired, n_resamples, drawn):
            rows.append({"class": name, "measure": measure, **_numbers(one, other)})
            draws.append(resampled)
    per_class = pd.DataFrame(rows)
    resamples = np.array(draws)
    per_class = _with_interval(per_class, resamples, confidence)
    overall = _overall(per_class, resamples, before, confidence)
    return Comparison(before, after, paired, per_class, overall, confidence)


def _same_instances(before: Audit, after: Audit, asked: bool | None) -> bool:
    one, other = (audit.per_instance["label"].astype(str).to_numpy() for audit in (before, after))
    same = len(one) == len(other) and bool((one == other).all())
    if asked is None:
        runs = 1 + int((one[1:] != one[:-1]).sum())  # of equal labels: as many as classes where sorted
        return same and runs > len(np.unique(one))
    if asked and not same:
        raise DataError("paired is True: the labels of the two audits are not the same row by row")
    return asked


def _values(audit: Audit) -> tuple[NDArray[Any], NDArray[Any], Array]:
    """Class (N,), whether correct (N,), and each instance's values of `OF_ALL` and `MEASURES` (N, 5)."""
    table = audit.per_instance
    columns = [
        table["correct"],
        100 * (table["correct"] & table["lost_without_bias"]),
        100 * table["required_without_bias"] / audit.n_features,
        table["top_share"],
        table["largest_share"],
    ]
    values = np.column_stack(columns).astype(float)
    return table["label"].cat.codes.to_numpy(), table["correct"].to_numpy(), values


def _of_class(
    sides: list[tuple[NDArray[Any], Array]], paired: bool, n_resamples: int, rng: np.random.Generator
) -> Iterator[tuple[str, Array, Array, Array]]:
    """Measure, its values on both sides, and its difference in each resample (B,)."""
    (right, values), (right_after, values_after) = sides
    for j, name in enumerate((*OF_ALL, *MEASURES)):
        one, other = values[:, j], values_after[:, j]
        if name in MEASURES:
            both = right & right_after
            one, other = (one[both], other[both]) if paired else (one[right], other[right_after])
        if paired:
            known = np.isfinite(one) & np.isfinite(other)
            one, other = one[known], other[known]
            yield name, one, other, _means(other - one, n_resamples, rng)
        else:
            one, other = one[np.isfinite(one)], other[np.isfinite(other)]
            yield name, one, other, _means(other, n_resamples, rng) - _means(one, n_resamples, rng)


def _means(values: Array, n_resamples: int, rng: np.random.Generator) -> Array:
    return bootstrap_means(values[:, None], n_resamples=n_resamples, random_state=rng)[:, 0]


def _numbers(one: Array, other: Array) -> dict[str, float | int]:
    means = [float(side.mean()) if len(side) else np.nan for side in (one, other)]
    n = min(len(one), len(other))
    return {"before": means[0], "after": means[1], "difference": means[1] - means[0], "n": n}


def _with_interval(table: pd.DataFrame, resamples: Array, confidence: float) -> pd.DataFrame:
    low, high = percentiles(resamples.T, confidence)
    return table.assign(low=low, high=high)


def _overall(per_class: pd.DataFrame, resamples: Array, before: Audit, confidence: float) -> pd.DataFrame:
    """Means over the classes of a role, and over all, of which both models have values for two or more."""
    role = per_class["class"].map(dict(zip(before.class_names, before.per_class["role"], strict=True)))
    known = per_class["low"].notna()
    rows, draws = [], []
    for measure in (*OF_ALL, *MEASURES):
        for name in ("all", "majority", "minority"):
            chosen = (per_class["measure"] == measure) & known & ((role == name) | (name == "all"))
            if chosen.any():
                means = per_class.loc[chosen, ["before", "after", "difference"]].mean()
                rows.append({"measure": measure, "role": name, **means, "n_classes": int(chosen.sum())})
                draws.append(resamples[chosen.to_numpy()].mean(axis=0))
    if not rows:
        columns = ["measure", "role", "before", "after", "difference", "n_classes", "low", "high"]
        return pd.DataFrame(columns=columns)
    return _with_interval(pd.DataFrame(rows), np.array(draws), confidence)
