"""Findings: what the records say about each claim, case by case, against its bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from cemag.errors import CemagError
from cemag.reproduction.claims.claim import CLAIMS, Claim, Verdict
from cemag.reproduction.claims.old_inference import ALPHA, decide_cases, equivalences
from cemag.reproduction.claims.statistics import over_repeats, paired_repeats
from cemag.reproduction.claims.tables import (
    MILD_RULE,
    RELATION_NAMES,
    STRICT_RULE,
    TITLES,
    concentration_by_class,
    cutoffs_by_class,
    performance_by_class,
    relations_by_class,
    required_by_class,
    unaugmented,
    under_rule,
)
from cemag.reproduction.runs import PAPER_IMAGE_AUGMENTERS, Study
from cemag.reproduction.runs.selection import PAPER_AUGMENTERS

__all__ = ["QUANTITIES", "Finding", "evaluate", "findings_table", "judge", "repetitions"]

Rule = Mapping[str, str]
PAPER_METHODS = {TITLES[name] for name in (*PAPER_AUGMENTERS, *PAPER_IMAGE_AUGMENTERS)}


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
        and neither; see `cemag.reproduction.claims.inference.decide_cases`.
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
    def unmeasured(self) -> int:
        """Of the undecided cases, those with a value in fewer than two repetitions."""
        return 0 if self.cases is None else int(self.cases["se"].isna().sum())

    @property
    def equivalent(self) -> int | None:
        """Cases that lie within the bound on both sides, for a claim of "not much"; None for others."""
        if self.cases is None or "p_equivalent" not in self.cases:
            return None
        return int((self.cases["p_equivalent"] < ALPHA).sum())

    @property
    def verdict(self) -> Verdict:
        """``holds``, ``holds in part``, ``does not hold``, ``undecided`` or ``not run``.

        Where it holds in no case it does not hold if it fails in more cases than are undecided.
        """
        if self.n == 0:
            return "not run"
        if self.holds == self.n:
            return "holds"
        if self.holds == 0:
            return "does not hold" if self.fails > self.undecided else "undecided"
        return "holds in part"

    def parts(self) -> dict[str, str]:
        """In how many cases it holds for each augmenter, or for the majority and the minority.

        Examples
        --------
        >>> cases = pd.DataFrame({"class": ["majority", "minority"], "decision": ["holds", "fails"]})
        >>> Finding("C1", "few are enough", 1, 1, 0, 3.0, 9.0, "%", cases).parts()
        {'majority': '1 of 1', 'minority': '0 of 1'}
        """
        if self.cases is None or self.cases.empty:
            return {}
        by = "augmenter" if "augmenter" in self.cases else "class"
        held = (self.cases["decision"] == "holds").groupby(self.cases[by], sort=False)
        return {str(name): f"{int(part.sum())} of {len(part)}" for name, part in held}

    def __str__(self) -> str:
        counts = f"holds in {self.holds}, fails in {self.fails}, undecided in {self.undecided} of {self.n}"
        means = f"means {self.low:.3g} to {self.high:.3g} {self.unit}".rstrip()
        return f"{self.verdict} ({counts}; {means})"


# ---------------------------------------------------------------------- what is measured in each case


def _required(study: Study, rule: Rule, quantity: str) -> pd.DataFrame:
    return unaugmented(under_rule(required_by_class(study, quantity), rule))


def _top_share(study: Study, rule: Rule) -> pd.DataFrame:
    shares = unaugmented(concentration_by_class(study))
    shares = shares[(shares["source"] == "model") & (shares["quantity"] == "share of the top 10 %")]
    return shares.assign(value=100 * shares["value"])


def _at_share(study: Study, quantity: str, share: float, factor: float = 1) -> pd.DataFrame:
    table = unaugmented(cutoffs_by_class(study, quantity, share))
    return table.assign(value=factor * table["value"])


def _correlation(study: Study, kind: str) -> pd.DataFrame:
    relation = unaugmented(relations_by_class(study))
    return relation[relation["relation"] == RELATION_NAMES[kind]].assign(value=lambda t: t["estimate"])


def _change(table: pd.DataFrame) -> pd.DataFrame:
    """What each of the paper's augmenters changes, repetition by repetition."""
    by = ["dataset", "class"]
    changes = paired_repeats(table, "value", by, factor="augmenter", reference=TITLES["none"])
    return changes[changes["augmenter"].isin(PAPER_METHODS)].assign(value=lambda t: t["difference"])


def _recall_change(study: Study, rule: Rule) -> pd.DataFrame:
    return _change(performance_by_class(study).assign(value=lambda t: 100 * t["recall"]))


def _required_change(study: Study, rule: Rule) -> pd.DataFrame:
    return _change(under_rule(required_by_class(study, "mean"), rule))


