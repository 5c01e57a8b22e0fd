"""Findings: what the records say about each claim, data set by data set, under stated margins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cemag.claims.inference import decide_cases
from cemag.claims.statistics import over_repeats
from cemag.claims.tables import (
    MILD_RULE,
    STRICT_RULE,
    augmentation_effects,
    concentration_by_class,
    relations_by_class,
    required_by_class,
    unaugmented,
    under_rule,
)
from cemag.runs import Study

__all__ = ["MARGINS", "Finding", "findings_table", "judge"]

# The paper says "few", "most" and "not much" without a number; these are ours.
MARGINS = {
    "few": 20.0,  # per cent of all CEs: at most this many are "few"
    "most": 50.0,  # per cent of the summed magnitude: above this is "most"
    "not much": 5.0,  # points of per cent of all CEs: an increase up to this is "not much"
}
CASE = ["dataset", "class"]


@dataclass(frozen=True)
class Finding:
    """One claim against one set of runs.

    Attributes
    ----------
    claim : str
        Short name, as in the introduction: ``"C1"``.
    question : str
        What was asked of each case, in words, with its bound.
    holds, fails, undecided : int
        Cases of which a one-sided test says that they lie on the side of the claim, on the other side,
        and neither; see `cemag.claims.inference.decide_cases`.
    low, high : float
        Smallest and largest mean over the cases, in `unit`.
    unit : str
    cases : DataFrame, optional
        A row a case: its mean, spread, interval, P values and decision.
    """

    claim: str
    question: str
    holds: int
    fails: int
    undecided: int
    low: float
    high: float
    unit: str
    cases: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.holds + self.fails + self.undecided

    @property
    def verdict(self) -> str:
        """``holds``, ``holds in part``, ``does not hold``, ``undecided`` or ``not run``.

        Where it holds in no case it does not hold if it fails in more cases than are undecided.
        """
        if self.n == 0:
            return "not run"
        if self.holds == self.n:
            return "holds"
        if self.fails == self.n:
            return "does not hold"
        if self.holds == 0:
            return "does not hold" if self.fails > self.undecided else "undecided"
        return "holds in part"

    def __str__(self) -> str:
        counts = f"holds in {self.holds}, fails in {self.fails}, undecided in {self.undecided} of {self.n}"
        means = f"means {self.low:.3g} to {self.high:.3g} {self.unit}".rstrip()
        return f"{self.verdict} ({counts}; {means})"


def judge(study: Study) -> dict[str, Finding]:
    """Answer C1 to C5 from the runs of one family of models.

    Cases are data set x role, without augmentation, for C1 to C3 and C5, and data set x augmenter, for the
    minority, for C4. Each rests on the repetitions as `over_repeats` has them, and is tested against its
    bound with Holm's correction over the claim's cases. Cases that have no spread to test by (a class
    predicted correctly in fewer than two repetitions, a feature frequency that does not vary) are left
    out: `n` counts what is there. Where CEs are counted, the verdict is by the rule that asks most;
    ``C1-mild``, ``C2-mild`` and ``C4b-mild`` have what the mildest rule would say.
    """
    found = {"C3": _share_of_the_top(study), "C4a": _recall(study)}
    for suffix, rule, words in (("", STRICT_RULE, ""), ("-mild", MILD_RULE, " (mildest rule)")):
        found |= _counted(study, suffix, rule, words)
    for name, kind in (("C5a", "circular"), ("C5b", "not circular")):
        relation = unaugmented(relations_by_class(study))
        relation = relation[relation["relation"].str.endswith(f"({kind})")].assign(
            value=lambda t: t["estimate"]
        )
        question = f"magnitude rises with frequency ({kind}; Spearman above 0)"
        found[name] = _finding(name, question, relation, CASE, _above(0), "")
    return dict(sorted(found.items()))


def _share_of_the_top(study: Study) -> Finding:
    most = MARGINS["most"]
    shares = unaugmented(concentration_by_class(study)).query(
        "source == 'model' and quantity == 'share of the top 10 %'"
    )
    question = f"the top 10 % of the CEs carry more than {most:g} % of the magnitude"
    return _finding("C3", question, shares.assign(value=100 * shares["value"]), CASE, _above(most))


def _recall(study: Study) -> Finding:
    effects = _effects(study, "recall")
    return _count("C4a", "augmentation raises minority recall", effects, _above(0), "points")


def _effects(study: Study, of: str, rule: Mapping[str, str] = STRICT_RULE) -> pd.DataFrame:
    """Paired changes of one quantity as cases."""
    parts = ("mean", "low", "high", "n", "sd", "se", "df")
    names = {of if part == "mean" else f"{of}_{part}": part for part in parts}
    effects = augmentation_effects(study, rule)
    return effects[["dataset", "augmenter", *names]].rename(columns=names)


def _counted(study: Study, suffix: str, rule: Mapping[str, str], words: str) -> dict[str, Finding]:
    """Answer the claims that rest on a count of CEs, under one rule."""
    few, little = MARGINS["few"], MARGINS["not much"]
    asked = {
        "C1": ("mean", f"an instance requires at most {few:g} % of the CEs"),
        "C2": ("common_subset", f"a common subset of at most {few:g} % of the CEs keeps 95 % of a class"),
    }
    found = {}
    for claim, (quantity, question) in asked.items():
        table = unaugmented(under_rule(required_by_class(study, quantity), rule))
        found[claim + suffix] = _finding(claim + suffix, question + words, table, CASE, _below(few))
    effects = _effects(study, "required", rule)
    question = f"augmentation raises the CEs required by at most {little:g} points{words}"
    found["C4b" + suffix] = _count("C4b" + suffix, question, effects, _below(little), "points")
    return found


def findings_table(**findings: dict[str, Finding]) -> pd.DataFrame:
    """Lay the findings of several models side by side: a row a claim, a column a model.

    Examples
    --------
    >>> finding = Finding("C1", "few are enough", 2, 0, 0, 3.0, 9.0, "%")
    >>> findings_table(logistic={"C1": finding}).iloc[0].to_list()
    ['C1', 'few are enough', 'holds (holds in 2, fails in 0, undecided in 0 of 2; means 3 to 9 %)']
    """
    names = list(dict.fromkeys(name for found in findings.values() for name in found))
    rows = []
    for name in names:
        answers = {model: str(found[name]) for model, found in findings.items()}
        question = next(iter(findings.values()))[name].question
        rows.append({"claim": name, "question": question, **answers})
    return pd.DataFrame(rows)


Judge = Callable[[pd.DataFrame], pd.DataFrame]


def _below(bound: float) -> Judge:
    return lambda cases: decide_cases(cases, bound, "below")


def _above(bound: float) -> Judge:
    return lambda cases: decide_cases(cases, bound, "above")


def _finding(
    claim: str, question: str, table: pd.DataFrame, case: list[str], judge: Judge, unit: str = "%"
) -> Finding:
    return _count(claim, question, over_repeats(table, "value", case), judge, unit)


def _count(claim: str, question: str, cases: pd.DataFrame, judge: Judge, unit: str) -> Finding:
    cases = judge(cases.dropna(subset=["mean", "se"]))
    holds, fails, undecided = (int((cases["decision"] == d).sum()) for d in ("holds", "fails", "undecided"))
    low, high = (cases["mean"].min(), cases["mean"].max()) if len(cases) else (np.nan, np.nan)
    return Finding(claim, question, holds, fails, undecided, low, high, unit, cases)
