"""The scorecard as a table, the intervals behind it, and what each verdict depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from html import escape
from operator import add
from typing import Any

import altair as alt
import pandas as pd

from cemag.charts.figure import Figure
from cemag.charts.registries import PlainTable
from cemag.charts.studies import four_digits, tooltip
from cemag.charts.theme import NULL_COLOUR
from cemag.charts.verdicts import BADGES
from cemag.claims.claim import CLAIMS, FAMILIES
from cemag.claims.scorecard import Row
from cemag.runs import Study

__all__ = ["Scorecard", "claim_intervals", "sensitivity_matrix", "unstated_choices"]

CHAPTERS = {
    "logistic": dict.fromkeys(CLAIMS, "logistic"),
    "svm": dict.fromkeys(CLAIMS, "svm"),
    "cnn": {
        **dict.fromkeys(CLAIMS, "cnn_required"),
        "C4a": "cnn",
        "C5a": "cnn_frequency",
        "C5b": "cnn_frequency",
    },
}
VERDICT_COLOURS = alt.Scale(
    domain=["holds", "holds in part", "does not hold", "undecided", "not run"],
    range=["#00704f", "#8a5a00", "#b34700", "#5a5f66", "#bbbbbb"],
)
DECISIONS = alt.Scale(domain=["holds", "fails", "undecided"], range=["#00704f", "#b34700", NULL_COLOUR])
MARKS = alt.Scale(domain=["holds", "fails", "undecided"], range=["circle", "triangle-down", "square"])


@dataclass(frozen=True)
class Scorecard:
    """A row a claim and family: what the paper says, what the records say, and where to look further."""

    rows: Sequence[Row]

    def __repr__(self) -> str:
        lines = (f"{row.claim.id} {row.family}: {row.finding}" for row in self.rows)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = (
            "claim",
            "models",
            "the paper",
            "the records",
            "cases",
            "mean over data sets",
            "depends",
            "look, compute",
        )
        head = "".join(f"<th>{name}</th>" for name in heads)
        body = "".join(self._row(row, first=i % len(FAMILIES) == 0) for i, row in enumerate(self.rows))
        table = f"<table class='cemag-verdicts'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return table + "".join(_runs_of(family, study) for family, study in self._studies().items())

    def _studies(self) -> dict[str, Study]:
        return {row.family: row.study for row in self.rows}

    def _row(self, row: Row, *, first: bool) -> str:
        finding = row.finding
        claim = (
            f"<th scope='rowgroup' rowspan='{len(FAMILIES)}'>{row.claim.id}<br>"
            f"<span class='cemag-statement'>{escape(row.claim.statement)}</span></th>"
        )
        cases = f"{finding.holds} hold, {finding.fails} fail, {finding.undecided} undecided"
        parts = "; ".join(f"{name} {count}" for name, count in finding.parts().items())
        mean = f"{row.mean:.3g} {finding.unit} ({row.low:.3g} to {row.high:.3g})" if finding.n else ""
        effect = f"<br>median effect {row.effect:.2g} sd" if row.effect == row.effect else ""
        needed = "" if row.needed != row.needed else f"<br>{_runs(row.needed)}"
        cases += f"<br><span class='cemag-statement'>holds: {escape(parts)}</span>{needed}"
        chapter = CHAPTERS[row.family][row.claim.id]
        cells = [
            escape(FAMILIES[row.family]),
            _badge(row.says),
            _badge(finding.verdict),
            f"{cases}<br><span class='cemag-statement'>holds: {escape(parts)}</span>{needed}"
            if finding.n
            else "",
            escape(mean) + effect,
            "on rule or bound" if row.depends else "no",
            f"<a href='{chapter}.html'>chapter</a>, <a href='#runs-{row.family}'>runs</a>, "
            f"<a href='setup.html#data'>data</a><br><code>{escape(row.command)}</code>",
        ]
        return f"<tr>{claim if first else ''}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _badge(verdict: str) -> str:
    if verdict not in BADGES:
        return escape(verdict)
    return f"<span class='verdict verdict-{BADGES[verdict]}'>{verdict}</span>"


def _runs_of(family: str, study: Study) -> str:
    """The keys of the runs that answer for a family, folded; `cemag show` prints each."""
    keys = " ".join(f"<code>{escape(record.spec.key[:10])}</code>" for record in study.records)
    return (
        f"<details class='cemag-details' id='runs-{family}'><summary>{escape(FAMILIES[family])}: "
        f"{len(study)} runs</summary><p><code>cemag show KEY</code> prints one of them: {keys}</p></details>"
    )


def _runs(needed: float) -> str:
    if needed == float("inf"):
        return "undecided cases lie at the bound"
    return f"an undecided case would take some {needed:.0f} runs"


def claim_intervals(rows: Sequence[Row]) -> Figure:
    """Every case of every claim with its interval, beside the bound that it is held against."""
    parts = [
        row.finding.cases.assign(
            claim=f"{row.claim.id}: {row.claim.title}", models=FAMILIES[row.family], bound=row.claim.value
        )
        for row in rows
        if row.finding.cases is not None and row.finding.n
    ]
    data = pd.concat(parts, ignore_index=True)
    if "augmenter" not in data:
        data["augmenter"] = ""
    columns = [
        *(
            "claim",
            "models",
            "dataset",
            "class",
            "augmenter",
            "mean",
            "low",
            "high",
            "n",
            "decision",
            "bound",
        ),
    ]
    data = four_digits(data[columns].fillna({"augmenter": ""}))
    base = alt.Chart(data)
    y = alt.Y("models:N").title(None).sort(list(FAMILIES.values()))
    bounds = base.mark_rule(strokeDash=[4, 3], color=NULL_COLOUR).encode(x="mean(bound):Q")
    points = base.mark_point(filled=True, size=45, opacity=0.75).encode(
        x=alt.X("mean:Q").title("% of the CEs or of the magnitude, points, or correlation"),
        y=y,
        yOffset=alt.YOffset("jitter:Q"),
        color=alt.Color("decision:N").scale(DECISIONS).title(None),
        shape=alt.Shape("decision:N").scale(MARKS).title(None),
        tooltip=tooltip("dataset", "class", "augmenter", "mean", "low", "high", "n"),
    )
    points = points.transform_calculate(jitter="sin(datum.mean * 1000)")
    chart = (
        alt.layer(bounds, points)
        .properties(width=235, height=alt.Step(34))
        .facet(alt.Facet("claim:N").title(None), columns=2)
        .resolve_scale(x="independent")
        .resolve_axis(x="independent")
    )
    title = alt.Title(
        "Every case behind the scorecard",
        subtitle="means of cases; dashed: the bound; hover for the interval",
    )
    everything = reduce(add, {id(row.study): row.study for row in rows}.values())
    return Figure(chart.properties(title=title), data, everything)


def sensitivity_matrix(rows: Sequence[Row]) -> Figure:
    """The verdict of every claim by every counting rule and every other bound."""
    data = pd.DataFrame(
        [
            {"by": label, "claim": f"{row.claim.id} {FAMILIES[row.family]}", "verdict": verdict}
            for row in rows
            for label, verdict in row.sensitivity.items()
        ]
    )
    order: list[Any] = list(dict.fromkeys(data["claim"]))
    chart = (
        alt.Chart(data)
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("claim:N").title(None).sort(order).axis(labelAngle=-50, labelLimit=200),
            y=alt.Y("by:N").title(None).sort(list(dict.fromkeys(data["by"]))).axis(labelLimit=240),
            color=alt.Color("verdict:N").scale(VERDICT_COLOURS).title(None),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("claim", "by", "verdict")],
        )
        .properties(width=alt.Step(20), height=alt.Step(16))
    )
    title = alt.Title(
        "What each verdict depends on", subtitle="a row a counting rule, or a bound in place of ours"
    )
    everything = reduce(add, {id(row.study): row.study for row in rows}.values())
    return Figure(chart.properties(title=title), data, everything)


def unstated_choices() -> PlainTable:
    """What the paper leaves open in each claim, and where in the paper the claim stands."""
    rows = [
        {"claim": claim.id, "in the paper": claim.where, "left open": "; ".join(claim.unstated)}
        for claim in CLAIMS.values()
    ]
    return PlainTable(pd.DataFrame(rows))
