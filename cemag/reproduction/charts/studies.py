"""The figures that tables and images share; each takes a Study and gives a Figure."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cemag.charts.theme import CLASS_COLOURS, CLASS_SHAPES, NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.claims.nulls import (
    NULLS,
    concentration_nulls,
    relations_and_nulls,
    required_and_nulls,
)
from cemag.reproduction.claims.plan import PLAN
from cemag.reproduction.claims.statistics import Measured, over_repeats
from cemag.reproduction.claims.tables import (
    CONCENTRATION,
    QUANTITIES,
    ROLES,
    TITLES,
    augmentation_effects,
    concentration_by_class,
    performance_by_class,
    relations_by_class,
    required_by_class,
    required_ratios,
)
from cemag.reproduction.runs import Study

__all__ = [
    "augmentation_effect",
    "concentration",
    "frequency_against_magnitude",
    "performance",
    "relations",
    "required",
]

WIDTH, COLUMNS = 250, 2  # of panels that have scales of their own
STRIP_WIDTH, ROW_HEIGHT, LETTERS = 400, 14, 56  # of rows that share one; letters of a line of their title
SHARE = "% of all CEs"
TOP_SHARE = CONCENTRATION["top_share"]
NULL_SHAPES = {
    "half-normal noise": "triangle-down",
    "weights permuted": "square",
    "labels shuffled": "cross",
    "before training": "triangle-up",
}
FREQUENCY_AXES = {"mean_magnitude": "top_frequency", "mean_magnitude_active": "activation_frequency"}
FREQUENCY_TITLES = ("frequency among the top 10 % (circular)", "frequency of being active (not circular)")


def performance(study: Study) -> Figure:
    """Recall of the majority and the minority class under each augmenter."""
    data = summary(performance_by_class(study), "recall", ["dataset", "augmenter", "class"], of="recall")
    data = _within(data, 0, 1)
    x = alt.X("mean:Q").title("recall").scale(domain=[0, 1])
    minority = data[data["class"] == "minority"].groupby("augmenter", sort=False)["mean"].mean()
    plain, others = minority.get(TITLES["none"]), minority.drop(TITLES["none"], errors="ignore")
    finding = "Recall by class"
    if plain is not None and len(others):
        gained = f"{100 * others.min():.0f} to {100 * others.max():.0f} % with it"
        finding = f"Minority recall is {100 * plain:.0f} % without augmentation, {gained}"
    return Figure(_strips(_by_augmenter(data, x), data, finding, n_of(data, study)), data, study)


def required(study: Study, quantity: str = "mean") -> Figure:
    """CEs required for an instance or a class, under the counting rule that the reader chooses.

    Parameters
    ----------
    study : Study
    quantity : {"mean", "common_subset", "union"}
        Mean over instances, smallest common subset of a class at 95 %, or union over a class.
    """
    rule = ["ranking", "sufficiency", "stability", "bias", "unit"]
    table = required_by_class(study, quantity).assign(source="model")
    if quantity == "mean":
        null = required_and_nulls(study)
        null = null[null["source"] == "weights permuted"]
        unmeasured = null.assign(**{"class": "all", "unit": SHARE}, augmenter=TITLES["none"])
        table = pd.concat([table, unmeasured])
    data = summary(table, "value", ["dataset", "augmenter", "class", "source", *rule])
    data = data.assign(high=data["high"].where(data["unit"] != SHARE, data["high"].clip(upper=100)))
    data = data.assign(low=data["low"].clip(lower=0))  # a count below zero is an artefact of symmetry
    claim = {"mean": "C1", "common_subset": "C2"}.get(quantity)
    reading = PLAN.claims[claim].plain_reading if claim else None
    if reading is not None:
        data = data.assign(bound=np.where(data["unit"] == SHARE, reading.bound, np.nan))
    choices = [
        choice("ranking", ["magnitude", "signed"], "rank CEs by"),
        choice("sufficiency", list(data["sufficiency"].unique()), "cut the sums of"),
        choice("stability", ["stable", "first"], "until the prediction is right"),
        choice("bias", ["without bias", "with bias"], "bias"),
        choice("unit", [SHARE, "number of CEs"], "unit"),
    ]
    most = float(data.loc[data["unit"] != SHARE, "high"].max())
    ends = alt.Scale(
        domainMin=0, domainMax=alt.ExprRef(f"choose_unit == '{SHARE}' ? 100 : {most:g}"), nice=False
    )
    x = alt.X("mean:Q").title("CEs required (unit as chosen)").scale(ends)
    points = _beside_nulls(data, x, ["weights permuted"] if quantity == "mean" else [])
    if reading is not None:
        bound = alt.Chart(data).mark_rule(strokeDash=[4, 3]).encode(x=alt.X("mean(bound):Q"))
        points = alt.layer(bound, points)
    n = n_of(data, study) + (f"; dashed: {reading.bound:g} %" if reading else "")
    return Figure(_strips(points, data, QUANTITIES[quantity], n, choices), data, study)


def concentration(study: Study) -> Figure:
    """Concentration of CE magnitudes, with what noise and models that learned nothing give."""
    rows = pd.concat([concentration_by_class(study), concentration_nulls(study)])
    by = ["dataset", "augmenter", "class", "quantity", "source"]
    data = _within(summary(rows, "value", by, of="share of the top 10 %"), 0, 1)
    measure = choice("quantity", list(data["quantity"].unique()), "measure")
    data = data.assign(bound=np.where(data["quantity"] == TOP_SHARE, 0.5, np.nan))
    present = [source for source in NULL_SHAPES if source in set(data["source"])]
    value = alt.X("mean:Q").title("value of the chosen measure").scale(domain=[0, 1])
    bound = alt.Chart(data).mark_rule(strokeDash=[4, 3]).encode(x=alt.X("mean(bound):Q"))
    layers = alt.layer(bound, _beside_nulls(data, value, present))
    shares = data[(data["quantity"] == TOP_SHARE) & (data["augmenter"] == TITLES["none"])]
    means = shares.groupby("source")["mean"].mean()
    finding = (
        f"The top 10 % of the CEs carry {100 * means['model']:.0f} %; with weights permuted "
        f"{100 * means['weights permuted']:.0f} %"
        if {"model", "weights permuted"} <= set(means.index)
        else "Concentration of CE magnitude"
    )
    n = f"{n_of(data, study)}; dashed: half of the magnitude"
    return Figure(_strips(layers, data, finding, n, [measure]), data, study)


def relations(study: Study) -> Figure:
    """Spearman correlation of frequency and magnitude, circular, held out and not circular."""
    null = relations_and_nulls(study)
    null = null[null["source"] != NULLS["model"]].assign(**{"class": "all"}, augmenter=TITLES["none"])
    rows = pd.concat([relations_by_class(study).assign(source="model"), null])
    data = summary(rows, "estimate", ["dataset", "augmenter", "class", "relation", "source"])
    data = _within(data, -1, 1)
    kind = choice("relation", list(data["relation"].unique()), "frequency against magnitude")
    x = alt.X("mean:Q").title("Spearman correlation over features").scale(domain=[-1, 1])
    present = [source for source in NULL_SHAPES if source in set(data["source"])]
    chart = _strips(
        _beside_nulls(data, x, present), data, "Does magnitude follow frequency?", n_of(data, study), [kind]
    )
    return Figure(chart, data, study)


def frequency_against_magnitude(study: Study, augmenters: Sequence[str] = ("none", "smote")) -> Figure:
    """Every feature of one split: how frequent, and how large its CEs are."""
    table = study.table("features")
    table = table[(table["split"] == 0) & (table["seed"] == table["seed"].min())]
    table = table[table["augmenter"].isin(augmenters)].assign(**{"class": lambda t: t["class"].map(ROLES)})
    columns = ["dataset", "augmenter", "class", "feature", *FREQUENCY_AXES.values(), *FREQUENCY_AXES]
    data = four_digits(table[columns])
    choices = [
        choice("dataset", list(data["dataset"].unique()), "data set"),
        choice("augmenter", [a for a in augmenters if a in set(data["augmenter"])], "augmenter"),
    ]
    hover = alt.selection_point(on="pointerover", nearest=True, fields=["feature"], empty=False)
    base = (
        alt.Chart(data)
        .mark_point(filled=True)
        .encode(
            color=alt.Color("class:N").scale(CLASS_COLOURS).title(None),
            shape=alt.Shape("class:N").scale(CLASS_SHAPES).title(None),
            opacity=alt.when(hover).then(alt.value(1)).otherwise(alt.value(0.55)),
            size=alt.when(hover).then(alt.value(160)).otherwise(alt.value(45)),
        )
        .properties(width=245, height=240)
        .transform_filter(*[keep for _, keep in choices])
    )
    panels = [
        base.encode(
            x=alt.X(f"{frequency}:Q").title(title).scale(domain=[0, 1]),
            y=alt.Y(f"{magnitude}:Q").title("mean |CE|"),
            tooltip=tooltip("feature", "class", frequency, magnitude),
        ).transform_filter(f"isValid(datum.{magnitude})")
        for (magnitude, frequency), title in zip(FREQUENCY_AXES.items(), FREQUENCY_TITLES, strict=True)
    ]
    title = alt.Title("Frequency and magnitude, feature by feature", subtitle="split 0 of each data set")
    chart = beside(panels, title, [hover, *[param for param, _ in choices]])
    return Figure(chart, data, study)


def augmentation_effect(study: Study) -> Figure:
    """What each augmenter does to minority recall and to the CEs that minority instances require."""
    data = augmentation_effects(study).merge(required_ratios(study), on=["dataset", "augmenter"], how="left")
    data = four_digits(data)
    margin = PLAN.claims["C4b"].bound
    low, high = float(np.exp(-abs(margin))), float(np.exp(abs(margin)))
    data = data.assign(none=1.0, zero=0.0, band_low=low, band_high=high)
    widest = [0.25, 0.5, 1, 2, 4]
    y = _augmenter_axis()
    base = alt.Chart(data)
    ratio = alt.X("ratio:Q").title("CEs required, times those without it (log scale)")
    ratio = ratio.scale(type="log", domain=[widest[0], widest[-1]], nice=False, clamp=True).axis(
        values=widest
    )
    band = base.mark_rect(opacity=0.12, color=NULL_COLOUR).encode(x="min(band_low):Q", x2="max(band_high):Q")
    one = base.mark_rule(strokeDash=[4, 3]).encode(x="mean(none):Q")
    shown = tooltip(
        "dataset", "augmenter", "recall", "recall_low", "recall_high", "ratio", "ratio_low", "ratio_high"
    )
    counts = tooltip("n", "pairs")

    def pair(of: str, x: alt.X, colour: str) -> tuple[Any, Any]:
        rule = base.mark_rule(clip=True, color=colour).encode(x=f"{of}_low:Q", x2=f"{of}_high:Q", y=y)
        point = base.mark_point(filled=True, size=60, opacity=1, color=colour, clip=True)
        return rule, point.encode(x=x, y=y, tooltip=[*shown, *counts])

    recall = alt.X("recall:Q").title("change in minority recall (points)")
    recall = recall.scale(domain=[-25, 100], nice=False, clamp=True)
    zero = base.mark_rule(strokeDash=[4, 3]).encode(x="mean(zero):Q")
    left = alt.layer(zero, *pair("recall", recall, "#D55E00"))
    right = alt.layer(band, one, *pair("ratio", ratio, "#0072B2"))
    panels = [
        _rows_of(part.properties(width=210, height=alt.Step(ROW_HEIGHT)), data, headed=not place)
        for place, part in enumerate((left, right))
    ]
    inside = int(((data["ratio"] >= low) & (data["ratio"] <= high)).sum())
    known = int(data["ratio"].notna().sum())
    gained = f"Augmentation moves minority recall by {data['recall'].mean():+.0f} points in the mean"
    title = alt.Title(
        [f"{gained};", f"the CEs required stay within the band in {inside} of {known} cases"],
        subtitle=f"against none; 95 % intervals; {n_of(data, study)}; grey: 1/{high:.3g} to {high:.3g}",
    )
    return Figure(alt.hconcat(*panels, title=title), data, study)


# ---------------------------------------------------------------------- shared parts


def summary(frame: pd.DataFrame, value: str, by: Sequence[str], of: Measured = "weights") -> pd.DataFrame:
    return four_digits(over_repeats(frame, value, by, of=of).drop(columns=["se", "df"]))


def four_digits(data: pd.DataFrame) -> pd.DataFrame:
    """Round to what a reader can see: pages carry the data of their charts."""
    numbers = [name for name in data.columns if data[name].dtype.kind == "f"]
    return data.assign(**{name: [float(f"{v:.4g}") for v in data[name]] for name in numbers})


def _by_augmenter(
    data: pd.DataFrame,
    x: alt.X,
    keep: Any = None,
    colours: alt.Scale = CLASS_COLOURS,
    shapes: alt.Scale = CLASS_SHAPES,
) -> Any:
    """Points with intervals, one row per augmenter, one colour and shape per class."""
    base = alt.Chart(data)
    if keep is not None:
        base = base.transform_filter(keep)
    y = _augmenter_axis()
    colour = alt.Color("class:N").scale(colours).title(None)
    rules = base.mark_rule(strokeWidth=1.5, clip=True).encode(x="low:Q", x2="high:Q", y=y, color=colour)
    points = base.mark_point(filled=True, size=70, opacity=0.9).encode(
        x=x,
        y=y,
        color=colour,
        shape=alt.Shape("class:N").scale(shapes).title(None),
        tooltip=tooltip("dataset", "augmenter", "class", "mean", "low", "high", "sd", "n"),
    )
    return alt.layer(rules, points).properties(width=WIDTH, height=alt.Step(ROW_HEIGHT))


def _beside_nulls(data: pd.DataFrame, x: alt.X, nulls: Sequence[str]) -> Any:
    """Points of the model by augmenter, those of what learned nothing in grey beneath them."""
    named = ["majority", "minority", *nulls]
    colours = alt.Scale(domain=named, range=[*CLASS_COLOURS.range, *[NULL_COLOUR] * len(nulls)])
    shapes = alt.Scale(domain=named, range=[*CLASS_SHAPES.range, *(NULL_SHAPES[name] for name in nulls)])
    of_model = alt.datum.source == "model"
    if not nulls:
        return _by_augmenter(data, x, of_model)
    grey = (
        alt.Chart(data)
        .transform_filter(~of_model)
        .mark_point(size=55, filled=True, opacity=0.8)
        .encode(
            x="mean:Q",
            y=_augmenter_axis(),
            color=alt.Color("source:N").scale(colours).title(None),
            shape=alt.Shape("source:N").scale(shapes).title(None),
            tooltip=tooltip("dataset", "source", "mean", "n"),
        )
    )
    return alt.layer(grey, _by_augmenter(data, x, of_model, colours, shapes))


def _within(data: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Cut intervals at the range of the quantity."""
    return data.assign(low=data["low"].clip(lower=low), high=data["high"].clip(upper=high))


