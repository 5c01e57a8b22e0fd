"""Figure: a chart with, under it, its data as CSV, the runs behind it and where they are from."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from cemag.reproduction.runs import Study

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """A chart that shows what it was drawn from.

    Attributes
    ----------
    chart : altair chart
    data : DataFrame
        The rows that are drawn.
    study : Study, optional
        The runs behind them; none for an example that is worked in the text.
    """

    chart: Any
    data: pd.DataFrame
    study: Study | None = None

    def __repr__(self) -> str:
        runs = "" if self.study is None else f", {len(self.study)} runs"
        return f"Figure({len(self.data)} rows{runs})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = self.chart._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if "text/html" in data:
            data = {**data, "text/html": data["text/html"] + self.details()}
        return (data, metadata) if metadata else data  # type: ignore[return-value]

    def details(self) -> str:
        """Return the HTML of the folded block under the chart."""
        csv = base64.b64encode(self.data.to_csv(index=False, float_format="%.6g").encode()).decode()
        link = f'<a download="figure.csv" href="data:text/csv;base64,{csv}">{len(self.data)} rows as CSV</a>'
        if self.study is None:
            return f'<details class="cemag-details"><summary>data</summary><p>{link}</p></details>'
        runs = self.study.runs
        origin = ", ".join(
            f"{count} from {source}" for source, count in runs["origin"].value_counts().items()
        )
        keys = " ".join(f"<code>{escape(key[:10])}</code>" for key in runs["key"])
        return (
            f'<details class="cemag-details"><summary>data and runs</summary><p>{link}. {len(runs)} runs, '
            f"{escape(origin)}; <code>cemag show KEY</code> prints one of them:</p><p>{keys}</p></details>"
        )
