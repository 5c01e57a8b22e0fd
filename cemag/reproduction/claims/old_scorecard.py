"""The scorecard: every claim against the best records of every family of models, and what it depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from cemag.errors import StoreError
from cemag.metrics import OTHER_SHARES
from cemag.reproduction.claims.claim import CLAIMS, FAMILIES, MARGINS, Claim, Verdict
from cemag.reproduction.claims.findings import QUANTITIES, Finding, evaluate, repetitions
from cemag.reproduction.claims.old_inference import ALPHA, hierarchical_interval, runs_needed
from cemag.reproduction.claims.tables import STRICT_RULE
from cemag.reproduction.runs import ImageRunSpec, Study, published_store, scale_of

__all__ = [
    "OTHER_BOUNDS",
    "Row",
    "changed_verdicts",
    "markdown",
    "published_verdicts",
    "scorecard",
    "verdicts_of",
    "write_verdicts",
]

OTHER_BOUNDS = {"few": (10.0, 30.0), "most": (40.0, 60.0), "not much": (2.0, 10.0)}
CHOICES = {
    "ranking": ("magnitude", "signed"),
    "sufficiency": ("shared", "target"),
    "stability": ("stable", "first"),
    "bias": ("with bias", "without bias"),
}
VERDICTS_FILE = "verdicts.json"


@dataclass(frozen=True)
class Row:
    """One claim and one family of models.

    Attributes
    ----------
    claim : Claim
    family : str
        Key of `FAMILIES`.
    finding : Finding
        By the claim's own bound and the rule that asks most.
    mean, low, high : float
        Mean over data sets, with its hierarchical bootstrap interval.
    needed : float
        Median number of repetitions that the undecided cases would take for a power of 0.8, under the
        correction and the design of the test; NaN where none can be told.
    sensitivity : mapping of str to str
        Verdict by every counting rule and other bound, the claim's own included.
    study : Study
        The runs that answer it.
    """

    claim: Claim
    family: str
    finding: Finding
    mean: float
    low: float
    high: float
    needed: float
    sensitivity: Mapping[str, Verdict]
    study: Study = field(repr=False)

    @property
    def says(self) -> str:
        """What the paper says, ``"not stated"`` where it says nothing."""
        said: Mapping[str, str] = {str(family): verdict for family, verdict in self.claim.paper_says.items()}
        return said.get(self.family, "not stated")

    @property
    def effect(self) -> float:
        """Median over the cases of the distance from the bound towards the claim, in standard deviations."""
        if self.finding.cases is None or not self.finding.n:
            return float("nan")
        sign = 1 if self.claim.direction == "above" else -1
        cases = self.finding.cases[self.finding.cases["sd"] > 0]
        return float((sign * (cases["mean"] - self.claim.value) / cases["sd"]).median())

    @property
    def command(self) -> str:
        """What computes its runs again."""
        if self.family != "cnn":
            return f"cemag grid --datasets paper --models {self.family} --store again"
        scales = sorted({scale_of(r.spec) for r in self.study.records if isinstance(r.spec, ImageRunSpec)})
        return "; ".join(f"cemag images --scale {scale} --store again" for scale in scales)

    @property
    def depends(self) -> bool:
        """Whether another rule or bound would give another verdict."""
        return len(set(self.sensitivity.values())) > 1


def scorecard(studies: Mapping[str, Study]) -> list[Row]:
    """Answer every claim for every family of models.

    Parameters
    ----------
    studies : mapping of str to Study
        By family; `cemag.reproduction.runs.published_studies` gathers the published ones.
    """
    return [_row(claim, family, studies[family]) for claim, family in product(CLAIMS.values(), FAMILIES)]


def _row(claim: Claim, family: str, study: Study) -> Row:
    if not len(study):
        nothing = Finding(claim.id, claim.title, 0, 0, 0, np.nan, np.nan, "")
        return Row(claim, family, nothing, np.nan, np.nan, np.nan, np.nan, {}, study)
    finding, rows = evaluate(claim, study), repetitions(claim, study)
    low, high = hierarchical_interval(rows, "value")
    mean = float(rows.dropna(subset=["value"]).groupby("dataset")["value"].mean().mean())
    return Row(
        claim, family, finding, mean, low, high, _needed(finding, claim), _sensitivity(claim, study), study
    )


def _needed(finding: Finding, claim: Claim) -> float:
    if finding.cases is None or not finding.undecided:
        return float("nan")
    known = finding.cases.dropna(subset=["se"])
    cases = known[(known["decision"] == "undecided") & (known["sd"] > 0)]
    alpha = ALPHA / max(1, len(known))  # at which the correction starts
    folds = (cases["se"] / cases["sd"]) ** 2 > 1.01 / cases["n"]
    effects = (cases["mean"] - claim.value).abs() / cases["sd"]
    runs = [
        runs_needed(effect, alpha, of_folds, n)
        for effect, of_folds, n in zip(effects, folds, cases["n"], strict=True)
    ]
    return float(np.median(runs)) if runs else float("nan")


def _sensitivity(claim: Claim, study: Study) -> dict[str, Verdict]:
    """Verdict by every rule with the claim's own bound, by every other cut-off, and by every other bound."""
    found: dict[str, Verdict] = {}
    if claim.counts_ces:
        known = set(study.table("required")["sufficiency"])
        for choice in product(*CHOICES.values()):
            rule = dict(zip(CHOICES, choice, strict=True))
            if rule["sufficiency"] in known:
                found[", ".join(choice)] = evaluate(claim, study, rule=rule).verdict
    else:
        found["as stated"] = evaluate(claim, study).verdict
    if QUANTITIES[claim.quantity].at_share is not None:
        for share in OTHER_SHARES:
            found[f"top: {share:.0%} in place of 10%"] = evaluate(claim, study, share=share).verdict
    if isinstance(claim.bound, str):
        for bound in OTHER_BOUNDS[claim.bound]:
            label = f"{claim.bound}: {bound:g} in place of {MARGINS[claim.bound]:g}"
            found[label] = evaluate(claim, study, rule=STRICT_RULE, bound=bound).verdict
    return found


