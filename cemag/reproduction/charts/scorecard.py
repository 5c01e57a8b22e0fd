"""The scorecard as a table, the intervals behind it, and what each verdict depends on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import altair as alt
import pandas as pd

from cemag.charts.theme import NULL_COLOUR
from cemag.reproduction.charts.behind import command, links, runs_behind
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.registries import PlainTable
from cemag.reproduction.charts.studies import four_digits
from cemag.reproduction.charts.verdicts import badge
from cemag.reproduction.claims import CLAIMS, FAMILIES, PLAN, Row, sentence
from cemag.reproduction.claims.sentences import (
    cases_in_words,
    contrast_in_words,
    depends_in_words,
    needed_in_words,
)
from cemag.reproduction.claims.verdicts import Case

__all__ = [
    "Scorecard",
    "changes_after_data",
    "claim_intervals",
    "coverage_of_intervals",
    "error_rates_of_words",
    "plan_table",
    "sensitivity_matrix",
    "unstated_choices",
]

WORD_COLOURS = {
    "holds": "#00704f",
    "mostly holds": "#4a9a7d",
    "mixed": "#8a5a00",
    "mostly fails": "#cc7a4d",
    "fails": "#b34700",
    "open": "#5a5f66",
    "not measurable": "#a9adb3",
    "not run": "#dddddd",
}
DECISIONS = ("holds", "open", "fails", "not measurable", "not run")
POOLED, PLANNED = "pooled", "as planned"
MARKS = {"holds": "circle", "fails": "triangle-down", "open": "square", POOLED: "diamond"}


@dataclass(frozen=True)
class Scorecard:
    """One row per claim and family: a sentence, the paper's word, ours, and what it depends on."""

    rows: Sequence[Row]

    def __repr__(self) -> str:
        return "\n".join(
            f"{row.claim} {row.family}: {row.verdict.word}. {sentence(row)}" for row in self.rows
        )

    def _repr_html_(self) -> str:
        heads = ("models", "the paper", "the records", "in one sentence", "cases", "depends on", "more")
        head = "".join(f"<th>{name}</th>" for name in heads)
        body = "".join(
            (_claim(row, len(heads)) if i % len(FAMILIES) == 0 else "") + _row(row)
            for i, row in enumerate(self.rows)
        )
        table = f"<table class='cemag-verdicts'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return table + "".join(map(runs_behind, self.rows))


def _claim(row: Row, n_columns: int) -> str:
    return (
        f"<tr class='cemag-claim'><th scope='rowgroup' colspan='{n_columns}'>{row.claim} "
        f"<span class='cemag-statement'>{escape(CLAIMS[row.claim].statement)}</span></th></tr>"
    )


