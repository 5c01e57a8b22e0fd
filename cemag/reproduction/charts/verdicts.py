"""Findings as a table with a worded and coloured verdict in every cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from cemag.reproduction.claims import Finding, findings_table

__all__ = ["VerdictTable"]

BADGES = {
    "holds": "holds",
    "holds in part": "part",
    "does not hold": "fails",
    "undecided": "undecided",
    "not run": "notrun",
}


@dataclass(frozen=True)
class VerdictTable:
    """Findings of one model or several: a row a claim, a column a model.

    Parameters
    ----------
    findings : mapping of str to dict of Finding
        By model, then by claim.
    """

    findings: Mapping[str, Mapping[str, Finding]]

    def __repr__(self) -> str:
        return findings_table(**{m: dict(f) for m, f in self.findings.items()}).to_string(index=False)

    def _repr_html_(self) -> str:
        first = next(iter(self.findings.values()))
        heads = "".join(f"<th>{escape(model)}</th>" for model in self.findings)
        rows = "".join(
            f"<tr><th scope='row'>{escape(claim)}</th><td>{escape(finding.question)}</td>"
            + "".join(_cell(found[claim]) for found in self.findings.values())
            + "</tr>"
            for claim, finding in first.items()
        )
        head = f"<thead><tr><th>claim</th><th>asked of each case</th>{heads}</tr></thead>"
        return f"<table class='cemag-verdicts'>{head}<tbody>{rows}</tbody></table>"


def _cell(finding: Finding) -> str:
    badge = f"<span class='verdict verdict-{BADGES[finding.verdict]}'>{finding.verdict}</span>"
    if finding.n == 0:
        return f"<td>{badge}</td>"
    unit = f" {finding.unit}" if finding.unit else ""
    cases = f"{finding.holds} hold, {finding.fails} fail, {finding.undecided} undecided"
    return (
        f"<td>{badge}<br>{cases} (n = {finding.n})"
        f"<br>means {finding.low:.3g} to {finding.high:.3g}{escape(unit)}</td>"
    )
