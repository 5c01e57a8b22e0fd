"""The scorecard: every claim answered for every family of models from the published records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from cemag.reproduction.claims import contrasts
from cemag.reproduction.claims.contrasts import PlannedRuns, Point
from cemag.reproduction.claims.inference import Estimate, Number, at_least
from cemag.reproduction.claims.judging import Asked, Judged, estimate_of_sets, judged
from cemag.reproduction.claims.plan import FAMILIES, PLAN, Plan
from cemag.reproduction.claims.stated import CLAIMS
from cemag.reproduction.claims.verdicts import Case, Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OTHER_BOUNDS", "OTHER_POINTS", "Row", "answer", "scorecard"]

OTHER_BOUNDS = {"C1": (10.0, 30.0), "C2": (10.0, 30.0), "C3": (40.0, 60.0)}  # of the plain reading
OTHER_POINTS = (2.0, 10.0)  # of C4b, in place of a ratio
PER_CENT = {"C1": 100.0, "C2": 100.0, "C3": 100.0, "C4a": 100.0, "C4b": 100.0}
COUNTED = ("C1", "C2")
MARGIN_CLAIMS = ("C1", "C3")  # against a null; what the other claims are about is not defined for margin CEs
Kind = Literal["null", "gauge", "rule", "bound", "score"]


@dataclass(frozen=True)
class Row:
    """One claim and one family of models.

    Attributes
    ----------
    claim, family : str
        Keys of `CLAIMS` and `FAMILIES`.
    verdict : Verdict
        By the plan: against the null, or against the model without augmentation.
    cases : tuple of Case
    pooled : mapping of str to Estimate
        The contrast by role, and over both.
    quantity, reference : Estimate
        Mean over sets, roles and augmenters of what the claim is about, and of what it is held against;
        in per cent where it is a share.
    plain : Verdict, optional
        By the paper's plain reading: a number in place of "few" or "most".
    beside : mapping of str to Estimate
        Further contrasts that are shown with it, pooled, in per cent.
    other : mapping of str to mapping of str to str
        Words by another ``"null"``, ``"gauge"`` or ``"score"``; of the plain reading by another ``"rule"``
        or ``"bound"`` (of C4b, of the claim itself).
    equivalent : int, optional
        Of C4b: in at least so many cases the change lies within the margin on both sides.
    by_bias : float
        Share of the instances that the bias alone decides, mean over sets and roles.
    """

    claim: str
    family: str
    verdict: Verdict
    cases: tuple[Case, ...]
    pooled: Mapping[str, Estimate]
    quantity: Estimate
    reference: Estimate
    plain: Verdict | None
    beside: Mapping[str, Estimate]
    other: Mapping[Kind, Mapping[str, str]]
    equivalent: int | None
    by_bias: Number

    @property
    def says(self) -> str:
        """What the paper says, ``"not stated"`` where it says nothing."""
        said: Mapping[str, str] = {
            str(family): word for family, word in CLAIMS[self.claim].paper_says.items()
        }
        return said.get(self.family, "not stated")

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Which of rule, bound and gauge would change the word, or that of the plain reading."""
        return tuple(kind for kind in ("rule", "bound", "gauge") if self._changes(kind))

    def _changes(self, kind: Kind) -> bool:
        of_plain = kind in ("rule", "bound") and self.plain is not None
        word = self.plain.word if of_plain and self.plain else self.verdict.word
        return any(other != word for other in self.other.get(kind, {}).values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Sets of which fewer repetitions were run than planned, in words."""
        run: dict[str, int] = {}
        for case in self.cases:
            run[case.dataset] = min(case.n_run, run.get(case.dataset, case.n_run))
        planned = {case.dataset: case.n_planned for case in self.cases}
        return tuple(f"{name} ({n} of {planned[name]})" for name, n in run.items() if n < planned[name])

    @property
    def needed(self) -> tuple[float, float]:
        """How many repetitions would decide a case that is open, from and to: medians over the open cases."""
        ranges = np.array([case.needed for case in self.cases if not math.isnan(case.needed[0])])
        if not len(ranges):
            return float("nan"), float("nan")
        low, high = np.sort(ranges, axis=0)[
            len(ranges) // 2
        ]  # the upper of two in the middle: half of infinity is none
        return float(low), float(high)


def scorecard(
    classes: pd.DataFrame, instances: pd.DataFrame, required: pd.DataFrame | None = None, plan: Plan = PLAN
) -> list[Row]:
    """Answer every claim for every family of models.

    Parameters
    ----------
    classes, instances : DataFrame
        As `cemag.reproduction.runs.published_classes` and `published_instances` give them.
    required : DataFrame, optional
        As `cemag.reproduction.runs.published_required` gives it: the CEs required by every counting rule.
    plan : Plan, optional
    """
    found = []
    published = {family: PlannedRuns(family, classes, instances, plan) for family in FAMILIES}
    for claim in CLAIMS:
        for family in FAMILIES:
            row = answer(claim, published[family])
            if claim in COUNTED and required is not None:
                row = _with_rules(row, required, published[family])
            found.append(row)
    return found


def answer(claim: str, published: PlannedRuns) -> Row:
    """Answer one claim for one family of models."""
    if claim == "C4a":
        return _recall_gained(published)
    if claim == "C4b":
        return _required_change(published)
    return _against_null(claim, published)


def _asked(claim: str, published: PlannedRuns, of: Literal["test", "weights"] = "weights") -> Asked:
    plan, contrast = published.plan, published.plan.claims[claim]
    augmenters = contrasts.augmenters_of(published.family) if contrast.augments else ("",)
    none = published.n_run()
    runs = {name: published.n_run(name) if name else none for name in augmenters}
    return Asked(
        n_run={(d, name): min(runs[name][d], none[d]) for d in none for name in augmenters},
        roles=("minority",) if contrast.augments else contrasts.ROLES,
        augmenters=augmenters,
        n_planned=plan.repetitions(published.family),
        bound=contrast.bound,
        direction=contrast.direction,
        fold_factor=published.fold_factor(of, claim),
    )


def _against_null(claim: str, published: PlannedRuns) -> Row:
    asked = _asked(claim, published)
    null = published.plan.primary_null(claim)
    assert null is not None
    points = contrasts.against_null(published, claim, null)
    other: dict[Kind, dict[str, str]] = {"null": {}}
    for name, kind in published.plan.nulls.items():
        if not kind.primary and claim in kind.for_ and published.of(source=name):
            other["null"][name] = judged(contrasts.against_null(published, claim, name), asked).verdict.word
    if claim in MARGIN_CLAIMS and published.of(source=null, gauge="margin"):
        margins = contrasts.against_null(published, claim, null, "margin")
        other["gauge"] = {"margin CEs": judged(margins, asked).verdict.word}
    reading = published.plan.claims[claim].plain_reading
    assert reading is not None
    by_bound = {
        bound: judged(
            points,
            replace(asked, bound=bound / PER_CENT.get(claim, 1.0), direction=reading.side),
            "quantity",
        ).verdict
        for bound in (reading.bound, *OTHER_BOUNDS.get(claim, ()))
    }
    plain = by_bound.pop(reading.bound)
    other["bound"] = {f"{b:g} in place of {reading.bound:g} %": v.word for b, v in by_bound.items()}
    return _assembled(claim, published, points, asked, judged(points, asked), plain=plain, other=other)


def _recall_gained(published: PlannedRuns) -> Row:
    asked = _asked("C4a", published, of="test")
    points = contrasts.gained(published, "recall")
    names = {
        "balanced accuracy": ("balanced_accuracy", "none"),
        "balanced accuracy beyond a moved threshold": ("balanced_accuracy", "threshold"),
        "recall beyond a moved threshold": ("recall", "threshold"),
    }
    beside, scores = {}, {}
    for title, (score, reference) in names.items():
        others = contrasts.gained(published, score, reference)
        beside[title] = estimate_of_sets(others, asked, scale=100)
        scores[title] = judged(others, asked).verdict.word
    moved = contrasts.gained(published, "recall", augmenters=["threshold"])
    beside["recall by a moved threshold"] = estimate_of_sets(moved, asked, scale=100)
    found = judged(points, asked)
    return _assembled("C4a", published, points, asked, found, beside=beside, other={"score": scores})


def _required_change(published: PlannedRuns) -> Row:
    asked = _asked("C4b", published)
    changes = contrasts.required_changes(published)
    points, found = changes["log ratio"], judged(changes["log ratio"], asked)
    other: dict[Kind, dict[str, str]] = {
        "bound": {
            f"{bound:g} points in place of a ratio of 1.25": judged(
                changes["points"], replace(asked, bound=bound)
            ).verdict.word
            for bound in OTHER_POINTS
        }
    }
    if changes["log ratio of margin CEs"]:
        word = judged(changes["log ratio of margin CEs"], asked).verdict.word
        other["gauge"] = {"margin CEs": word}
    row = _assembled("C4b", published, points, asked, found, other=other)
    return replace(row, equivalent=_equivalent(found, asked.bound))


def _equivalent(found: Judged, margin: float) -> int:
    """In at least so many cases the contrast lies within the margin on both sides (two one-sided tests)."""
    p = [
        max(case.estimate.p_above(-margin), case.estimate.p_below(margin))
        for case in found.cases
        if case.decision not in ("not run", "not measurable")
    ]
    return (
        at_least(np.nan_to_num([*p, *[1.0] * (found.verdict.n - len(p))], nan=1.0)) if found.verdict.n else 0
    )


def _assembled(
    claim: str,
    published: PlannedRuns,
    points: Sequence[Point],
    asked: Asked,
    found: Judged,
    *,
    plain: Verdict | None = None,
    beside: Mapping[str, Estimate] | None = None,
    other: Mapping[Kind, Mapping[str, str]] | None = None,
) -> Row:
    scale = PER_CENT.get(claim, 1.0)
    return Row(
        claim=claim,
        family=published.family,
        verdict=found.verdict,
        cases=found.cases,
        pooled=found.pooled,
        quantity=estimate_of_sets(points, asked, "quantity", scale),
        reference=estimate_of_sets(points, asked, "reference", scale),
        plain=plain,
        beside=beside or {},
        other={kind: words for kind, words in (other or {}).items() if words},
        equivalent=None,
        by_bias=_by_bias(published),
    )


def _by_bias(published: PlannedRuns) -> float:
    """Share of the instances that the bias alone decides: mean over classes, repetitions and sets."""
    found: dict[str, list[float]] = {}
    for (dataset, *_), row in published.of().items():
        if not math.isnan(row.by_bias):
            found.setdefault(dataset, []).append(row.by_bias)
    means = [sum(values) / len(values) for values in found.values()]
    return sum(means) / len(means) if means else math.nan


def _with_rules(row: Row, required: pd.DataFrame, published: PlannedRuns) -> Row:
    """Add the word of the plain reading by every other counting rule than the plan's."""
    reading = published.plan.claims[row.claim].plain_reading
    assert reading is not None
    bound = reading.bound / PER_CENT[row.claim]
    asked = replace(_asked(row.claim, published), bound=bound, direction=reading.side)
    words = {
        rule: judged(points, asked).verdict.word
        for rule, points in contrasts.by_rule(required, published, row.claim).items()
        if rule != published.plan.counting.rule_in_words
    }
    return replace(row, other={**row.other, "rule": words}) if words else row