def _row(row: Row) -> str:
    cells = [
        escape(FAMILIES[row.family]),
        badge(row.says) if row.says in WORD_COLOURS else escape(row.says),
        badge(row.verdict.word),
        escape(sentence(row)),
        _bar(row) + _details(row),
        escape(depends_in_words(row)),
        links(row),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _bar(row: Row) -> str:
    """Cases as a bar: hold, open, fail, not measurable, not run."""
    count: Counter[str] = Counter(case.decision for case in row.cases)
    words = ", ".join(f"{count[name]} {name}" for name in DECISIONS if count[name])
    parts = "".join(
        f"<i style='flex:{count[name]};background:{WORD_COLOURS[name]}'></i>"
        for name in DECISIONS
        if count[name]
    )
    return f"<span class='cemag-bar' role='img' aria-label='{words}' title='{words}'>{parts}</span>"


def _details(row: Row) -> str:
    """Unfolded: how many cases, the pooled contrast, the plain reading, other nulls, what would decide it."""
    contrast = PLAN.claims[row.claim]
    lines = [cases_in_words(row)]
    if row.pooled and not math.isnan(next(iter(row.pooled.values())).mean):
        lines.append(f"pooled: {contrast_in_words(row)} ({contrast.contrast}; the claim: {contrast.side})")
    if row.plain is not None and contrast.plain_reading is not None:
        reading = contrast.plain_reading
        note = f" ({reading.note})" if reading.note else ""
        lines.append(
            f"plain reading{note}, {reading.side} {reading.bound:g} {reading.unit}".rstrip()
            + f": {row.plain.word}, holds in at least {row.plain.holds} of {row.plain.n}"
        )
    for kind, words in row.other.items():
        lines += [f"by {kind}: {name}: {word}" for name, word in words.items() if kind != "rule"]
    if rules := Counter(row.other.get("rule", {}).values()):
        counted = ", ".join(f"{word} by {n}" for word, n in rules.most_common())
        lines.append(f"plain reading by the {rules.total()} other counting rules: {counted}")
    if needed := needed_in_words(row):
        lines.append(needed)
    if not math.isnan(row.by_bias) and row.claim in ("C1", "C2"):
        lines.append(f"the bias alone decides {100 * row.by_bias:.0f} % of the instances")
    body = "<br>".join(escape(line) for line in lines)
    body += f"<br>again: <code class='cemag-command'>{escape(command(row))}</code>"
    return f"<details><summary>{escape(_counted(row))}</summary>{body}</details>"


def _counted(row: Row) -> str:
    return f"{sum(case.decision == 'holds' for case in row.cases)} of {len(row.cases)} hold"


def claim_intervals(rows: Sequence[Row]) -> Figure:
    """Every case of every claim with its interval, and the pooled contrasts, beside the bound."""
    parts = [_intervals_of(row) for row in rows]
    data = four_digits(pd.concat([part for part in parts if len(part)], ignore_index=True))
    panels = [_claim_panel(data[data["claim"] == claim], claim) for claim in data["claim"].unique()]
    title = alt.Title(
        "Every case behind the scorecard",
        subtitle="thin: a case, 95 % interval; thick: pooled over sets; dashed: the bound",
    )
    return Figure(alt.vconcat(*panels, title=title, spacing=14), data)


def _intervals_of(row: Row) -> pd.DataFrame:
    """A line a case, smallest first, and one for each pooled contrast."""
    known = sorted((c for c in row.cases if c.estimate.n > 1), key=lambda case: case.estimate.mean)
    lines = [_line(case.dataset, case.role, case.augmenter, case, case.decision) for case in known]
    lines += [
        {"dataset": "all", "class": role, "augmenter": "", "decision": POOLED}
        | _numbers(estimate.mean, *estimate.interval(), estimate.n)
        for role, estimate in row.pooled.items()
        if not math.isnan(estimate.mean)
    ]
    frame = pd.DataFrame(lines)
    return frame.assign(
        claim=row.claim,
        models=FAMILIES[row.family],
        bound=PLAN.claims[row.claim].bound,
        line=range(len(frame)),
    )


def _line(dataset: str, role: str, augmenter: str, case: Case, decision: str) -> dict[str, Any]:
    names = {"dataset": dataset, "class": role, "augmenter": augmenter, "decision": decision}
    return names | _numbers(case.estimate.mean, *case.estimate.interval(), case.estimate.n)


def _numbers(mean: float, low: float, high: float, n: int) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high, "n": n}


def _claim_panel(data: pd.DataFrame, claim: str) -> Any:
    base = alt.Chart(data)
    y = alt.Y("models:N").title(None).sort(list(FAMILIES.values()))
    offset = alt.YOffset("line:O")
    names = list(MARKS)
    colours = [WORD_COLOURS.get(name, "currentColor") for name in names]
    colour = alt.Color("decision:N").scale(domain=names, range=colours).title(None)
    ends = [*data["mean"], PLAN.claims[claim].bound]  # an interval of a few runs may be far wider
    pad = 0.12 * (max(ends) - min(ends)) or 1.0
    domain = [min(ends) - pad, max(ends) + pad]
    unit = "log of the ratio" if PLAN.claims[claim].ratio else "difference"
    x = alt.X("mean:Q").title(unit).scale(domain=domain, clamp=True, nice=False)
    bound = base.mark_rule(strokeDash=[4, 3], color=NULL_COLOUR).encode(x="mean(bound):Q")
    thick = alt.when(alt.datum.decision == POOLED).then(alt.value(3)).otherwise(alt.value(1))
    rules = base.mark_rule(clip=True).encode(
        x="low:Q", x2="high:Q", y=y, yOffset=offset, color=colour, strokeWidth=thick
    )
    points = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        yOffset=offset,
        color=colour,
        shape=alt.Shape("decision:N").scale(domain=names, range=list(MARKS.values())).title(None),
        size=alt.when(alt.datum.decision == POOLED).then(alt.value(90)).otherwise(alt.value(26)),
        tooltip=[
            *[alt.Tooltip(f"{name}:N") for name in ("dataset", "class", "augmenter", "decision")],
            *[alt.Tooltip(f"{name}:Q", format=".3g") for name in ("mean", "low", "high", "n")],
        ],
    )
    lines = int(data["line"].max()) + 1
    return alt.layer(bound, rules, points).properties(
        width=430,
        height=data["models"].nunique() * max(26, 5 * lines),
        title=alt.Title(f"{claim}: {CLAIMS[claim].title}", fontSize=12),
    )


