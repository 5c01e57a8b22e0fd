"""What stands behind a row of the scorecard: figure, data, runs, and the command that makes them again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

import pandas as pd

from cemag.reproduction.claims import FAMILIES, PLAN, Row
from cemag.reproduction.claims.contrasts import augmenters_of
from cemag.reproduction.runs import RunSummary, published_store

__all__ = ["cases_table", "command", "links", "runs_behind", "runs_of"]

FIGURES = {
    "C1": "required",
    "C2": "class",
    "C3": "concentration",
    "C4a": "recall",
    "C4b": "effect",
    "C5a": "relation",
    "C5b": "relation",
}
CNN_PAGES = {"C4a": "cnn", "C5a": "cnn_frequency", "C5b": "cnn_frequency"}  # the others: cnn_required
CHANGES = ("C4a", "C4b")  # claims about augmentation


def links(row: Row) -> str:
    """Links of a row: to its figure, its cases as CSV, its runs and the plan."""
    page = CNN_PAGES.get(row.claim, "cnn_required") if row.family == "cnn" else row.family
    coded = base64.b64encode(cases_table(row).to_csv(index=False, float_format="%.6g").encode()).decode()
    name = f"{row.claim}-{row.family}-cases.csv"
    return " ".join(
        (
            f"<a href='{page}.html#fig-{row.family}-{FIGURES[row.claim]}'>figure</a>",
            f'<a download="{name}" href="data:text/csv;base64,{coded}">data</a>',
            f"<a href='#{_anchor(row)}'>runs</a>",
            "<a href='plan.html'>plan</a>",
        )
    )


def cases_table(row: Row) -> pd.DataFrame:
    """Every case of a row: its contrast with its 95 % interval, what is compared, and what the tests say."""
    lines = []
    for case in row.cases:
        low, high = case.estimate.interval() if case.estimate.n > 1 else (float("nan"), float("nan"))
        lines.append(
            {
                "claim": row.claim,
                "models": FAMILIES[row.family],
                "dataset": case.dataset,
                "class": case.role,
                "augmenter": case.augmenter or "none",
                "contrast": case.estimate.mean,
                "low": low,
                "high": high,
                "n": case.estimate.n,
                "value": case.value,
                "held against": case.reference,
                "bound": PLAN.claims[row.claim].bound,
                "decision": case.decision,
            }
        )
    return pd.DataFrame(lines)


def _augmenters(row: Row) -> tuple[str, ...]:
    """Augmenters whose runs a claim rests on; of C4a with the moved threshold that it is held against."""
    if row.claim not in CHANGES:
        return ("none",)
    moved = ("threshold",) if row.claim == "C4a" else ()
    return ("none", *augmenters_of(row.family), *moved)


def runs_of(row: Row) -> Iterator[RunSummary]:
    """The published runs that a row rests on."""
    augmenters, store = _augmenters(row), published_store()
    for run in store.summaries():
        family = store.path(run.key).stem.partition("-")[0]
        dataset = run.spec["dataset"]
        if (
            family == row.family
            and run.treatment in augmenters
            and dataset in PLAN.sets(row.family)
            and run.repetition in PLAN.repeats(row.family, dataset)
        ):
            yield run


def command(row: Row) -> str:
    """What computes the runs of a row again."""
    augmenters = ",".join(_augmenters(row))
    if row.family == "cnn":
        return f"cemag images --scale cpu --augmenters {augmenters} --store again"
    return f"cemag grid --datasets paper --models {row.family} --augmenters {augmenters} --store again"


def runs_behind(row: Row) -> str:
    """The runs of a row, folded: the files that hold them, their keys, and the command for all of them."""
    store = published_store()
    by_file: dict[str, list[str]] = {}
    for run in runs_of(row):
        by_file.setdefault(store.path(run.key).stem, []).append(run.key)
    listed = "".join(
        f"<li><a download='{name}.parquet' href='../results/records/{name}.parquet'>{name}</a>: "
        + " ".join(f"<code>{key[:10]}</code>" for key in sorted(keys))
        + "</li>"
        for name, keys in sorted(by_file.items())
    )
    count = sum(map(len, by_file.values()))
    title = f"{row.claim}, {escape(FAMILIES[row.family])}: {count} runs in {len(by_file)} files"
    again = f"<code class='cemag-command'>{escape(command(row))}</code>"
    return (
        f"<details class='cemag-details' id='{_anchor(row)}'><summary>{title}</summary>"
        "<p>A file opens with any reader of Parquet; <code>cemag show KEY</code> prints one run of it. "
        f"All of them again: {again}</p><ul>{listed}</ul></details>"
    )


def _anchor(row: Row) -> str:
    return f"runs-{row.claim}-{row.family}"
