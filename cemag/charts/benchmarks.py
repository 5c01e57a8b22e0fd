"""How the time of an audit grows, from the stored run of its benchmark."""

from __future__ import annotations

import json

import altair as alt
import pandas as pd

from cemag.charts.figure import Figure
from cemag.charts.studies import tooltip
from cemag.errors import StoreError
from cemag.runs import published_store

__all__ = ["audit_scale", "audit_times"]

KINDS = {
    "trained-like": "as a trained head",
    "random": "random factors",
    "shared": "classes share a part",
    "svc": "RBF SVC",
}
AXES = {"n": "instances", "d": "features", "c": "classes"}


def audit_times() -> pd.DataFrame:
    """The lines that ``benchmarks/bench_audit.py`` wrote beside the published records, a row a case.

    Raises
    ------
    StoreError
        If there are none.
    """
    path = published_store().root / "benchmarks" / "audit.jsonl"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: no readable benchmark ({error}); benchmarks/bench_audit.py makes it"
        ) from None
    table = pd.DataFrame(rows)
    return table.assign(kind=table["kind"].map(KINDS), seconds=table["audit_s"] + table["report_s"])


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
