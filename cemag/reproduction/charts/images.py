"""The figures of the chapters on images that tables have no part in; each takes a Study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import altair as alt
import pandas as pd

from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.registries import PlainTable
from cemag.reproduction.charts.studies import (
    augmenter_order,
    beside,
    choice,
    facets_of,
    n_of,
    summary,
    tooltip,
)
from cemag.reproduction.claims import image_tables as tables
from cemag.reproduction.runs import Study

__all__ = [
    "Gallery",
    "class_profile",
    "image_coverage",
    "image_settings",
    "learning",
    "recall_and_size",
    "required_and_size",
    "scores",
]

WIDTH, HEIGHT = 235, 190
LEGEND = "click a method to see it alone, with shift several"


def image_settings(study: Study) -> PlainTable:
    """What was run on each data set, and where its records are from."""
    return PlainTable(tables.settings(study))


def image_coverage(study: Study) -> PlainTable:
    """What the scales ask for and how much of it is here; what was not run says so."""
    return PlainTable(tables.coverage(study))


def scores(study: Study) -> Figure:
    """Summary scores of every method; the reader chooses which."""
    data = summary(tables.scores_by_run(study), "value", ["dataset", "augmenter", "score"])
    chosen = choice("score", list(data["score"].unique()), "score")
    y = alt.Y("augmenter:N").title(None).sort(augmenter_order(data))
    base = alt.Chart(data)
    rules = base.mark_rule(strokeWidth=1.5, clip=True).encode(x="low:Q", x2="high:Q", y=y)
    x = alt.X("mean:Q").title("value of the chosen score").scale(domain=[0, 1], clamp=True)
    points = base.mark_point(filled=True, size=70, opacity=0.9, color="#0072B2").encode(
        x=x, y=y, tooltip=tooltip("dataset", "augmenter", "mean", "low", "high", "sd", "n")
    )
    chart = alt.layer(rules, points).properties(width=WIDTH, height=alt.Step(20))
    chart = facets_of(chart, data).add_params(chosen[0]).transform_filter(chosen[1])
    title = alt.Title("Scores on the test set", subtitle=f"mean and 95 % interval; {n_of(data, study)}")
    return Figure(chart.resolve_axis(x="independent").properties(title=title), data, study)


def learning(study: Study) -> Figure:
    """Accuracy in training, epoch by epoch."""
    data = summary(tables.learning_curves(study), "accuracy", ["dataset", "augmenter", "epoch"])
    click = _click()
    lines = (
        alt.Chart(data)
        .mark_line(strokeWidth=2)
        .add_params(click)
        .encode(
            **_by_method(data, click),
            x=alt.X("epoch:Q").title("epoch"),
            y=alt.Y("mean:Q").title("accuracy on augmented training images").scale(domain=[0, 1]),
            tooltip=tooltip("dataset", "augmenter", "epoch", "mean", "sd", "n"),
        )
    )
    chart = facets_of(lines.properties(width=WIDTH, height=HEIGHT), data).resolve_scale(x="independent")
    title = alt.Title("Training", subtitle=f"mean; {n_of(data, study)}; {LEGEND}")
    return Figure(chart.properties(title=title), data, study)


def recall_and_size(study: Study) -> Figure:
    """Recall of each class against the number of its training images."""
    data = summary(
        tables.recall_by_size(study), "recall", ["dataset", "augmenter", "class", "place", "n_train"]
    )
    y = alt.Y("mean:Q").title("recall").scale(domain=[0, 1])
    chart = _against_size(data, y, interval=("low", "high"))
    title = alt.Title(
        "Recall and class size", subtitle=f"mean and 95 % interval; {n_of(data, study)}; {LEGEND}"
    )
    return Figure(chart.properties(title=title), data, study)


def required_and_size(study: Study) -> Figure:
    """CEs required in each class against the number of its training images, by the rule of the verdicts."""
    table = tables.required_by_size(study)
    by = ["dataset", "augmenter", "class", "place", "n_train"]
    data = summary(table, "mean", by)
    spread = table.groupby(by, sort=False, as_index=False)[["q05", "q95"]].mean()
    data = data.merge(spread, on=by)
    y = alt.Y("mean:Q").title("CEs required (of 64)").scale(zero=True)
    chart = _against_size(data, y, interval=("q05", "q95"))
    subtitle = f"mean, and 5 to 95 % of the instances; {n_of(data, study)}; {LEGEND}"
    return Figure(
        chart.properties(title=alt.Title("CEs required and class size", subtitle=subtitle)), data, study
    )


def class_profile(study: Study, augmenters: Sequence[str] = ("none", "ros", "eos")) -> Figure:
    """The CEs of one class, feature by feature: the reader chooses the class and hovers for the feature."""
    table = tables.class_profiles(study, augmenters)
    label = table["dataset"] + ": " + table["place"].astype(str) + ". " + table["class"]
    columns = [
        "label", "augmenter", "feature", "rank", "mean_ce", "weight", "top_frequency", "mean_magnitude",
        "activation_frequency",
    ]  # fmt: skip
    data = _short(table.assign(label=label)[columns])
    choices = [
        choice("label", list(data["label"].unique()), "class, the largest first"),
        choice("augmenter", list(data["augmenter"].unique()), "method"),
    ]
    hover = alt.selection_point(
        name="feature", on="pointerover", nearest=True, fields=["feature"], empty=False, clear="pointerout"
    )
    base = (
        alt.Chart(data)
        .transform_filter(*[keep for _, keep in choices])
        .encode(
            tooltip=tooltip("feature", "mean_ce", "weight", "top_frequency", "activation_frequency"),
            color=alt.when("datum.mean_ce > 0").then(alt.value("#0072B2")).otherwise(alt.value("#D55E00")),
            opacity=alt.when(hover).then(alt.value(1)).otherwise(alt.value(0.6)),
        )
    )
    bars = (
        base.mark_bar()
        .encode(
            x=alt.X("rank:O").title("feature, by mean |CE|").axis(labels=False, ticks=False),
            y=alt.Y("mean_ce:Q").title("mean CE towards the class"),
            stroke=alt.when(hover).then(alt.value("currentColor")).otherwise(alt.value(None)),
        )
        .properties(width=360, height=220)
    )
    points = (
        base.mark_point(filled=True)
        .encode(
            x=alt.X("top_frequency:Q").title("frequency among the top 10 %").scale(domain=[0, 1]),
            y=alt.Y("mean_magnitude:Q").title("mean |CE|"),
            size=alt.when(hover).then(alt.value(180)).otherwise(alt.value(45)),
        )
        .properties(width=230, height=220)
    )
    title = alt.Title(
        "One class, feature by feature",
        subtitle="one network a choice; blue speaks for the class, orange against; hover for the feature",
    )
    chart = beside([bars, points], title, [hover, *[param for param, _ in choices]])
    return Figure(chart, data, study)


@dataclass(frozen=True)
class Gallery:
    """Real pictures, the same redrawn from their own code, and new ones, a row a class.

    Parameters
    ----------
    study : Study
        Its runs of DeepSMOTE; the first seed is shown.
    dataset : str, optional
        Data set to show; the last of those that DeepSMOTE was run on when not given, which is a real
        one where there is one.
    """

    study: Study
    dataset: str | None = None
    kinds: tuple[str, ...] = ("real", "redrawn", "made")

    def __repr__(self) -> str:
        return f"Gallery({len(self._rows())} pictures)"

    def _rows(self) -> pd.DataFrame:
        rows = tables.pictures(self.study)
        if rows.empty:
            return rows
        shown = rows["dataset"].iloc[-1] if self.dataset is None else self.dataset
        return rows[rows["dataset"] == shown].sort_values(["place_y", "place_x"])

    def _repr_html_(self) -> str:
        rows = self._rows()
        if rows.empty:
            return "<p class='cemag-notrun'>DeepSMOTE was not run on this data set.</p>"
        heads = "".join(f"<th>{escape(kind)}</th>" for kind in self.kinds)
        body = "".join(
            self._class(str(name), of_class) for name, of_class in rows.groupby("class", sort=False)
        )
        head = f"<thead><tr><th>class</th><th>images</th>{heads}</tr></thead>"
        caption = f"<caption>{escape(rows['dataset'].iloc[0])}, seed {rows['seed'].iloc[0]}</caption>"
        return f"<table class='cemag-gallery'>{caption}{head}<tbody>{body}</tbody></table>"

    def _class(self, name: str, rows: pd.DataFrame) -> str:
        cells = "".join(
            "<td>"
            + "".join(self._picture(name, kind, png) for png in rows[rows["kind"] == kind]["png"])
            + "</td>"
            for kind in self.kinds
        )
        return f"<tr><th scope='row'>{escape(name)}</th><td>{rows['n_train'].iloc[0]}</td>{cells}</tr>"

    @staticmethod
    def _picture(name: str, kind: str, png: str) -> str:
        return f"<img alt='{escape(kind)} {escape(name)}' src='data:image/png;base64,{png}'>"


# ---------------------------------------------------------------------- shared parts


def _by_method(data: pd.DataFrame, click: Any) -> dict[str, Any]:
    """Colour by method; a click on the legend shows one alone."""
    return {
        "color": alt.Color("augmenter:N")
        .sort(augmenter_order(data))
        .title(None)
        .legend(columns=5, labelLimit=200),
        "opacity": alt.when(click).then(alt.value(0.95)).otherwise(alt.value(0.06)),
    }


def _click() -> Any:
    return alt.selection_point(fields=["augmenter"], bind="legend")


def _against_size(data: pd.DataFrame, y: alt.Y, interval: tuple[str, str]) -> Any:
    x = alt.X("n_train:Q").title("training images of the class").scale(type="log", nice=False)
    x = x.axis(values=[10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
    click = _click()
    base = alt.Chart(data).encode(x=x, y=y, **_by_method(data, click))
    lines = base.mark_line(strokeWidth=1.5).add_params(click)
    points = base.mark_point(filled=True, size=45).encode(
        shape=alt.Shape("augmenter:N").sort(augmenter_order(data)).legend(None),
        tooltip=tooltip("class", "n_train", "augmenter", "mean", *interval, "sd", "n"),
    )
    return facets_of(alt.layer(lines, points).properties(width=WIDTH, height=HEIGHT), data).resolve_scale(
        x="independent"
    )


def _short(data: pd.DataFrame) -> pd.DataFrame:
    """Three digits: the page carries thousands of features."""
    numbers = [name for name in data.columns if data[name].dtype.kind == "f"]
    return data.assign(**{name: [float(f"{v:.3g}") for v in data[name]] for name in numbers})
