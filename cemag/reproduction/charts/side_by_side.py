"""Tables and images beside each other: one measure of every model on every data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

import altair as alt
import pandas as pd

from cemag.charts.theme import CLASS_COLOURS, CLASS_SHAPES
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.studies import choice, n_of, summary, tooltip
from cemag.reproduction.claims.tables import (
    MILD_RULE,
    RELATION_NAMES,
    STRICT_RULE,
    concentration_by_class,
    relations_by_class,
    required_by_class,
    unaugmented,
    under_rule,
)
from cemag.reproduction.runs import Study

__all__ = ["side_by_side"]


def side_by_side(studies: Mapping[str, Study]) -> Figure:
    """One measure of every family of models, a point a data set and role, without augmentation.

    Parameters
    ----------
    studies : mapping of str to Study
        By the family's name, in the order in which to draw them.
    """
    parts = [_measures(study).assign(family=name) for name, study in studies.items() if len(study)]
    data = summary(pd.concat(parts), "value", ["measure", "family", "dataset", "class"])
    chosen = choice("measure", list(data["measure"].unique()), "measure")
    base = alt.Chart(data).encode(
        y=alt.Y("family:N").title(None).sort(list(studies)),
        yOffset=alt.YOffset("class:N"),
        color=alt.Color("class:N").scale(CLASS_COLOURS).title(None),
    )
    points = base.mark_point(filled=True, size=80, opacity=0.75).encode(
        x=alt.X("mean:Q").title("value of the chosen measure").scale(zero=True),
        shape=alt.Shape("class:N").scale(CLASS_SHAPES).title(None),
        tooltip=tooltip("dataset", "family", "class", "mean", "low", "high", "sd", "n"),
    )
    everything = reduce(add, studies.values())
    subtitle = f"a point a data set; means; {n_of(data, everything)}; no augmentation; hover for the data set"
    chart = (
        points.add_params(chosen[0])
        .transform_filter(chosen[1])
        .properties(width=520, height=alt.Step(26), title=alt.Title("Tables and images", subtitle=subtitle))
    )
    return Figure(chart, data, everything)


def _measures(study: Study) -> pd.DataFrame:
    """Every measure that the families share, a row a run and role."""
    required = unaugmented(required_by_class(study, "mean"))
    concentrated = unaugmented(concentration_by_class(study))
    shares = concentrated.query("source == 'model' and quantity == 'share of the top 10 %'")
    related = unaugmented(relations_by_class(study)).assign(value=lambda t: t["estimate"])
    named = {
        "CEs required by the strict rule, % of all": under_rule(required, STRICT_RULE),
        "CEs required by the mild rule, % of all": under_rule(required, MILD_RULE),
        "share of the top 10 %, % of the magnitude": shares.assign(value=100 * shares["value"]),
        **{
            f"Spearman with being {words}": related[related["relation"] == words]
            for words in reversed(RELATION_NAMES.values())
        },
    }
    columns = ["dataset", "class", "design", "split", "seed", "value"]
    return pd.concat([table[columns].assign(measure=name) for name, table in named.items()])
