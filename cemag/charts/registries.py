"""The registries of data sets and augmenters as tables for the set-up page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from cemag.datasets import DATASETS
from cemag.samplers import AUGMENTERS

__all__ = ["PlainTable", "augmenters_table", "datasets_table", "sources_table"]


@dataclass(frozen=True)
class PlainTable:
    """A DataFrame shown without its index, cells escaped."""

    frame: pd.DataFrame

    def __repr__(self) -> str:
        return self.frame.to_string(index=False)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(str(name))}</th>" for name in self.frame.columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in self.frame.itertuples(index=False)
        )
        return f"<table class='cemag-table'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def datasets_table(imbalance_ratio: float | None = None) -> PlainTable:
    """Every registered data set: size, imbalance, what the minority is, whether the paper has it.

    Parameters
    ----------
    imbalance_ratio : float, optional
        To which the embedded sets are thinned where their own is lower.
    """
    rows = [
        {
            "name": info.name,
            "data set": info.title,
            "rows": f"{info.n_samples:,}",
            "features": info.n_features,
            "imbalance": f"{info.imbalance_ratio:.1f}:1",
            "thinned to": _thinned(info.imbalance_ratio, imbalance_ratio) if info.embedded else "",
            "the minority is": info.positive,
            "in the paper": "no" if info.embedded else "yes",
        }
        for info in DATASETS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def sources_table() -> PlainTable:
    """Where every registered data set is from, under which licence, and what to know of it."""
    rows = [
        {"name": info.name, "source": info.source, "licence": info.licence, "note": info.notes}
        for info in DATASETS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def augmenters_table() -> PlainTable:
    """Every registered augmenter: its name in a specification, and what it does."""
    rows = [
        {"name": a.name, "in charts": a.title, "what it does": a.description} for a in AUGMENTERS.values()
    ]
    return PlainTable(pd.DataFrame(rows))


def _thinned(own: float, asked: float | None) -> str:
    return f"{asked:g}:1" if asked is not None and asked > own else ""
