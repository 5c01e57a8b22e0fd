"""A study over several values of one setting as one figure: each quantity against that setting."""

from __future__ import annotations

import altair as alt
import pandas as pd

from cemag.charts.theme import CLASS_COLOURS, CLASS_SHAPES
from cemag.errors import CemagError, check_known
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.studies import COLUMNS, WIDTH, augmenter_order, choice, n_of, summary, tooltip
from cemag.reproduction.claims.tables import (
    STRICT_RULE,
    concentration_by_class,
    performance_by_class,
    required_by_class,
    under_rule,
)
from cemag.reproduction.runs import Study

__all__ = ["sweep"]

TITLES = {"imbalance_ratio": "training rows of the majority to one of the minority (log scale)"}


def sweep(study: Study, along: str | None = None) -> Figure:
    """What changes along a setting that varies over the study: recall, CEs required, top share.

    Parameters
    ----------
    study : Study
        Such as `tabular_study` gives for several values of ``imbalance_ratio``.
    along : str, optional
        Which setting, of those in ``study.dimensions``; the only one when not given.

    Raises
    ------
    CemagError
        If nothing varies, or several settings do and none is named.
    """
    along = _setting(study, along)
    cases = study.runs.drop_duplicates("dataset").set_index("dataset")
    cases = cases[cases["data_set"].isin([name for name, by in study.dimensions.items() if along in by])]
    position = cases["ratio"] if along == "imbalance_ratio" else _values(study, along).loc[cases.index]
    data = summary(_measured(study), "value", ["dataset", "augmenter", "class", "measure"])
    data = data[data["dataset"].isin(cases.index)]
    data = data.assign(at=data["dataset"].map(position), data_set=data["dataset"].map(cases["data_set"]))
    choices = [
        choice("measure", list(data["measure"].unique()), "quantity"),
        choice("augmenter", augmenter_order(data), "augmenter"),
    ]
    numeric = pd.api.types.is_numeric_dtype(data["at"])
    x = alt.X("at:Q" if numeric else "at:N").title(TITLES.get(along, along))
    if along == "imbalance_ratio":
        x = x.scale(type="log", nice=False, padding=12).axis(values=sorted(data["at"].unique()))
    colour = alt.Color("class:N").scale(CLASS_COLOURS).title(None)
    base = alt.Chart(data).encode(x=x, color=colour)
    value = alt.Y("mean:Q").title("value of the chosen quantity")
    shape = alt.Shape("class:N").scale(CLASS_SHAPES).title(None)
    hover = tooltip("dataset", "augmenter", "class", "mean", "low", "high", "n")
    layers = alt.layer(
        base.mark_line(opacity=0.5).encode(y=value),
        base.mark_rule(clip=True).encode(y="low:Q", y2="high:Q"),
        base.mark_point(filled=True, size=70).encode(y=value, shape=shape, tooltip=hover),
    ).properties(width=WIDTH, height=180)
    panels = layers.facet(
        alt.Facet("data_set:N").title(None).sort(list(data["data_set"].unique())), columns=COLUMNS
    )
    panels = panels.add_params(*[param for param, _ in choices]).transform_filter(
        *[one for _, one in choices]
    )
    title = alt.Title(
        f"Along {along.replace('_', ' ')}", subtitle=f"mean and 95 % interval; {n_of(data, study)}"
    )
    chart = panels.resolve_axis(x="independent").resolve_scale(x="independent", y="independent")
    return Figure(chart.properties(title=title), data, study)


def _setting(study: Study, along: str | None) -> str:
    varied = sorted({name for names in study.dimensions.values() for name in names})
    if not varied:
        raise CemagError("nothing varies in this study: give imbalance_ratio a list, such as [5, 10, 20]")
    if along is not None:
        return check_known("setting that varies", along, varied)
    if len(varied) > 1:
        raise CemagError(f"{', '.join(varied)} vary in this study: say along which, as along={varied[0]!r}")
    return varied[0]


def _values(study: Study, along: str) -> pd.Series:
    """The setting of every case."""
    found = {}
    for record in study.records:
        value = record.spec.model_dump()
        for part in along.split("."):
            value = value[part]
        found[study.case(record.spec)] = value
    return pd.Series(found)


def _measured(study: Study) -> pd.DataFrame:
    """Every quantity per run and role, in one column."""
    recall = performance_by_class(study)
    shares = concentration_by_class(study).query("source == 'model' and quantity == 'share of the top 10 %'")
    parts = {
        "recall (%)": recall.assign(value=100 * recall["recall"]),
        "CEs required for an instance (% of all)": under_rule(required_by_class(study, "mean"), STRICT_RULE),
        "CEs that keep 95 % of a class (% of all)": under_rule(
            required_by_class(study, "common_subset"), STRICT_RULE
        ),
        "share of the top 10 % (%)": shares.assign(value=100 * shares["value"]),
    }
    return pd.concat([table.assign(measure=name) for name, table in parts.items()], ignore_index=True)
