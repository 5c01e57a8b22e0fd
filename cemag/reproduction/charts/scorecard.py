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

from cemag.charts.theme import NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.registries import PlainTable
from cemag.reproduction.charts.studies import four_digits, tooltip
from cemag.reproduction.charts.verdicts import BADGES
from cemag.reproduction.claims.claim import CLAIMS, FAMILIES, Claim
from cemag.reproduction.claims.old_scorecard import Row
from cemag.reproduction.runs import Study

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
OVERALL = "mean over data sets"
DECISIONS = alt.Scale(
    domain=["holds", "fails", "undecided", OVERALL], range=["#009E73", "#D55E00", NULL_COLOUR, "currentColor"]
)
MARKS = alt.Scale(
    domain=["holds", "fails", "undecided", OVERALL], range=["circle", "triangle-down", "square", "diamond"]
)


@dataclass(frozen=True)
class Scorecard:
    """A row a claim and family: what the paper says, what the records say, and where to look further."""

    rows: Sequence[Row]

    def __repr__(self) -> str:
        lines = (f"{row.claim.id} {row.family}: {row.finding}" for row in self.rows)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ("models", "the paper", "the records", "cases", "mean over data sets", "depends", "more")
        head = "".join(f"<th>{name}</th>" for name in heads)
        body = "".join(
            (self._claim(row, len(heads)) if i % len(FAMILIES) == 0 else "") + self._row(row)
            for i, row in enumerate(self.rows)
        )
        table = f"<table class='cemag-verdicts'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return table + "".join(_runs_of(family, study) for family, study in self._studies().items())

    def _studies(self) -> dict[str, Study]:
        return {row.family: row.study for row in self.rows}

    def _claim(self, row: Row, n_columns: int) -> str:
        return (
            f"<tr class='cemag-claim'><th scope='rowgroup' colspan='{n_columns}'>{row.claim.id} "
            f"<span class='cemag-statement'>{escape(row.claim.statement)}</span></th></tr>"
        )

    def _row(self, row: Row) -> str:
        finding, chapter = row.finding, CHAPTERS[row.family][row.claim.id]
        mean = f"{row.mean:.3g} {finding.unit}<br>({row.low:.3g} to {row.high:.3g})" if finding.n else ""
        cells = [
            escape(FAMILIES[row.family]),
            _badge(row.says),
            _badge(finding.verdict),
            _cases(row) if finding.n else "",
            f"<span class='cemag-together'>{mean}</span>",
            "yes" if row.depends else "no",
            f"<a href='{chapter}.html'>chapter</a> <a href='#runs-{row.family}'>runs</a> "
            "<a href='setup.html#data'>data</a>",
        ]
        return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _cases(row: Row) -> str:
    """How many hold; unfolded, for which parts, how large the effect is, and what computes it again."""
    finding = row.finding
    lines = [f"{finding.holds} hold, {finding.fails} fail, {finding.undecided} undecided", finding.question]
    lines += [f"{name}: holds in {count}" for name, count in finding.parts().items()]
    if finding.equivalent is not None:
        lines.append(f"{finding.equivalent} lie within the bound on both sides (two one-sided tests)")
    if finding.unmeasured:
        lines.append(f"{finding.unmeasured} of the undecided have a value in fewer than two repetitions")
    if row.effect == row.effect:
        lines.append(f"median effect: {row.effect:.2g} standard deviations towards the claim")
    if row.needed == row.needed:
        lines.append(_runs(row.needed, "seeds" if row.family == "cnn" else "folds"))
    body = "<br>".join(escape(line) for line in lines)
    return (
        f"<details><summary>{finding.holds} of {finding.n} hold</summary>{body}"
        f"<br><code>{escape(row.command)}</code></details>"
    )


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


def _runs(needed: float, what: str) -> str:
    if needed == float("inf"):
        return f"most undecided cases would take more than 1,000 {what}: they lie near the bound"
    return f"an undecided case would take some {needed:.0f} {what} for a power of 0.8"


def claim_intervals(rows: Sequence[Row]) -> Figure:
    """Every case of every claim with its interval, and the mean over data sets, beside the bound."""
    shown = [row for row in rows if row.finding.cases is not None and row.finding.n]
    data = four_digits(pd.concat([_intervals_of(row) for row in shown], ignore_index=True))
    panels = [
        _claim_panel(data[data["claim"] == claim.id], claim, unit)
        for claim, unit in {row.claim.id: (row.claim, row.finding.unit) for row in shown}.values()
    ]
    title = alt.Title(
        "Every case behind the scorecard",
        subtitle="thin: a case, 95 % interval; thick: mean over data sets, bootstrap; dashed: the bound",
    )
    everything = reduce(add, {id(row.study): row.study for row in rows}.values())
    return Figure(alt.vconcat(*panels, title=title, spacing=14), data, everything)


def _intervals_of(row: Row) -> pd.DataFrame:
    """A line a case, smallest mean first, and one for the mean over data sets."""
    cases = row.finding.cases
    assert cases is not None
    overall = {"dataset": "all", "class": "", "decision": OVERALL, "n": cases["dataset"].nunique()}
    overall |= {"mean": row.mean, "low": row.low, "high": row.high}
    lines = pd.concat([cases.sort_values("mean"), pd.DataFrame([overall])], ignore_index=True)
    lines = lines.assign(
        claim=row.claim.id,
        models=FAMILIES[row.family],
        bound=row.claim.value,
        line=range(len(lines)),
        augmenter=lines["augmenter"].fillna("") if "augmenter" in lines else "",
    )
    columns = ("claim", "models", "dataset", "class", "augmenter", "line", "n", "decision")
    return lines[[*columns, "mean", "low", "high", "bound"]]


def _claim_panel(data: pd.DataFrame, claim: Claim, unit: str) -> Any:
    base = alt.Chart(data)
    y = alt.Y("models:N").title(None).sort(list(FAMILIES.values()))
    offset = alt.YOffset("line:O")
    colour = alt.Color("decision:N").scale(DECISIONS).title(None)
    # an interval of a few runs may be far wider than the means differ
    ends = [*data["mean"], claim.value]
    pad = 0.12 * (max(ends) - min(ends)) or 1.0
    domain = [min(ends) - pad, max(ends) + pad]
    x = alt.X("mean:Q").title(unit or "Spearman correlation").scale(domain=domain, clamp=True, nice=False)
    bound = base.mark_rule(strokeDash=[4, 3], color=NULL_COLOUR).encode(x="mean(bound):Q")
    rules = base.mark_rule(clip=True).encode(
        x="low:Q",
        x2="high:Q",
        y=y,
        yOffset=offset,
        color=colour,
        strokeWidth=alt.when(alt.datum.decision == OVERALL).then(alt.value(3)).otherwise(alt.value(1)),
    )
    points = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        yOffset=offset,
        color=colour,
        shape=alt.Shape("decision:N").scale(MARKS).title(None),
        size=alt.when(alt.datum.decision == OVERALL).then(alt.value(90)).otherwise(alt.value(26)),
        tooltip=tooltip("dataset", "class", "augmenter", "mean", "low", "high", "n"),
    )
    lines = int(data["line"].max()) + 1
    return alt.layer(bound, rules, points).properties(
        width=430,
        height=data["models"].nunique() * max(26, 5 * lines),
        title=alt.Title(f"{claim.id}: {claim.title}", fontSize=12),
    )


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