def sensitivity_matrix(rows: Sequence[Row]) -> Figure:
    """The word of every claim by every other rule, bound, gauge, null and score."""
    data = pd.DataFrame(
        [
            {"by": label, "claim": f"{row.claim} {FAMILIES[row.family]}", "verdict": word}
            for row in rows
            for label, word in _alternatives(row).items()
        ]
    )
    order: list[Any] = list(dict.fromkeys(data["claim"]))
    colours = alt.Scale(domain=list(WORD_COLOURS), range=list(WORD_COLOURS.values()))
    cells = (
        alt.Chart(data)
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("claim:N").title(None).sort(order).axis(labelAngle=-50, labelLimit=200),
            y=alt.Y("by:N").title(None).sort(list(dict.fromkeys(data["by"]))).axis(labelLimit=280),
            color=alt.Color("verdict:N").scale(colours).title(None).legend(columns=4),
            tooltip=[alt.Tooltip(f"{name}:N") for name in ("claim", "by", "verdict")],
        )
    )
    planned = cells.transform_filter(alt.datum.by == PLANNED).mark_rect(
        stroke="currentColor", strokeWidth=2, fillOpacity=1
    )
    chart = alt.layer(cells, planned).properties(width=alt.Step(20), height=alt.Step(16))
    changed = sum(len(set(_alternatives(row).values())) > 1 for row in rows)
    title = alt.Title(
        f"Another choice would change {changed} of {len(rows)} verdicts",
        subtitle="one row for each choice in place of the plan's, which is outlined",
    )
    return Figure(chart.properties(title=title), data)


def _alternatives(row: Row) -> dict[str, str]:
    found: dict[str, str] = {PLANNED: row.verdict.word}
    if row.plain is not None:
        found["plain reading of the paper's words"] = row.plain.word
    for kind, words in row.other.items():
        found |= {f"{kind}: {name}": word for name, word in words.items()}
    return found


def plan_table() -> PlainTable:
    """What the plan asks for each claim."""
    rows = [
        {
            "claim": name,
            "quantity": contrast.quantity,
            "contrast": contrast.contrast,
            "the claim": contrast.side,
            "held against": (PLAN.primary_null(name) or "none").replace("_", " "),
            "plain reading": _reading(name),
        }
        for name, contrast in PLAN.claims.items()
    ]
    return PlainTable(pd.DataFrame(rows))


def _reading(claim: str) -> str:
    reading = PLAN.claims[claim].plain_reading
    return "" if reading is None else f"{reading.side} {reading.bound:g} {reading.unit}".rstrip()


def changes_after_data() -> PlainTable:
    """What was fixed only after data had been seen."""
    rows = [
        {"choice": c.what, "fixed": str(c.fixed), "commit": c.commit, "what had been seen": c.note}
        for c in PLAN.changed_after_data
    ]
    return PlainTable(pd.DataFrame(rows))


def coverage_of_intervals() -> PlainTable:
    """Least coverage of the nominal 95 % intervals over folds, by kind of quantity and variance factor."""
    from cemag.reproduction.claims.coverage import published_coverage

    found = published_coverage()
    if found.empty:
        return PlainTable(pd.DataFrame({"coverage": ["not run"]}))
    least = found.groupby(["of", "quantity", "factor"], sort=False)["coverage"].min().unstack("factor")
    shown = (100 * least).round(0).astype(int).astype(str) + " %"
    shown.columns = [f"f = {factor:g}" for factor in shown.columns]
    return PlainTable(shown.reset_index().rename(columns={"of": "measured on"}))


def error_rates_of_words() -> PlainTable:
    """How often simulated studies come to each word, by design and truth; wrong words are marked."""
    from cemag.reproduction.claims.simulation import published_errors

    found = published_errors()
    if found.empty:
        return PlainTable(pd.DataFrame({"words": ["not run"]}))
    shares = [
        f"{100 * share:.1f} %{' (wrong)' if wrong else ''}"
        for share, wrong in zip(found["share"], found["wrong"], strict=True)
    ]
    table = found.assign(share=shares).pivot(index=["design", "truth"], columns="word", values="share")
    return PlainTable(table[[word for word in WORD_COLOURS if word in table]].reset_index())


def unstated_choices() -> PlainTable:
    """What the paper leaves open in each claim, and where in the paper the claim stands."""
    rows = [
        {"claim": claim.id, "in the paper": claim.where, "left open": "; ".join(claim.unstated)}
        for claim in CLAIMS.values()
    ]
    return PlainTable(pd.DataFrame(rows))
