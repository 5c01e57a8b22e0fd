"""What the stored runs of two benchmarks say: how the time of an audit grows, and whether training works."""

from __future__ import annotations

import json

import altair as alt
import numpy as np
import pandas as pd

from cemag.charts.theme import CLASS_COLOURS
from cemag.errors import StoreError
from cemag.reproduction.charts.figure import Figure
from cemag.reproduction.charts.studies import tooltip
from cemag.reproduction.runs import published_store
from cemag.reproduction.runs.keyed import log_read

__all__ = ["audit_scale", "audit_times", "learning_curve", "standard_recipe"]

KINDS = {
    "trained-like": "as a trained head",
    "random": "random factors",
    "shared": "classes share a part",
    "svc": "RBF SVC",
}
AXES = {"n": "instances", "d": "features", "c": "classes"}
REPORTED = 0.70  # about; ResNet-32, plain cross-entropy, lossless CIFAR-10-LT 100:1: Cao et al. (2019)
HALVES = {
    "test_accuracy": "all classes",
    "majority": "larger half of the classes",
    "minority": "smaller half of the classes",
}
HALF_COLOURS = alt.Scale(domain=[*HALVES.values()], range=["#009E73", *CLASS_COLOURS.to_dict()["range"]])


def audit_times() -> pd.DataFrame:
    """The lines that ``benchmarks/bench_audit.py`` wrote beside the published records, a row a case.

    Raises
    ------
    StoreError
        If there are none.
    """
    table = _stored("audit.jsonl", "bench_audit.py")
    return table.assign(kind=table["kind"].map(KINDS), seconds=table["audit_s"] + table["report_s"])


def learning_curve() -> pd.DataFrame:
    """The lines that ``benchmarks/learning_curve.py`` wrote beside the published records, a row an epoch.

    Raises
    ------
    StoreError
        If there are none.
    """
    table = _stored("learning.jsonl", "learning_curve.py").sort_values("epoch")
    recall = np.stack(table["recall"].tolist())  # classes from the largest to the smallest
    half = recall.shape[1] // 2
    return table.assign(majority=recall[:, :half].mean(axis=1), minority=recall[:, -half:].mean(axis=1))


def _stored(name: str, script: str) -> pd.DataFrame:
    path = published_store().root / "benchmarks" / name
    try:
        content = path.read_bytes()
        log_read(path, content)
        rows = [json.loads(line) for line in content.splitlines()]
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: no readable benchmark ({error}); benchmarks/{script} makes it") from None
    return pd.DataFrame(rows)


def standard_recipe() -> Figure:
    """Accuracy on the test set of the one stored run of the standard recipe, epoch by epoch."""
    table = learning_curve()
    data = table.rename(columns=HALVES).melt(
        ["epoch", "lr"], [*HALVES.values()], var_name="part", value_name="accuracy"
    )
    lines = (
        alt.Chart(data)
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=1.5)
        .encode(
            x=alt.X("epoch:Q").title("epoch"),
            y=alt.Y("accuracy:Q").title("accuracy on the test images").scale(domain=[0, 1]),
            color=alt.Color("part:N").title(None).scale(HALF_COLOURS),
            tooltip=["part:N", *tooltip("epoch", "accuracy", "lr")],
        )
    )
    literature = alt.Chart().mark_rule(strokeDash=[4, 3]).encode(y=alt.datum(REPORTED))
    run = table.iloc[-1]
    what = f"{run['network']}, {run['n_train']:,} images, 100:1, recipe {run['recipe']}"
    reached = f"accuracy {run['test_accuracy']:.3f} after epoch {run['epoch']}"
    subtitle = [
        f"{what}; one run, seed {run['seed']}",
        f"{reached}; dashed: about {REPORTED:.2f}, as reported",
    ]
    title = alt.Title("The standard recipe on long-tailed CIFAR-10", subtitle=subtitle)
    return Figure((lines + literature).properties(title=title, width=440, height=260), data)


def audit_scale() -> Figure:
    """Seconds of an audit with its report, as one of N, d and C grows and the others stay."""
    table = audit_times()
    factors = table[table["kind"] != KINDS["svc"]]
    base = {name: factors[name].mode().min() for name in AXES}
    parts = []
    for name, words in AXES.items():
        others = [other for other in AXES if other != name]
        rows = factors[(factors[others] == pd.Series({o: base[o] for o in others})).all(axis=1)]
        parts.append(rows.assign(size=rows[name], grows=words))
    data = pd.concat(parts)
    shown = ("kind", "n", "d", "c", "seconds", "beyond_inputs_gib", "required_mean", "cores")
    chart = (
        alt.Chart(data[["grows", "size", *shown]])
        .mark_line(point=alt.OverlayMarkDef(size=50), strokeWidth=1.5)
        .encode(
            x=alt.X("size:Q").title(None).scale(type="log", nice=False).axis(format="~s", tickCount=4),
            y=alt.Y("seconds:Q").title("seconds, audit and report").scale(type="log"),
            color=alt.Color("kind:N").title(None),
            strokeDash=alt.StrokeDash("kind:N").title(None),
            tooltip=tooltip(*shown),
        )
        .properties(width=155, height=190)
        .facet(alt.Facet("grows:N").title(None).sort([*dict.fromkeys(data["grows"])]), columns=3)
        .resolve_scale(x="independent")
    )
    fixed = ", ".join(f"{base[name]:,} {words}" for name, words in AXES.items())
    subtitle = f"one grows, the others stay at {fixed}; {int(data['cores'].max())} cores; one run a point"
    title = alt.Title("How the time of an audit grows", subtitle=subtitle)
    return Figure(chart.properties(title=title), table)
