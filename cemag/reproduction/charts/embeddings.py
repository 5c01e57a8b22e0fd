"""A picture of one instance's CEs, and of how its prediction comes about as they are added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cemag.charts.theme import NULL_COLOUR
from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics.truncation import first_or_stable, kept_by_k, rank_ces, running_sum
from cemag.reproduction.charts.figure import Figure

__all__ = ["ce_bars"]


def ce_bars(
    ce: ClassificationEmbeddings, instance: int = 0, feature_names: list[str] | None = None
) -> Figure:
    """Draw the CEs of one instance towards its predicted class, ranked, and their running sum.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        A single-sum binary model.
    instance : int, default=0
        Which instance.
    feature_names : list of str, optional
        Names of the d features; their numbers when not given.
    """
    rows = np.array([instance])
    label = ce.predictions[rows]
    ces = ce.weigh(ce.features[rows], label)
    names = feature_names or [str(j) for j in range(ce.n_features)]
    bias = float(ce.bias[0] if label[0] == 1 else -ce.bias[0])
    tables, needed = [], {}
    for ranking, ranked in rank_ces(ces, with_order=True).items():
        kept = kept_by_k(ce, ce.features[rows], label, ranked, [ce.bias])[0]["shared"]
        needed[ranking] = int(first_or_stable(kept, "stable")[0])
        order = np.asarray(ranked.order)[0]
        tables.append(
            pd.DataFrame(
                {
                    "ranking": ranking,
                    "place": np.arange(1, ce.n_features + 1),
                    "feature": [names[j] for j in order],
                    "CE": ranked.values[0],
                    "sum": running_sum(ranked.values)[0, 1:] + bias,
                    "kept": np.where(np.arange(ce.n_features) < needed[ranking], "required", "not required"),
                }
            )
        )
    data = pd.concat(tables)
    return Figure(_draw(data, needed), data)


def _draw(data: pd.DataFrame, needed: Mapping[Any, int]) -> Any:
    place = alt.X("place:O").title("place in the ranking").axis(labelAngle=0)
    tooltip = [
        alt.Tooltip("feature:N"),
        alt.Tooltip("CE:Q", format=".3g"),
        alt.Tooltip("sum:Q", format=".3g"),
    ]
    colour = (
        alt.Color("kept:N")
        .title(None)
        .scale(domain=["required", "not required"], range=["#0072B2", NULL_COLOUR])
    )
    bars = (
        alt.Chart(data)
        .mark_bar(opacity=0.8)
        .encode(x=place, y=alt.Y("CE:Q").title("CE"), color=colour, tooltip=tooltip)
    )
    line = (
        alt.Chart(data)
        .mark_line(point=True, color="#D55E00")
        .encode(x=place, y=alt.Y("sum:Q"), tooltip=tooltip)
    )
    zero = alt.Chart(data).mark_rule().encode(y=alt.datum(0))
    counts = ", ".join(f"{ranking}: {k}" for ranking, k in needed.items())
    title = alt.Title(
        "CEs of one instance (bars) and their running sum with the bias (line)",
        subtitle=f"the prediction holds while the line is above zero; CEs required, stable: {counts}",
    )
    panels = alt.layer(bars, zero, line).properties(width=260, height=220)
    return panels.facet(column=alt.Column("ranking:N").title(None).sort(list(needed))).properties(title=title)
