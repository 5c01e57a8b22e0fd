"""What the commands print about runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cemag.reproduction.claims import Row
    from cemag.reproduction.runs import GridResult, KeyedRecords, Published, RunRecord, RunStore
    from cemag.reproduction.verification import Check

README_START, README_END = "<!-- claims: written by cemag claims --write -->", "<!-- end of claims -->"
DEFAULT_RULE = ("signed", "shared", "first", True)


@cache
def console() -> Console:
    """Where everything but plain lists is printed; into a file or pipe, nothing is cut off."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def show_record(record: RunRecord, path: Path) -> None:
    """Print a record: the run, how well it predicts, and its CEs per class."""
    spec, origin = record.spec, record.provenance
    ratio = "its own" if spec.imbalance_ratio is None else f"{spec.imbalance_ratio:g}"
    console().print(f"[bold]{spec.key}[/]  {path}", soft_wrap=True)
    console().print(f"{spec.label}, imbalance {ratio}")
    scores = record.tables["performance"].to_pylist()[0]
    console().print("  ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    console().print(_per_class(record))
    console().print(
        f"{origin.n_train} training rows, {origin.n_synthetic} by the augmenter, {origin.n_test} test rows, "
        f"{origin.n_ces} CEs a class; fit {origin.fit_seconds:.2f} s, metrics {origin.metric_seconds:.2f} s"
    )
    console().print(f"digest {record.digest[:16]}, source {origin.source}, {origin.started}", style="dim")
    if made_on := ", ".join(filter(None, [origin.commit[:12], origin.system, origin.processor])):
        console().print(f"made by {made_on}", style="dim")
    if origin.note:
        console().print(f"note: {origin.note}")


def _per_class(record: RunRecord) -> Table:
    from rich.table import Table

    table = Table(title="CEs of correctly predicted test instances (signed, shared, first, with bias)")
    for heading in (
        "class",
        "n",
        "recall",
        "CEs required (mean)",
        "of",
        "union",
        "common 95 %",
        "top-10 % share",
    ):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    scores = {row["class"]: row for row in record.tables["per_class"].to_pylist()}
    shares = {
        row["class"]: row["mean"]
        for row in record.tables["concentration"].to_pylist()
        if (row["quantity"], row["source"]) == ("top_share", "model")
    }
    for row in record.tables["required"].to_pylist():
        if (row["ranking"], row["sufficiency"], row["stability"], row["bias"]) == DEFAULT_RULE:
            name = row["class"]
            table.add_row(
                name, str(row["n"]), f"{scores[name]['recall']:.3f}", f"{row['mean']:.1f}",
                str(record.provenance.n_ces), f"{row['union']:.0f}", f"{row['common_subset']:.0f}",
                f"{shares[name]:.3f}",
            )  # fmt: skip
    return table


def show_grid(result: GridResult, store: RunStore) -> None:
    """Print what became of a grid."""
    console().print(
        f"{len(result.computed)} computed, {len(result.skipped)} stored already, "
        f"{len(result.failed)} failed; {len(store)} records in {store.root}",
        soft_wrap=True,
    )
    for spec, reason in result.failed.items():
        console().print(f"failed: {spec.label}: {reason}", style="red", soft_wrap=True)


def show_runs(store: KeyedRecords) -> None:
    """Print one line per stored run, as plain text: a drawn table of a thousand rows takes seconds."""
    headings = ("key", "data set", "model", "augmenter", "repeat", "seed", "balanced accuracy", "seconds")
    rows = [
        (
            run.key[:10],
            run.spec["dataset"],
            run.model,
            run.treatment,
            str(run.repetition),
            str(run.spec["seed"]),
            f"{run.balanced_accuracy:.3f}",
            f"{run.provenance['fit_seconds'] + run.provenance['metric_seconds']:.2f}",
        )
        for run in store.summaries()
    ]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    print(f"{store.root} ({len(rows)} records)")
    for row in (headings, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_published(result: Published, store: RunStore) -> None:
    """Print what became of the records of a working store."""
    console().print(
        f"{result.moved} records published, {len(result.written)} files written; left in {store.root}: "
        f"{len(store)} records",
        soft_wrap=True,
    )
    for name, missing in result.incomplete.items():
        console().print(f"not whole: {name} waits for {missing} run(s)", soft_wrap=True)
    if result.unplanned:
        keys = ", ".join(key[:10] for key in result.unplanned)
        console().print(f"no published file is to hold: {keys}", soft_wrap=True)


def show_claims(rows: Sequence[Row]) -> None:
    """Print the scorecard."""
    from rich.table import Table

    from cemag.reproduction.claims import FAMILIES, sentence
    from cemag.reproduction.claims.sentences import cases_in_words, depends_in_words

    table = Table(title="Claims, from the published records", title_justify="left")
    for heading in ("claim", "models", "the paper", "the records", "cases", "depends on", "in one sentence"):
        table.add_column(heading)
    for row in rows:
        table.add_row(
            row.claim, FAMILIES[row.family], row.says, row.verdict.word, cases_in_words(row),
            depends_in_words(row), sentence(row),
        )  # fmt: skip
    console().print(table)


def write_claims(rows: Sequence[Row]) -> None:
    """Publish the verdicts beside the records, their table in the README, and the digest of every file."""
    from cemag.reproduction.claims import write_verdicts
    from cemag.reproduction.verification import write_manifest

    print(f"wrote {write_verdicts(rows)}")
    readme, text = _readme(rows)
    readme.write_text(text, encoding="utf-8")
    print(f"wrote {readme}")
    print(f"wrote {write_manifest()}")


def show_check(check: Check) -> None:
    """Print what one check found, as it is done."""
    from rich.markup import escape

    style = {"confirmed": "green", "not confirmed": "red", "data missing": "yellow"}[check.outcome]
    console().print(
        f"[{style}]{check.outcome:13}[/] {check.level:14}  {escape(f'{check.name}: {check.said}')}  "
        f"[dim]({check.seconds:.1f} s)[/]",
        soft_wrap=True,
        highlight=False,
    )


def check_claims(rows: Sequence[Row]) -> bool:
    """Say which published verdicts are no longer what the records give; return whether all still are."""
    from cemag.reproduction.claims import changed_verdicts

    changed = changed_verdicts(rows)
    for line in changed:
        console().print(f"changed: {line}", style="red", soft_wrap=True)
    readme, text = _readme(rows)
    stale = readme.read_text(encoding="utf-8") != text
    if stale:
        console().print(f"changed: the table in {readme}; 'cemag claims --write' renews it", style="red")
    return not changed and not stale


def _readme(rows: Sequence[Row]) -> tuple[Path, str]:
    """The project's README, and its text with the table renewed."""
    from cemag.errors import CemagError
    from cemag.reproduction.claims import markdown
    from cemag.reproduction.runs.keyed import project_root

    root = project_root()
    if root is None:
        raise CemagError("the README's table is renewed within a clone of the project: there is none here")
    text = (root / "README.md").read_text(encoding="utf-8")
    before, start, rest = text.partition(README_START)
    _, end, after = rest.partition(README_END)
    if not (start and end):
        raise CemagError(f"{root / 'README.md'}: the marks {README_START} and {README_END} are missing")
    return root / "README.md", f"{before}{start}\n{markdown(rows)}\n{end}{after}"