# ---------------------------------------------------------------------- what is published


def verdicts_of(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Verdicts with the counts behind them, by ``claim/family``, as they are written down."""
    return {
        f"{row.claim.id}/{row.family}": {
            "verdict": row.finding.verdict,
            "holds": row.finding.holds,
            "fails": row.finding.fails,
            "undecided": row.finding.undecided,
            "runs": len(row.study),
        }
        for row in rows
    }


def published_verdicts() -> dict[str, dict[str, Any]]:
    """Read the verdicts that are published beside the records.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    path = published_store().root / VERDICTS_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(map(_is_verdict, found.values())):
            raise ValueError("it does not hold a verdict with its counts for each claim")
        return found
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: no readable verdicts ({error}); 'cemag claims --write' makes them"
        ) from None


def _is_verdict(side: Any) -> bool:
    return isinstance(side, dict) and {"verdict", "holds", "fails", "undecided", "runs"} <= set(side)


def write_verdicts(rows: Sequence[Row]) -> Path:
    """Write the verdicts beside the published records.

    Raises
    ------
    StoreError
        If they cannot be written.
    """
    path = published_store().root / VERDICTS_FILE
    try:
        path.write_text(json.dumps(verdicts_of(rows), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def changed_verdicts(rows: Sequence[Row]) -> list[str]:
    """Compare what the records give with what is published: a line for each difference."""
    now, then = verdicts_of(rows), published_verdicts()
    lines = []
    for name in dict.fromkeys([*then, *now]):
        old, new = then.get(name), now.get(name)
        if old != new:
            words = [_words(side) for side in (old, new)]
            lines.append(f"{name}: published {words[0]}, the records give {words[1]}")
    return lines


def _words(side: dict[str, Any] | None) -> str:
    if side is None:
        return "nothing"
    return "{verdict} ({holds} hold, {fails} fail, {undecided} undecided; {runs} runs)".format(**side)


def markdown(rows: Sequence[Row]) -> str:
    """The scorecard as a table for the README."""
    lines = ["| claim | " + " | ".join(FAMILIES.values()) + " |", "|---|" + "---|" * len(FAMILIES)]
    for claim in CLAIMS.values():
        cells = [_cell(row) for row in rows if row.claim is claim]
        lines.append(f"| **{claim.id}** {claim.statement} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    finding = row.finding
    if finding.n == 0:
        return "not run"
    mark = " \\*" if row.depends else ""
    return f"**{finding.verdict}**{mark} ({finding.holds} of {finding.n})"
