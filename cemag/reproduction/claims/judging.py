"""From contrasts to cases, pooled contrasts and a word; which cases, the plan says."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from cemag.reproduction.claims.contrasts import Point
from cemag.reproduction.claims.inference import ALPHA, Estimate, of_repetitions, pooled, runs_range
from cemag.reproduction.claims.verdicts import Case, Verdict, word_of

__all__ = ["BOTH", "Asked", "Judged", "estimate_of_sets", "judged"]

BOTH = "both roles"
Number = Literal["value", "quantity", "reference"]
MINIMUM_SETS = 2  # of a pooled contrast


@dataclass(frozen=True)
class Asked:
    """What the plan asks of one claim and family.

    Attributes
    ----------
    n_run : mapping of (data set, augmenter) to int
        Repetitions that were run; the augmenter is empty where none takes part.
    roles, augmenters : tuple of str
        A case is a data set with one of each.
    n_planned : int
        Repetitions of each.
    bound : float
    direction : {"above", "below"}
        On which side of the bound the claim lies.
    fold_factor : float
        As for `of_repetitions`.
    """

    n_run: Mapping[tuple[str, str], int]
    roles: Sequence[str]
    augmenters: Sequence[str]
    n_planned: int
    bound: float
    direction: Literal["above", "below"]
    fold_factor: float

    @property
    def sets(self) -> tuple[str, ...]:
        """Data sets, in the plan's order."""
        return tuple(dict.fromkeys(dataset for dataset, _ in self.n_run))

    def p_values(self, estimate: Estimate) -> tuple[float, float]:
        """P values that the claim holds, and that it fails."""
        above, below = estimate.p_above(self.bound), estimate.p_below(self.bound)
        return (above, below) if self.direction == "above" else (below, above)


@dataclass(frozen=True)
class Judged:
    """A claim and family: every case, what pooling them says, and the word.

    `pooled` has the contrast by role, and over both under ``"both roles"`` where there are two.
    """

    verdict: Verdict
    cases: tuple[Case, ...]
    pooled: Mapping[str, Estimate]


def judged(points: Sequence[Point], asked: Asked, of: Number = "value") -> Judged:
    """Judge contrasts as the plan says.

    Parameters
    ----------
    points : sequence of Point
    asked : Asked
    of : {"value", "quantity"}
        What is held against the bound: the contrast, or the quantity itself, for the paper's plain reading.
    """
    cases = tuple(_cases(points, asked, of))
    of_roles = {
        role: estimate_of_sets([p for p in points if p.role == role], asked, of) for role in asked.roles
    }
    both = estimate_of_sets(points, asked, of)
    p_holds, p_fails = asked.p_values(both)
    verdict = word_of(cases, p_holds <= ALPHA, p_fails <= ALPHA)
    return Judged(verdict, cases, {**of_roles, BOTH: both} if len(asked.roles) > 1 else of_roles)


def _cases(points: Sequence[Point], asked: Asked, of: Number) -> Iterator[Case]:
    by_case = defaultdict(list)
    for point in points:
        by_case[point.dataset, point.role, point.augmenter].append(point)
    for key in product(asked.sets, asked.roles, asked.augmenters):
        own = by_case.get(key, [])
        estimate = of_repetitions([getattr(point, of) for point in own], asked.fold_factor)
        p_holds, p_fails = asked.p_values(estimate)
        case = Case(
            *key,
            estimate=estimate,
            p_holds=p_holds,
            p_fails=p_fails,
            n_run=asked.n_run[key[0], key[2]],
            n_planned=asked.n_planned,
            measurable=len(own) > 0,
            value=_mean([point.quantity for point in own]),
            reference=_mean([point.reference for point in own]),
        )
        if case.decision == "open":
            case = replace(case, needed=runs_range(estimate, asked.bound, asked.fold_factor))
        yield case


def estimate_of_sets(
    points: Iterable[Point], asked: Asked, of: Number = "value", scale: float = 1.0
) -> Estimate:
    """Mean over the fixed sets of the mean over repetitions, each the mean over its cases.

    Cases of one set share their repetitions, so they are averaged within each before anything is
    estimated. A set with one repetition has no spread and is left out; with fewer than two sets there is
    no pooled contrast.
    """
    by_repetition = defaultdict(list)
    for point in points:
        by_repetition[point.dataset, point.repetition].append(scale * getattr(point, of))
    by_set = defaultdict(list)
    for (dataset, _), values in by_repetition.items():
        by_set[dataset].append(_mean(values))
    of_sets = [of_repetitions(values, asked.fold_factor) for values in by_set.values() if len(values) > 1]
    return pooled(of_sets if len(of_sets) >= MINIMUM_SETS else [])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
