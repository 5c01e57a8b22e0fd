"""From a frame of contrasts to cases, pooled contrasts and a word; which cases, the plan says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import pandas as pd

from cemag.reproduction.claims.inference import ALPHA, Estimate, of_repetitions, pooled, runs_range
from cemag.reproduction.claims.verdicts import Case, Verdict, word_of

__all__ = ["BOTH", "Asked", "Judged", "estimate_of_sets", "judged"]

BOTH = "both roles"
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


def judged(frame: pd.DataFrame, asked: Asked, column: str = "value") -> Judged:
    """Judge contrasts as the plan says.

    Parameters
    ----------
    frame : DataFrame
        As `cemag.reproduction.claims.contrasts` gives it.
    asked : Asked
    column : str, default="value"
        What is held against the bound; ``"quantity"`` for the paper's plain reading.
    """
    cases = tuple(_cases(frame, asked, column))
    of_roles = {role: estimate_of_sets(frame[frame["role"] == role], asked, column) for role in asked.roles}
    both = estimate_of_sets(frame, asked, column)
    p_holds, p_fails = asked.p_values(both)
    verdict = word_of(cases, p_holds <= ALPHA, p_fails <= ALPHA)
    together = {BOTH: both} if len(asked.roles) > 1 else {}
    return Judged(verdict, cases, {**of_roles, **together})


def _cases(frame: pd.DataFrame, asked: Asked, column: str) -> list[Case]:
    names = ["dataset", "role", "augmenter"]
    groups = dict(iter(frame.groupby(names, observed=True, sort=False)))
    found = []
    for key in product(asked.sets, asked.roles, asked.augmenters):
        part = groups.get(key, frame.iloc[:0])
        estimate = of_repetitions(part[column], asked.fold_factor)
        p_holds, p_fails = asked.p_values(estimate)
        case = Case(
            *key,
            estimate=estimate,
            p_holds=p_holds,
            p_fails=p_fails,
            n_run=asked.n_run[key[0], key[2]],
            n_planned=asked.n_planned,
            measurable=len(part) > 0,
            value=float(part["quantity"].mean()),
            reference=float(part["reference"].mean()),
        )
        if case.decision == "open":
            case = replace(case, needed=runs_range(estimate, asked.bound, asked.fold_factor))
        found.append(case)
    return found


def estimate_of_sets(frame: pd.DataFrame, asked: Asked, column: str) -> Estimate:
    """Mean over the fixed sets of the mean over repetitions, each the mean over its cases.

    Cases of one set share their repetitions, so they are averaged within each before anything is
    estimated. A set with one repetition has no spread and is left out; with fewer than two sets there is
    no pooled contrast.
    """
    by_repetition = frame.groupby(["dataset", "repetition"], observed=True, sort=False)[column].mean()
    values = {name: part.to_numpy() for name, part in by_repetition.groupby(level=0, observed=True)}
    of_sets = [of_repetitions(values[name], asked.fold_factor) for name in asked.sets if name in values]
    of_sets = [estimate for estimate in of_sets if estimate.n > 1]
    return pooled(of_sets if len(of_sets) >= MINIMUM_SETS else [])