@dataclass(frozen=True)
class Measured:
    """A quantity of `Claim`: its rows, a row a repetition and case, its unit, and how to ask for it.

    `at_share` has the rows with another share of the features than 10 % as the top, where that matters.
    """

    rows: Callable[[Study, Rule], pd.DataFrame]
    unit: str
    question: str
    at_share: Callable[[Study, float], pd.DataFrame] | None = None


QUANTITIES: Mapping[str, Measured] = {
    "required_by_instance": Measured(
        lambda study, rule: _required(study, rule, "mean"),
        "%",
        "an instance requires at most {} % of the CEs",
    ),
    "common_subset": Measured(
        lambda study, rule: _required(study, rule, "common_subset"),
        "%",
        "a common subset of at most {} % of the CEs keeps 95 % of a class",
    ),
    "top_share": Measured(
        _top_share,
        "%",
        "the top 10 % of the CEs carry more than {} % of the magnitude",
        lambda study, share: _at_share(study, "top_share", share, 100),
    ),
    "recall_change": Measured(_recall_change, "points", "augmentation raises minority recall"),
    "required_change": Measured(
        _required_change, "points", "augmentation raises the CEs required by at most {} points"
    ),
    "circular_correlation": Measured(
        lambda study, _: _correlation(study, "top_frequency"),
        "",
        "magnitude rises with frequency (circular; Spearman above {})",
        lambda study, share: _at_share(study, "top_frequency", share),
    ),
    "activity_correlation": Measured(
        lambda study, _: _correlation(study, "activation_frequency"),
        "",
        "magnitude rises with frequency (not circular; Spearman above {})",
    ),
}


def repetitions(
    claim: Claim, study: Study, rule: Rule = STRICT_RULE, share: float | None = None
) -> pd.DataFrame:
    """A row a repetition and case of what a claim is about, in the column ``value``."""
    measured = QUANTITIES[claim.quantity]
    if share is None:
        rows = measured.rows(study, rule)
    elif measured.at_share is None:
        raise CemagError(f"share is {share}: {claim.id} does not speak of a top share of the features")
    else:
        rows = measured.at_share(study, share)
    return rows[rows["class"].isin(claim.roles)]


def evaluate(
    claim: Claim,
    study: Study,
    *,
    rule: Rule = STRICT_RULE,
    bound: float | None = None,
    share: float | None = None,
    note: str = "",
) -> Finding:
    """Answer one claim from the runs of one family of models.

    Cases are data set x role, without augmentation, or data set x augmenter of the paper's, for claims
    about a change. Each rests on the repetitions as `over_repeats` has them, and is tested against the
    bound with Holm's correction over the claim's cases. Cases that have no spread to test by (a class
    predicted correctly in fewer than two repetitions, a feature frequency that does not vary) are
    undecided, and `Finding.unmeasured` says how many they are.

    Parameters
    ----------
    claim : Claim
    study : Study
    rule : mapping of str to str, optional
        Counting rule, for claims that count CEs; the rule that asks most when not given.
    bound : float, optional
        In place of the claim's own.
    share : float, optional
        Share of the features that counts as the top, of those in the table ``cutoff``; 10 % when not
        given.
    note : str, optional
        What to add to the question.
    """
    value = claim.value if bound is None else bound
    measured = QUANTITIES[claim.quantity]
    by = ["dataset", "class", "augmenter"] if claim.compares else ["dataset", "class"]
    rows = repetitions(claim, study, rule, share)
    cases = over_repeats(rows, "value", by).merge(rows[by].drop_duplicates(), on=by, how="right")
    cases = decide_cases(cases.assign(n=cases["n"].fillna(0).astype(int)), value, claim.direction)
    if claim.bound == "not much":
        cases = cases.assign(p_equivalent=equivalences(cases, value))
    holds, fails, undecided = (int((cases["decision"] == d).sum()) for d in ("holds", "fails", "undecided"))
    low, high = (cases["mean"].min(), cases["mean"].max()) if len(cases) else (np.nan, np.nan)
    question = measured.question.format(f"{value:g}") + note
    return Finding(claim.id, question, holds, fails, undecided, low, high, measured.unit, cases)


def judge(study: Study) -> dict[str, Finding]:
    """Answer every claim from the runs of one family of models.

    Where CEs are counted, the verdict is by the rule that asks most; ``C1-mild``, ``C2-mild`` and
    ``C4b-mild`` have what the mildest rule would say.
    """
    found = {}
    for claim in CLAIMS.values():
        found[claim.id] = evaluate(claim, study)
        if claim.counts_ces:
            mild = evaluate(claim, study, rule=MILD_RULE, note=" (mildest rule)")
            found[f"{claim.id}-mild"] = replace(mild, claim=f"{claim.id}-mild")
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
