"""The authors' own network, head by head, beside what each claim is held against."""

from __future__ import annotations

import altair as alt
import pandas as pd

from cemag.charts.theme import CLASS_COLOURS, CLASS_SHAPES, NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.registries import PlainTable
from cemag.reproduction.claims.authors import QUANTITIES, agreement
from cemag.reproduction.runs import Study

__all__ = ["authors_agreement", "authors_heads"]


def authors_heads(found: pd.DataFrame, study: Study) -> Figure:
    """Each head's numbers by half of the classes, with the bound (dashed) and the reference (bar).

    Parameters
    ----------
    found : DataFrame
        As `cemag.reproduction.claims.authors.over_roles` gives it.
    study : Study
    """
    data = found.dropna(subset=["value"])
    base = alt.Chart(data)
    y = alt.Y("arm:N").title(None).sort(list(data["arm"].unique())).axis(labelLimit=200)
    offset = alt.YOffset("class:N")
    colour = alt.Color("class:N").scale(CLASS_COLOURS).title(None)
    tips = [
        *("arm:N", "class:N"),
        *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("value", "low", "high", "reference", "bound")),
    ]
    chart = alt.layer(
        base.mark_rule(strokeDash=[4, 3], color=NULL_COLOUR).encode(x="mean(bound):Q"),
        base.mark_tick(thickness=3, size=9, color=NULL_COLOUR).encode(x="reference:Q", y=y, yOffset=offset),
        base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y, yOffset=offset, color=colour),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x=alt.X("value:Q").title(None).scale(zero=False),
            y=y,
            yOffset=offset,
            color=colour,
            shape=alt.Shape("class:N").scale(CLASS_SHAPES).title(None),
            tooltip=tips,
        ),
    ).properties(width=150, height=alt.Step(12))
    facet = alt.Facet("quantity:N").title(None).sort(list(QUANTITIES.values()))
    title = alt.Title(
        "The authors' network, five heads",
        subtitle="dashed: the bound; grey bar: permuted weights (C1 to C3), as trained (C4)",
    )
    chart = chart.facet(facet, columns=3).resolve_scale(x="independent").properties(title=title)
    return Figure(chart, data, study)


def authors_agreement(found: pd.DataFrame) -> PlainTable:
    """What this one network says of each claim, beside what it is held against."""
    return PlainTable(agreement(found))
