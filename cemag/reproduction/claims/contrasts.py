"""From the published frames to contrasts: one number a case and repetition, paired as the plan says.

Pure functions of frames; reads nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cemag.errors import CemagError
from cemag.reproduction.claims.plan import PLAN, Plan

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CHANGES",
    "PlannedRuns",
    "Point",
    "against_null",
    "augmenters_of",
    "by_rule",
    "gained",
    "required_changes",
]

QUANTITIES = {"C1": "required", "C2": "common_subset", "C3": "top_share", "C5a": "c5a", "C5b": "c5b"}
COUNTED_OVER = {
    "C1": "n_counted",
    "C2": "n_common",
    "C3": "n_correct",
    "C5a": "n_correct",
    "C5b": "n_correct",
}
ROLES = ("majority", "minority")
CHANGES = ("log ratio", "points", "log ratio of margin CEs")  # in which `required_changes` measures a change


class Point(NamedTuple):
    """One case in one repetition: what the claim is about, and the two numbers that it compares.

    `augmenter` is empty where none takes part; `n` is the number of instances behind a class's point.
    """

    dataset: str
    role: str
    augmenter: str
    repetition: int
    value: float
    quantity: float
    reference: float
    name: str = ""
    n: int = 0


def augmenters_of(family: str) -> tuple[str, ...]:
    """The paper's augmenters of a family of models.

    Examples
    --------
    >>> augmenters_of("cnn")
    ('ros', 'remix', 'dsm', 'eos')
    """
    from cemag.reproduction.runs.scales import PAPER_IMAGE_AUGMENTERS
    from cemag.reproduction.runs.selection import PAPER_AUGMENTERS

    names = PAPER_IMAGE_AUGMENTERS if family == "cnn" else PAPER_AUGMENTERS
    return tuple(name for name in names if name != "none")


class PlannedRuns:
    """The published frames of one family of models, as far as the plan lets them enter a verdict.

    Parameters
    ----------
    family : str
    classes, instances : DataFrame
        As `cemag.reproduction.runs.published_classes` and `published_instances` give them.
    plan : Plan, optional

    Attributes
    ----------
    rows : mapping
        From source, augmenter and gauge to the rows of `classes` by data set, repetition and class.

    Raises
    ------
    CemagError
        If two runs claim the same place in the plan.
    """

    def __init__(
        self, family: str, classes: pd.DataFrame, instances: pd.DataFrame, plan: Plan = PLAN
    ) -> None:
        self.family, self.plan = family, plan
        self.instances = self.taking_part(instances)
        self.rows: dict[tuple[str, str, str], dict[tuple[str, int, str], Any]] = defaultdict(dict)
        row: Any
        for row in self.taking_part(classes).rename(columns={"class": "name"}).itertuples(index=False):
            place = (row.dataset, int(row.repetition), str(row.name))
            others = self.rows[row.source, row.augmenter, row.gauge]
            if place in others:
                raise CemagError(f"{family}: two published runs of {row.augmenter} {place}: one is asked for")
            others[place] = row

    def taking_part(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows of a published frame that the plan lets enter a verdict."""
        frame = frame[(frame["family"] == self.family) & frame["standardised"].astype(bool)]
        asked = np.zeros(len(frame), dtype=bool)
        for name in self.plan.sets(self.family):
            repeats = self.plan.repeats(self.family, name)
            asked |= ((frame["dataset"] == name) & frame["repetition"].isin(repeats)).to_numpy()
        return frame[asked & frame["role"].isin(ROLES).to_numpy()]

    def of(self, source: str = "model", augmenter: str = "none", gauge: str = "paper") -> Mapping[Any, Any]:
        """Rows of one source, augmenter and gauge, by data set, repetition and class."""
        return self.rows.get((source, augmenter, gauge), {})

    def n_run(self, augmenter: str = "none") -> dict[str, int]:
        """How many of the planned repetitions of each set were run."""
        places = {(dataset, repetition) for dataset, repetition, _ in self.of(augmenter=augmenter)}
        return {name: sum(dataset == name for dataset, _ in places) for name in self.plan.sets(self.family)}

    def fold_factor(self, of: Literal["test", "weights"], claim: str) -> float:
        """What sharing training rows adds to the variance of a mean, by what is measured; 0 for networks."""
        return 0.0 if self.family == "cnn" else self.plan.fold_factor(of, claim)


def against_null(
    published: PlannedRuns, claim: str, null: str = "permuted_weights", gauge: str = "paper"
) -> list[Point]:
    """A claim's quantity against that of a model that learned nothing, paired by repetition and class.

    The contrast is the log of the ratio, or the difference, as the plan has it. A class takes part where it
    is measurable; a case is the mean over the classes of its role.
    """
    column, n, ratio = QUANTITIES[claim], COUNTED_OVER[claim], published.plan.claims[claim].ratio
    nulls = published.of(source=null, gauge=gauge)
    points = []
    for place, row in published.of(gauge=gauge).items():
        own = getattr(row, column)
        other = getattr(nulls[place], column) if place in nulls else math.nan
        value = _log_ratio(own, other) if ratio else own - other
        dataset, repetition, name = place
        points.append(Point(dataset, row.role, "", repetition, value, own, other, name, getattr(row, n)))
    both = {(dataset, repetition) for dataset, repetition, _ in nulls}
    n_run = {name: sum(dataset == name for dataset, _ in both) for name in published.n_run()}
    return _by_case(points, published, n_run)


