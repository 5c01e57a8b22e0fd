"""Charts of what augmenters do to features: beside T5's law, beyond a class's range, against the test set."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from cemag import theory
from cemag.charts.theme import AUGMENTER_COLOURS, NULL_COLOUR
from cemag.errors import DataError
from cemag.reproduction.charts.concentration import set_title
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.experiments.augmenters import AUGMENTERS, RUN, by_repetition, within_bounds
from cemag.reproduction.experiments.estimates import mean_and_interval

__all__ = ["added_and_law", "augmenter_quantities", "frequency_and_intensity"]

BINS = 8
TITLES = list(AUGMENTERS.values())
COLOURS = alt.Scale(domain=TITLES, range=AUGMENTER_COLOURS[: len(TITLES)])
SHAPES = alt.Scale(domain=TITLES, range=["circle", "cross", "diamond", "triangle-up", "square"])
ONE_CLASS = ("ros", "smote", "adasyn")  # of which the law is a curve of the frequency alone
QUANTITIES = {  # title, where the law or no change lies
    "of_law": ("added to frequencies / by T5", 1.0),
    "beyond": ("made values beyond the class's range", 0.0),
    "taken_in": ("test values beyond it that are taken in", 0.0),
    "distance_frequency": ("distance of frequencies from the test set, change", 0.0),
    "distance_mass": ("distance of masses from the test set, change", 0.0),
}


def frequency_and_intensity(table: pd.DataFrame) -> Figure:
    """Frequency and intensity among made rows against the frequency in the class, of parents of one class.

    Features in bins of their frequency, one point per data set and bin; lines: T5's law.

    Parameters
    ----------
    table : DataFrame
        From `with_law`.
    """
    mine = table[table["rows"].isin(ONE_CLASS) & (table["before_frequency"] > 0) & (table["frequency"] > 0)]
    ratio = mine["mass"] / mine["frequency"] / (mine["before_mass"] / mine["before_frequency"])
    bins = _bins(mine["before_frequency"], mine)
    means = mine.assign(ratio=ratio, bin=bins).groupby(["family", "dataset", "rows", "bin"])
    data = means[["before_frequency", "frequency", "ratio"]].mean().reset_index().drop(columns="bin")
    titles = {"frequency": "frequency in made rows", "ratio": "intensity / before"}
    points = _long(data.rename(columns={"before_frequency": "x"}), titles)
    x = np.linspace(0, 1, 41)
    made = theory.interpolated(x, 1.0)
    curves = [
        pd.DataFrame({"x": x, "rows": name, "frequency": frequency, "ratio": ratio_of})
        for name in ONE_CLASS
        for frequency, ratio_of in [(x, x * 0 + 1) if name == "ros" else (made.frequency, 1 / (2 - x))]
    ]
    lines = _long(pd.concat(curves), titles)
    both = pd.concat([lines.assign(of="T5"), points.assign(of="measured")], ignore_index=True)
    across = alt.X("x:Q").title("frequency in the class")
    base = alt.Chart().encode(x=across)
    chart = alt.layer(
        base.mark_line(color=NULL_COLOUR, strokeWidth=2)
        .encode(y=alt.Y("value:Q").title(None).scale(domain=[0, 1.15], clamp=True))
        .transform_filter("datum.of == 'T5'"),
        base.mark_point(filled=True, size=30, opacity=0.7)
        .encode(
            y="value:Q",
            color=alt.Color("family:N").title(None),
            shape=alt.Shape("family:N"),
            tooltip=["dataset:N", alt.Tooltip("x:Q", format=".3g"), alt.Tooltip("value:Q", format=".3g")],
        )
        .transform_filter("datum.of == 'measured'"),
        data=both,
    ).properties(width=190, height=170)
    grid = chart.facet(
        column=alt.Column("augmenter:N").title(None).sort(TITLES),
        row=alt.Row("quantity:N").title(None),
    )
    return Figure(grid, points)


def added_and_law(table: pd.DataFrame) -> Figure:
    """What each augmenter adds to a feature's frequency against what T5 says, on its diagonal.

    Features in bins of what the law says, one point per data set and bin; copies add nothing: left out.
    """
    rows = table[table["rows"] != "ros"]
    before = rows["before_frequency"]
    rows = rows.assign(law=rows["law_frequency"] - before, added=rows["frequency"] - before)
    rows = rows.assign(bin=_bins(rows["law"], rows))
    data = rows.groupby(["family", "dataset", "rows", "bin"])[["law", "added"]].mean().reset_index()
    data = data.drop(columns="bin").assign(augmenter=data["rows"].map(AUGMENTERS))
    ends = [float(min(data["law"].min(), 0)), float(data["law"].max())]
    diagonal = pd.DataFrame({"law": ends, "added": ends})
    whole = pd.concat(
        [data.assign(of="measured")]
        + [diagonal.assign(augmenter=name, of="T5") for name in data["augmenter"].unique()],
        ignore_index=True,
    )
    base = alt.Chart().encode(x=alt.X("law:Q").title("added by T5"))
    chart = alt.layer(
        base.mark_line(color=NULL_COLOUR, strokeWidth=2)
        .encode(y=alt.Y("added:Q").title("added to the frequency"))
        .transform_filter("datum.of == 'T5'"),
        base.mark_point(filled=True, size=30, opacity=0.7)
        .encode(
            y="added:Q",
            color=alt.Color("family:N").title(None),
            shape=alt.Shape("family:N"),
            tooltip=["dataset:N", *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("law", "added"))],
        )
        .transform_filter("datum.of == 'measured'"),
        data=whole,
    ).properties(width=260, height=190)
    facet = alt.Facet("augmenter:N").title(None).sort(TITLES)
    return Figure(chart.facet(facet, columns=2), data)


def augmenter_quantities(table: pd.DataFrame, *quantities: str) -> Figure:
    """One number per data set and augmenter with its 95 % interval; grey what the law, or no change, gives.

    Parameters
    ----------
    table : DataFrame
        From `with_law`.
    *quantities : str
        Columns of `by_repetition`, a panel each.
    """
    found = by_repetition(table)
    rows = []
    for key, of_one in found.groupby([*RUN[:2], "rows"]):
        family, dataset, name = map(str, key)
        for quantity in quantities:
            try:
                one = within_bounds(mean_and_interval(of_one[quantity]), quantity)
            except DataError:  # the law adds nothing, or no test value is beyond
                continue
            title, line = QUANTITIES[quantity]
            at = {"set": set_title(family, dataset), "augmenter": AUGMENTERS[name], "quantity": title}
            rows.append(at | {"mean": one.value, "low": one.low, "high": one.high, "n": one.n, "line": line})
    data = pd.DataFrame(rows)
    across = alt.X("mean:Q").title("mean and 95 % interval").axis(format="%")
    y = alt.Y("set:N").title(None).axis(labelLimit=200)
    offset = alt.YOffset("augmenter:N").sort(TITLES)
    colour = alt.Color("augmenter:N").scale(COLOURS).title(None)
    shape = alt.Shape("augmenter:N").scale(SHAPES).title(None)
    tips = [
        "set:N",
        "augmenter:N",
        "n:Q",
        *(alt.Tooltip(f"{c}:Q", format=".3g") for c in ("mean", "low", "high")),
    ]
    base = alt.Chart()
    chart = alt.layer(
        base.mark_rule(color=NULL_COLOUR, strokeWidth=2).encode(x="line:Q"),
        base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y, yOffset=offset, color=colour),
        base.mark_point(filled=True, size=40).encode(
            x=across, y=y, yOffset=offset, color=colour, shape=shape, tooltip=tips
        ),
        data=data,
    ).properties(width=230, height=alt.Step(9))
    facet = alt.Facet("quantity:N").title(None)
    return Figure(chart.facet(facet, columns=2).resolve_scale(x="independent"), data)


def _bins(values: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Bin of each value, of about as many values each, by data set and augmenter."""
    keys = [rows[name] for name in ("family", "dataset", "rows")]
    return (values.groupby(keys).rank(pct=True, method="average") * BINS).clip(upper=BINS - 1e-9) // 1


def _long(data: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    ids = [name for name in data if name not in titles]
    long = data.rename(columns=titles).melt(ids, list(titles.values()), "quantity", "value")
    return long.assign(augmenter=long["rows"].map(AUGMENTERS)).drop(columns="rows")
