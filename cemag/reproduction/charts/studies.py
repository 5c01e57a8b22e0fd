"""The figures that tables and images share; each takes a Study and gives a Figure."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from cemag.charts.theme import CLASS_COLOURS, CLASS_SHAPES, NULL_COLOUR
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.claims.nulls import concentration_nulls
from cemag.reproduction.claims.statistics import Measured, over_repeats
from cemag.reproduction.claims.tables import (
    QUANTITIES,
    ROLES,
    TITLES,
    augmentation_effects,
    concentration_by_class,
    performance_by_class,
    relations_by_class,
    required_by_class,
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

WIDTH, ROW_HEIGHT, COLUMNS = 250, 20, 2
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
    chart = _by_augmenter(data, alt.X("mean:Q").title("recall").scale(domain=[0, 1], clamp=True))
    return Figure(_facets(chart, data, "Recall by class", n_of(data, study)), data, study)


def required(study: Study, quantity: str = "mean") -> Figure:
    """CEs required for an instance or a class, under the counting rule that the reader chooses.

    Parameters
    ----------
    study : Study
    quantity : {"mean", "common_subset", "union"}
        Mean over instances, smallest common subset of a class at 95 %, or union over a class.
    """
    rule = ["ranking", "sufficiency", "stability", "bias", "unit"]
    data = summary(required_by_class(study, quantity), "value", ["dataset", "augmenter", "class", *rule])
    data = data.assign(low=data["low"].clip(lower=0))  # a count below zero is an artefact of symmetry
    choices = [
        choice("ranking", ["magnitude", "signed"], "rank CEs by"),
        choice("sufficiency", list(data["sufficiency"].unique()), "cut the sums of"),
        choice("stability", ["stable", "first"], "until the prediction is right"),
        choice("bias", ["with bias", "without bias"], "bias"),
        choice("unit", ["% of all CEs", "number of CEs"], "unit"),
    ]
    points = _by_augmenter(data, alt.X("mean:Q").title("CEs required (unit as chosen)").scale(zero=True))
    chart = _facets(points, data, QUANTITIES[quantity], n_of(data, study), choices)
    return Figure(chart.resolve_scale(x="independent"), data, study)


def concentration(study: Study) -> Figure:
    """Concentration of CE magnitudes, with what noise and models that learned nothing give."""
    rows = pd.concat([concentration_by_class(study), concentration_nulls(study)])
    data = summary(rows, "value", ["dataset", "augmenter", "class", "quantity", "source"])
    measure = choice("quantity", list(data["quantity"].unique()), "measure")
    model = alt.datum.source == "model"
    present = [source for source in NULL_SHAPES if source in set(data["source"])]
    colours = alt.Scale(
        domain=["majority", "minority", *present],
        range=[*CLASS_COLOURS.range, *[NULL_COLOUR] * len(present)],
    )
    shapes = alt.Scale(
        domain=["majority", "minority", *present],
        range=[*CLASS_SHAPES.range, *[NULL_SHAPES[source] for source in present]],
    )
    value = alt.X("mean:Q").title("value of the chosen measure")
    points = _by_augmenter(data, value, model, colours, shapes)
    nulls = (
        alt.Chart(data)
        .mark_point(size=55, filled=True, opacity=0.8)
        .encode(
            x="mean:Q",
            y=_augmenter_axis(),
            color=alt.Color("source:N").scale(colours).title(None),
            shape=alt.Shape("source:N").scale(shapes).title(None),
            tooltip=tooltip("source", "mean", "n"),
        )
        .transform_filter(~model)
    )
    layers = alt.layer(nulls, points)
    chart = _facets(layers, data, "Concentration of CE magnitude", n_of(data, study), [measure])
    return Figure(chart, data, study)


def relations(study: Study) -> Figure:
    """Spearman correlation of frequency and magnitude, circular, held out and not circular."""
    data = summary(relations_by_class(study), "estimate", ["dataset", "augmenter", "class", "relation"])
    kind = choice("relation", list(data["relation"].unique()), "frequency against magnitude")
    x = alt.X("mean:Q").title("Spearman correlation over features").scale(domain=[-1, 1], clamp=True)
    chart = _facets(
        _by_augmenter(data, x), data, "Does magnitude follow frequency?", n_of(data, study), [kind]
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
    data = four_digits(augmentation_effects(study))
    order = augmenter_order(data)
    base = alt.Chart(data).encode(color=alt.Color("augmenter:N").scale(domain=order).title(None))
    shape = alt.Shape("augmenter:N").scale(domain=order).title(None)  # of points: a rule would draw it too
    x = alt.X("recall:Q").title("change in minority recall (percentage points)")
    y = alt.Y("required:Q").title("change in CEs required (points of % of all CEs)")
    points = base.mark_point(filled=True, size=80).encode(
        x=x, y=y, shape=shape, tooltip=tooltip("dataset", "augmenter", "recall", "required", "n")
    )
    across = base.mark_rule(opacity=0.5).encode(x="recall_low:Q", x2="recall_high:Q", y="required:Q")
    along = base.mark_rule(opacity=0.5).encode(x="recall:Q", y="required_low:Q", y2="required_high:Q")
    zero = alt.Chart(pd.DataFrame({"zero": [0]}))
    axes = [
        zero.mark_rule(strokeDash=[4, 3]).encode(x="zero:Q"),
        zero.mark_rule(strokeDash=[4, 3]).encode(y="zero:Q"),
    ]
    margin = alt.Chart(pd.DataFrame({"low": [-5], "high": [5]})).mark_rect(opacity=0.12, color=NULL_COLOUR)
    band = margin.encode(y="low:Q", y2="high:Q")
    subtitle = f"one point a data set and augmenter; 95 % intervals; {n_of(data, study)}; grey: 5 points"
    chart = alt.layer(band, *axes, across, along, points).properties(
        width=560,
        height=340,
        title=alt.Title("What augmentation changes for the minority class", subtitle=subtitle),
    )
    return Figure(chart, data, study)


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
    """Points with intervals, a row an augmenter, a colour and a shape a class."""
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


def _facets(
    chart: Any,
    data: pd.DataFrame,
    title: str,
    n: str,
    choices: Sequence[tuple[Any, Any]] = (),
) -> Any:
    chart = chart.properties(width=WIDTH, height=alt.Step(ROW_HEIGHT))
    facets = facets_of(chart, data)
    if choices:
        facets = facets.add_params(*[param for param, _ in choices]).transform_filter(
            *[c for _, c in choices]
        )
    facets = facets.resolve_axis(x="independent")
    return facets.properties(title=alt.Title(title, subtitle=f"mean and 95 % interval; {n}"))


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
