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
        """Return the HTML of the folded block under the chart: how many, the data, the runs.

        The book's pages add where the figure comes from and how to make it again
        (`cemag.reproduction.publishing.chart_pages`).
        """
        csv = base64.b64encode(self.data.to_csv(index=False, float_format="%.6g").encode()).decode()
        link = f'<a download="figure.csv" href="data:text/csv;base64,{csv}">{len(self.data)} rows as CSV</a>'
        lines = [f"Data: {link}{self._repetitions()}."]
        if self.study is not None:
            runs = self.study.runs
            origin = ", ".join(
                f"{count} from {source}" for source, count in runs["origin"].value_counts().items()
            )
            keys = " ".join(f"<code>{escape(key[:10])}</code>" for key in runs["key"])
            shown = "<code>cemag show KEY</code> prints one of them"
            lines.append(f"Runs: {len(runs)}, {escape(origin)}; {shown}: {keys}")
        body = "".join(f"<p>{line}</p>" for line in lines)
        summary = "data" if self.study is None else "data and runs"
        return f'<details class="cemag-details"><summary>{summary}</summary>{body}</details>'

    def _repetitions(self) -> str:
        """How many repetitions stand behind each row, where the rows say it."""
        if self.study is None or "n" not in self.data or not len(self.data):
            return ""
        low, high = int(self.data["n"].min()), int(self.data["n"].max())
        many = f"{low}" if low == high else f"{low} to {high}"
        return f", each over n = {many} {self.study.repeats}"
