"""Models beside their nulls: how many CEs are required, and how magnitude goes with frequency."""

from __future__ import annotations

import altair as alt

from cemag.charts.theme import NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.studies import facets_of, n_of, summary, tooltip
from cemag.reproduction.claims import nulls
from cemag.reproduction.claims.nulls import NULLS
from cemag.reproduction.runs import Study

__all__ = ["relations_and_nulls", "rules_and_nulls"]

NULL_COLOURS = alt.Scale(domain=list(NULLS.values()), range=["#0072B2", NULL_COLOUR, "#CC79A7", "#E69F00"])
NULL_SHAPES = alt.Scale(domain=list(NULLS.values()), range=["circle", "square", "cross", "triangle-up"])


def rules_and_nulls(study: Study) -> Figure:
    """CEs that models require under every counting rule, beside models that learned nothing."""
    data = summary(nulls.required_and_nulls(study), "value", ["dataset", "rule", "source"])
    order = data[data["source"] == NULLS["model"]].groupby("rule")["mean"].mean().sort_values().index
    chart = (
        alt.Chart(data)
        .mark_point(filled=True, size=55, opacity=0.9)
        .encode(
            x=alt.X("mean:Q").title("CEs required (% of all)").scale(zero=True),
            y=alt.Y("rule:N").title(None).sort(list(order)).axis(labelLimit=220),
            color=alt.Color("source:N").scale(NULL_COLOURS).title(None),
            shape=alt.Shape("source:N").scale(NULL_SHAPES).title(None),
            tooltip=tooltip("dataset", "rule", "source", "mean", "sd", "n"),
        )
        .properties(width=210, height=alt.Step(17))
    )
    title = alt.Title("What the rule and the null change", subtitle=f"mean; {n_of(data, study)}")
    return Figure(facets_of(chart, data).properties(title=title), data, study)


def relations_and_nulls(study: Study) -> Figure:
    """How magnitude goes with frequency in a trained model, and in one that learned nothing."""
    data = summary(nulls.relations_and_nulls(study), "estimate", ["dataset", "relation", "source"])
    base = alt.Chart(data)
    y = alt.Y("relation:N").title(None).axis(labelExpr="split(datum.label, ', ')", labelLimit=200)
    offset = alt.YOffset("source:N").sort(list(NULLS.values()))
    colour = alt.Color("source:N").scale(NULL_COLOURS).title(None)
    rules = base.mark_rule(strokeWidth=1.5, clip=True).encode(
        x="low:Q", x2="high:Q", y=y, yOffset=offset, color=colour
    )
    points = base.mark_point(filled=True, size=60).encode(
        x=alt.X("mean:Q").title("Spearman correlation").scale(domain=[-1, 1], clamp=True),
        y=y,
        yOffset=offset,
        color=colour,
        shape=alt.Shape("source:N").scale(NULL_SHAPES).title(None),
        tooltip=tooltip("dataset", "source", "mean", "low", "high", "n"),
    )
    chart = facets_of(alt.layer(rules, points).properties(width=180, height=alt.Step(15)), data)
    subtitle = f"mean over classes, no augmentation; 95 % interval; {n_of(data, study)}"
    title = alt.Title("Frequency and magnitude, and what is there without learning", subtitle=subtitle)
    return Figure(chart.properties(title=title), data, study)