def _strips(
    chart: Any,
    data: pd.DataFrame,
    title: str,
    n: str,
    choices: Sequence[tuple[Any, Any]] = (),
) -> Any:
    """Data sets below one another on one scale, which stands once, at the foot."""
    rows = _rows_of(chart.properties(width=STRIP_WIDTH, height=alt.Step(ROW_HEIGHT)), data)
    if choices:
        rows = rows.add_params(*[param for param, _ in choices]).transform_filter(*[c for _, c in choices])
    subtitle = f"mean and 95 % interval; {n}"
    return rows.properties(title=alt.Title(wrap(title, LETTERS), subtitle=subtitle))


def _rows_of(chart: Any, data: pd.DataFrame, *, headed: bool = True) -> Any:
    """Repeat a chart for each data set, one row per set."""
    header = alt.Header(
        labelAngle=0, labelAlign="left", labelAnchor="start", labelOrient="top", labelPadding=2, labels=headed
    )
    row = alt.Row("dataset:N", header=header).title(None).sort(list(data["dataset"].unique()))
    return chart.facet(row=row, spacing=6)


def facets_of(chart: Any, data: pd.DataFrame) -> Any:
    """Repeat a chart for each data set, in the order in which they come."""
    return chart.facet(
        alt.Facet("dataset:N").title(None).sort(list(data["dataset"].unique())), columns=COLUMNS
    )