def by_rule(required: pd.DataFrame, published: PlannedRuns, claim: str) -> dict[str, list[Point]]:
    """A claim's count alone, by every counting rule, for the paper's plain reading.

    Parameters
    ----------
    required : DataFrame
        As `cemag.reproduction.runs.published_required` gives it.
    published : PlannedRuns
        Says which runs and classes take part.
    claim : {"C1", "C2"}
    """
    column, n_run = QUANTITIES[claim], published.n_run()
    points: dict[str, list[Point]] = {}
    for row in published.taking_part(required).to_dict("records"):
        own, place = row[column], (row["dataset"], row["role"], "", row["repetition"])
        point = Point(*place, value=own, quantity=own, reference=math.nan, name=row["class"], n=row["n"])
        points.setdefault(row["rule"], []).append(point)
    return {rule: _by_case(of_rule, published, n_run) for rule, of_rule in points.items()}


def _log_ratio(own: float, other: float) -> float:
    return math.log(own / other) if own > 0 and other > 0 else math.nan


def required_changes(published: PlannedRuns) -> dict[str, list[Point]]:
    """What augmentation does to the CEs that an instance requires, paired by instance, class and repetition.

    Returns
    -------
    dict
        By how a change is measured, as `CHANGES` names them: the log of the ratio of the shares with and
        without augmentation, their difference in per cent of all CEs, and the log ratio of margin CEs.
        Only instances that both models predict correctly take part.
    """
    rows = published.instances
    rows = rows[(rows["role"] == "minority") & rows["correct"].astype(bool)]
    rows = rows.assign(
        quantity=rows["required"] / rows["n_ces"], margin=rows["required_margin"] / rows["n_ces"]
    )
    pair = ["dataset", "repetition", "class", "instance"]
    base = rows.loc[rows["augmenter"] == "none", [*pair, "quantity", "margin"]]
    others = rows.loc[rows["augmenter"].isin(augmenters_of(published.family))]
    pairs = others.merge(base, on=pair, validate="many_to_one", suffixes=("", "_without"))
    pairs = pairs.rename(columns={"quantity_without": "reference"})
    pairs["log ratio"] = np.log(pairs["quantity"] / pairs["reference"])
    pairs["points"] = 100 * (pairs["quantity"] - pairs["reference"])
    pairs["log ratio of margin CEs"] = np.log(pairs["margin"] / pairs["margin_without"])
    grouped = pairs.groupby(
        ["dataset", "augmenter", "repetition", "class"], observed=True, sort=False, as_index=False
    )
    means = grouped[["quantity", "reference", *CHANGES]].mean()
    counts = grouped[list(CHANGES)].count()
    return {kind: _changed(means, means[kind], counts[kind], published) for kind in CHANGES}


def _changed(means: pd.DataFrame, value: pd.Series, counts: pd.Series, published: PlannedRuns) -> list[Point]:
    columns = (means[c] for c in ("dataset", "augmenter", "repetition", "class", "quantity", "reference"))
    points = defaultdict(list)
    for d, augmenter, r, name, own, other, v, n in zip(*columns, value, counts, strict=True):
        points[augmenter].append(Point(d, "minority", augmenter, r, v, own, other, name, n))
    return [
        point
        for augmenter, of_one in points.items()
        for point in _by_case(of_one, published, published.n_run(augmenter))
    ]


def gained(
    published: PlannedRuns, score: str, reference: str = "none", augmenters: Sequence[str] | None = None
) -> list[Point]:
    """What augmenters add to a score over another way of training, paired by repetition.

    Parameters
    ----------
    published : PlannedRuns
    score : {"recall", "balanced_accuracy"}
        Recall is that of the minority classes.
    reference : str, default="none"
        Such as ``"threshold"``, the model without augmentation whose threshold alone is moved.
    augmenters : sequence of str, optional
        The paper's when not given.
    """
    names = augmenters_of(published.family) if augmenters is None else augmenters
    base = _scores(published, reference, score)
    return [
        Point(
            dataset,
            "minority",
            name,
            repetition,
            own - base[dataset, repetition],
            own,
            base[dataset, repetition],
        )
        for name in names
        for (dataset, repetition), own in _scores(published, name, score).items()
        if (dataset, repetition) in base
    ]


def _scores(published: PlannedRuns, augmenter: str, score: str) -> dict[tuple[str, int], float]:
    found = defaultdict(list)
    for (dataset, repetition, _), row in published.of(augmenter=augmenter).items():
        if row.role == "minority":
            found[dataset, repetition].append(getattr(row, score))
    return {place: sum(values) / len(values) for place, values in found.items()}


def _by_case(points: Iterable[Point], published: PlannedRuns, n_run: Mapping[str, int]) -> list[Point]:
    """Mean over the measurable classes of each case and repetition.

    A class is measurable where it has a value over enough instances in enough of the repetitions that were
    run; elsewhere, and in the other repetitions, it takes no part.
    """
    asked = published.plan.measurable
    by_class = defaultdict(list)
    for point in points:
        if point.n >= asked.instances and math.isfinite(point.value):
            by_class[point.dataset, point.name].append(point)
    by_case = defaultdict(list)
    for (dataset, _), known in by_class.items():
        if len(known) >= asked.repetitions * n_run[dataset] - 1e-9:
            for point in known:
                by_case[point[:4]].append(point)
    return [Point(*place, *_means(of_case)) for place, of_case in by_case.items()]


def _means(points: Sequence[Point]) -> tuple[float, float, float]:
    n = len(points)
    value, quantity, reference = (sum(column) / n for column in zip(*(p[4:7] for p in points), strict=True))
    return value, quantity, reference
