"""Charts of the chapter "Theory": laws and bounds beside simulations, and where the paper's sets lie."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from cemag import theory
from cemag.charts.theme import CLASS_COLOURS, NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.runs import published_classes

__all__ = ["bound_and_count", "head_and_shares", "law_and_simulation", "sets_and_laws"]


def law_and_simulation(
    data: pd.DataFrame, x: str, y: str, *, log_x: bool = False, free_y: bool = False
) -> Figure:
    """Draw what a theorem says as lines and a simulation of it as points, one colour or panel per series.

    Parameters
    ----------
    data : DataFrame
        Columns ``x``, ``law``, ``simulated``, ``series``.
    x, y : str
        Titles of the axes.
    log_x : bool, default=False
    free_y : bool, default=False
        Whether each series has a panel and a scale of its own.
    """
    across = alt.X("x:Q").title(x).scale(type="log" if log_x else "linear", zero=False, nice=False)
    colour = alt.Color("series:N").title(None)
    tips = [
        alt.Tooltip("series:N"),
        *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("x", "law", "simulated")),
    ]
    base = alt.Chart(data)
    line = base.mark_line(strokeWidth=1.5).encode(
        x=across, y=alt.Y("law:Q").title(y), color=colour, tooltip=tips
    )
    points = base.mark_point(filled=True, size=45).encode(
        x=across, y=alt.Y("simulated:Q").title(y), color=colour, shape=alt.Shape("series:N"), tooltip=tips
    )
    chart = alt.layer(line, points).properties(width=300 if free_y else 460, height=260)
    if free_y:
        chart = chart.facet(alt.Facet("series:N").title(None), columns=2).resolve_scale(y="independent")
    return Figure(chart, data)


def bound_and_count(data: pd.DataFrame) -> Figure:
    """T1: the number that was counted against the most that the theorem allows, an instance a point."""
    most = float(data["law"].max())
    line = (
        alt.Chart(pd.DataFrame({"x": [0.0, most]}))
        .mark_line(color=NULL_COLOUR, strokeDash=[4, 3])
        .encode(x="x:Q", y="x:Q")
    )
    points = (
        alt.Chart()  # the facet's own rows
        .mark_point(filled=True, size=22, opacity=0.6)
        .encode(
            x=alt.X("law:Q").title("at most, by T1"),
            y=alt.Y("simulated:Q").title("CEs required, counted"),
            color=alt.Color("x:Q").title("coherence").scale(scheme="viridis"),
            tooltip=[alt.Tooltip(f"{c}:Q", format=".3g") for c in ("x", "law", "simulated")],
        )
        .properties(width=210, height=210)
    )
    chart = alt.layer(line, points, data=data).facet(alt.Facet("series:N").title("spread of log |CE|"))
    return Figure(chart, data)


def head_and_shares(data: pd.DataFrame) -> Figure:
    """T6: minority recall and the top share of the same instances' CEs, as bias or rows are moved."""
    renamed = {"recall": "recall of the minority", "simulated": "share of the top 10 %"}
    long = data.rename(columns=renamed).melt(["x", "series"], list(renamed.values()), "quantity", "value")
    chart = (
        alt.Chart(long)
        .mark_line(point=True)
        .encode(
            x=alt.X("x:Q").title("strength of the intervention"),
            y=alt.Y("value:Q").title(None).scale(domain=[0, 1]),
            color=alt.Color("quantity:N").title(None),
            tooltip=[*("series:N", "quantity:N"), alt.Tooltip("x:Q"), alt.Tooltip("value:Q", format=".3g")],
        )
        .properties(width=260, height=230)
        .facet(alt.Facet("series:N").title(None))
    )
    return Figure(chart, long)


def sets_and_laws() -> Figure:
    """Where the published models lie: share of the top tenth against participation, beside T2's laws.

    One point per family, set and role, mean over repetitions and classes of the models without augmentation.
    """
    data = places_of_sets()
    sigma = np.linspace(0, 2, 60)
    laws = pd.DataFrame([theory.log_normal(s) for s in sigma], columns=["top_share", "participation"])
    marks = pd.DataFrame(
        [("half-normal", *theory.half_normal()), ("product of normals", *theory.normal_product())],
        columns=["law", "top_share", "participation"],
    )
    x = alt.X("participation:Q").title("participation ratio / number of CEs").scale(domain=[0, 1])
    y = alt.Y("top_share:Q").title("share of the top 10 %").scale(domain=[0, 1])
    curve = alt.Chart(laws).mark_line(color=NULL_COLOUR).encode(x=x, y=y, order="participation:Q")
    named = alt.Chart(marks).encode(x=x, y=y)
    dots = named.mark_point(shape="cross", size=120, filled=True, color="#E69F00")
    words = named.mark_text(align="left", dx=9, dy=-6).encode(text="law:N")
    tips = [f"{c}:N" for c in ("dataset", "family", "role")]
    points = (
        alt.Chart(data)
        .mark_point(filled=True, size=70)
        .encode(
            x=x,
            y=y,
            color=alt.Color("role:N").scale(CLASS_COLOURS).title(None),
            shape=alt.Shape("family:N").title(None),
            tooltip=[
                *tips,
                *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("participation", "top_share")),
                "n:Q",
            ],
        )
    )
    chart = alt.layer(curve, dots, words, points).properties(width=480, height=340)
    return Figure(chart, data)


def places_of_sets() -> pd.DataFrame:
    """Mean share of the top tenth and participation of each published family, set and role."""
    rows = published_classes()
    chosen = (
        (rows["source"] == "model")
        & (rows["augmenter"] == "none")
        & (rows["gauge"] == "paper")
        & rows["standardised"].astype(bool)
        & rows["role"].isin(["majority", "minority"])
        & (rows["n_correct"] > 0)
    )
    known = rows[chosen]
    known = known.assign(participation=known["participation_ratio"] / known["n_ces"])
    by = known.groupby(["family", "dataset", "role"])
    means = by[["participation", "top_share"]].mean()
    return means.assign(n=by["repetition"].nunique()).reset_index()