def choice(field: str, options: Sequence[str], label: str) -> tuple[Any, Any]:
    """Return a drop-down and the filter that keeps the rows it names."""
    options = list(options)
    if not options:
        options = [""]
    param = alt.param(
        f"choose_{field}", value=options[0], bind=alt.binding_select(options=options, name=f"{label}: ")
    )
    return param, alt.datum[field] == param


def _augmenter_axis() -> alt.Y:
    return alt.Y("augmenter:N").title(None).sort(list(TITLES.values()))


def beside(panels: Sequence[Any], title: alt.Title, params: Sequence[Any]) -> Any:
    """Panels side by side that share their parameters."""
    with warnings.catch_warnings():  # Altair says so when it makes one selection of the panels' copies
        warnings.filterwarnings("ignore", "Automatically deduplicated selection parameter")
        return alt.hconcat(*panels, title=title).add_params(*params)


def augmenter_order(data: pd.DataFrame) -> list[str]:
    """Titles of the methods that are there, in the order of their registries."""
    present = set(data["augmenter"])
    return [title for title in TITLES.values() if title in present]


def tooltip(*fields: str) -> list[alt.Tooltip]:
    texts = {"dataset", "augmenter", "class", "source", "feature", "rule", "kind"}
    whole = {"n", "feature", "epoch", "n_train", "d", "c"}
    return [
        alt.Tooltip(
            f"{field}:N" if field in texts else f"{field}:Q", format="" if field in texts | whole else ".3g"
        )
        for field in fields
    ]


def n_of(data: pd.DataFrame, study: Study) -> str:
    """How many repetitions each number is the mean of, in words."""
    low, high = int(data["n"].min()), int(data["n"].max())
    return f"n = {low} {study.repeats}" if low == high else f"n = {low} to {high} {study.repeats}"
