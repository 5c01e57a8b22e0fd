"""Recall against concentration: an arrow per intervention, and what each moved."""

from __future__ import annotations

import altair as alt
import pandas as pd

from cemag.charts.theme import NULL_COLOUR
from cemag.errors import DataError
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.experiments.concentration import changes
from cemag.reproduction.experiments.estimates import over_sets
from cemag.reproduction.experiments.heads import INTERVENTIONS

__all__ = ["intervention_arrows", "intervention_effects"]

MOVES = {
    "bias": "the bias: no CE changes",
    "rows": "factors on rows: no share changes",
    "head": "the head again",
    "CEs": "the CEs, not the class ratio",
}
COLOURS = alt.Scale(domain=list(MOVES.values()), range=["#0072B2", "#56B4E9", "#E69F00", "#D55E00"])


def intervention_arrows(effects: pd.DataFrame) -> Figure:
    """Minority recall against the share of the top tenth: each intervention from what it is compared with.

    Mean over repetitions, one panel per data set; a line goes from the open circle to the filled one.
    """
    moved = _named(changes(effects))
    keys = ["family", "dataset", "panel", "intervention", "title", "moves"]
    numbers = ["top_share", "recall", "top_share_before", "recall_before"]
    data = moved.groupby(keys)[numbers].mean().reset_index()
    base = alt.Chart(data)
    x = alt.X("top_share:Q").title("share of the top 10 %, CEs towards the true class").scale(zero=False)
    y = alt.Y("recall:Q").title("recall of the minority").scale(zero=False)
    colour = alt.Color("moves:N").scale(COLOURS).title("what is changed").legend(columns=2, labelLimit=260)
    tips = ["dataset:N", "title:N", *(alt.Tooltip(f"{name}:Q", format=".3g") for name in numbers)]
    start = {"x": "top_share_before:Q", "y": "recall_before:Q"}
    chart = alt.layer(
        base.mark_rule(strokeWidth=2, opacity=0.8).encode(
            x=alt.X("top_share_before:Q"), x2="top_share:Q", y="recall_before:Q", y2="recall:Q", color=colour
        ),
        base.mark_point(size=45, color=NULL_COLOUR).encode(**start, tooltip=["dataset:N"]),
        base.mark_point(filled=True, size=60).encode(
            x=x,
            y=y,
            color=colour,
            shape=alt.Shape("title:N").title("intervention").legend(columns=2, labelLimit=260),
            tooltip=tips,
        ),
    ).properties(width=230, height=190)
    facet = alt.Facet("panel:N").title(None)
    return Figure(chart.facet(facet, columns=3).resolve_scale(x="independent", y="independent"), data)


def intervention_effects(effects: pd.DataFrame) -> Figure:
    """Change of minority recall and top share under each intervention, over all sets; 95 % intervals."""
    moved = _named(changes(effects))
    rows = []
    for (family, name), of_one in moved.groupby(["family", "intervention"]):
        for quantity, column in (("recall", "recall"), ("share of the top 10 %", "top_share")):
            difference = of_one.assign(change=100 * (of_one[column] - of_one[f"{column}_before"]))
            try:
                one = over_sets(difference, "change")
            except DataError:
                continue
            first = of_one.iloc[0]
            rows.append(
                {
                    **{"family": family, "intervention": name, "quantity": quantity},
                    **{"mean": one.value, "low": one.low, "high": one.high, "n": one.n},
                    **{"title": first["title"], "moves": first["moves"], "against": first["against"]},
                }
            )
    data = pd.DataFrame(rows)
    base = alt.Chart(data)
    y = alt.Y("title:N").title(None).sort([one.title for one in INTERVENTIONS.values()]).axis(labelLimit=260)
    colour = alt.Color("moves:N").scale(COLOURS).title("what is changed").legend(columns=2, labelLimit=260)
    tips = [
        "title:N",
        "against:N",
        "n:Q",
        *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("mean", "low", "high")),
    ]
    chart = alt.layer(
        base.mark_rule(color=NULL_COLOUR).encode(x=alt.datum(0)),
        base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y, color=colour),
        base.mark_point(filled=True, size=60).encode(
            x=alt.X("mean:Q").title("change, percentage points"), y=y, color=colour, tooltip=tips
        ),
    ).properties(width=260, height=alt.Step(22))
    facets = chart.facet(row=alt.Row("family:N").title(None), column=alt.Column("quantity:N").title(None))
    return Figure(facets.resolve_scale(x="independent"), data)


def _named(moved: pd.DataFrame) -> pd.DataFrame:
    titles = {name: one.title for name, one in INTERVENTIONS.items()}
    moves = {name: MOVES[one.moves] for name, one in INTERVENTIONS.items()}
    panels = [set_title(*of) for of in zip(moved["family"], moved["dataset"], strict=True)]
    named = {"title": moved["intervention"].map(titles), "moves": moved["intervention"].map(moves)}
    return moved.assign(panel=panels, **named)


def set_title(family: str, dataset: str) -> str:
    """Name of a set where the authors' network on it stands beside others."""
    return f"authors' network ({dataset})" if family == "authors" else dataset
