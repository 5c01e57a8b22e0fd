"""The report of an audit: one HTML file with its tables, charts and the script that draws them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import pandas as pd

from cemag import __version__
from cemag.charts.renderer import vega_bundle
from cemag.errors import CemagError

if TYPE_CHECKING:
    from cemag.auditing.result import Audit

__all__ = ["EmbeddedReport", "book_address", "write_report"]

URL_VARIABLE = "CEMAG_BOOK_URL"
INSTANCES = 100
EMBED = """(function () {{
  var coded = document.getElementById("{frame}-link").href.split(",")[1];
  var bytes = Uint8Array.from(atob(coded), function (letter) {{ return letter.charCodeAt(0); }});
  document.getElementById("{frame}").src = URL.createObjectURL(new Blob([bytes], {{type: "text/html"}}));
}})();"""
CLASS_COLUMNS = {
    "class": ("class", "text"),
    "role": ("role", "text"),
    "size": ("size", "whole"),
    "n": ("instances", "whole"),
    "recall": ("recall", "number"),
    "by_bias": ("% by the bias", "number"),
    "lost_without_bias": ("% lost without it", "number"),
    "n_counted": ("counted", "whole"),
    "required": ("CEs required", "number"),
    "at_most": ("at most by T1", "number"),
    "required_share": ("% of all CEs", "number"),
    "by_one_or_two": ("% by one or two", "number"),
    "union": ("union of 20", "number"),
    "top_share": ("share of top 10 %", "number"),
    "participation_ratio": ("effective CEs", "number"),
    "n_active": ("CEs not zero", "number"),
    "features_for_half": ("CEs for half", "whole"),
    "top_feature": ("top feature", "text"),
    "top_feature_share": ("% in top feature", "number"),
    "recall_without_top": ("recall without it", "number"),
}
INSTANCE_COLUMNS = {
    "row": ("row", "whole"),
    "label": ("class", "text"),
    "required_without_bias": ("CEs required", "whole"),
    "required": ("with the bias", "whole"),
    "top_feature": ("first feature", "text"),
    "largest_share": ("largest share", "number"),
    "top_share": ("share of top 10 %", "number"),
    "margin": ("margin", "number"),
}
SHARED_COLUMNS = {
    "feature": ("feature", "text"),
    "n_classes": ("classes", "whole"),
    "share_of_classes": ("% of classes", "number"),
    "classes": ("the first of them", "text"),
}


def book_address(given: str | None = None) -> str:
    """Where the book is, ending in a slash, or "": as given, else `CEMAG_BOOK_URL`.

    Examples
    --------
    >>> book_address("https://example.org/book")
    'https://example.org/book/'
    """
    given = os.environ.get(URL_VARIABLE, "") if given is None else given
    if given and not given.startswith(("https://", "http://", "file://", ".", "/")):
        raise CemagError(f"book is {given!r}: an address or a path that starts with . or / is needed")
    return given.rstrip("/") + "/" if given else ""


@dataclass(frozen=True)
class EmbeddedReport:
    """A report inside a page: shown in a frame, and offered as the file that it is.

    Parameters
    ----------
    text : str
        The HTML of the report.
    name : str
        What the file is called.
    """

    text: str
    name: str = "audit.html"

    def __repr__(self) -> str:
        return f"EmbeddedReport({self.name}, {len(self.text.encode()) / 1e6:.1f} MB)"

    def _repr_html_(self) -> str:
        coded = base64.b64encode(self.text.encode()).decode()
        frame = f"report-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"
        link = f'<a download="{self.name}" href="data:text/html;base64,{coded}" id="{frame}-link">'
        return (
            f"<p>{link}The report as one file</a> ({len(self.text.encode()) / 1e6:.1f} MB)</p>"
            f'<iframe id="{frame}" class="cemag-report" title="Report of the audit" loading="lazy"></iframe>'
            f"<script>{EMBED.format(frame=frame)}</script>"
        )


def write_report(audit: Audit, path: Path, book: str | None = None) -> Path:
    """Write the report whole or not at all."""
    if not path.parent.is_dir():
        raise CemagError(f"{path}: no such folder {path.parent}")
    text = render(audit, book_address(book))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise CemagError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        part.unlink(missing_ok=True)
    return path


def render(audit: Audit, book: str = "") -> str:
    """The report as a string."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(
        files("cemag.auditing").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    charts = {name: _specification(chart) for name, chart in audit.charts}
    return template.render(
        audit=audit,
        findings=audit.findings,
        book=book,
        charts=charts,
        vega=vega_bundle().replace("</script", "<\\/script"),
        tables=_tables(audit),
        settings=audit.settings,
        version=__version__,
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _specification(chart: Any) -> str:
    # a name may hold anything, and "<" is what a script element ends, or begins anew, with
    return json.dumps(chart.to_dict(), separators=(",", ":")).replace("<", "\\u003c")


def _tables(audit: Audit) -> list[dict[str, Any]]:
    instances = audit.per_instance.rename_axis("row").reset_index()
    instances = instances[instances["correct"]].nsmallest(INSTANCES, ["required_without_bias", "margin"])
    classes = audit.per_class.sort_values("required", na_position="last")
    columns = {name: column for name, column in CLASS_COLUMNS.items() if name in classes}
    return [
        _table("classes", "Classes, fewest CEs first", classes, columns, "required"),
        _table(
            "features",
            "Features that most classes share",
            audit.shared_features.head(INSTANCES),
            SHARED_COLUMNS,
            "n_classes",
            "descending",
        ),
        _table(
            "instances",
            f"Correct predictions that rest on the fewest CEs (at most {INSTANCES})",
            instances,
            INSTANCE_COLUMNS,
            "required_without_bias",
        ),
    ]


def _interval(row: dict[Any, Any], column: str) -> str:
    """The interval of a figure, where it has one."""
    ends = [row.get(f"{column}_{end}") for end in ("low", "high")]
    return "" if any(pd.isna(end) for end in ends) else f" ({ends[0]:.3g} to {ends[1]:.3g})"


def _table(
    name: str,
    title: str,
    data: pd.DataFrame,
    columns: dict[str, tuple[str, str]],
    sorted_by: str,
    direction: str = "ascending",
) -> dict[str, Any]:
    heads = [
        {"title": words, "kind": kind, "sort": direction if column == sorted_by else "none"}
        for column, (words, kind) in columns.items()
    ]
    kinds = [kind for _, kind in columns.values()]
    rows = [
        [
            {"text": _text(row[column], kind) + _interval(row, column), "key": _key(row[column], kind)}
            for column, kind in zip(columns, kinds, strict=True)
        ]
        for row in (dict(zip(data, values, strict=True)) for values in data.itertuples(index=False))
    ]
    return {"name": name, "title": title, "heads": heads, "rows": rows}


def _text(value: Any, kind: str) -> str:
    if pd.isna(value):
        return "–"
    return str(value) if kind == "text" else f"{value:,.0f}" if kind == "whole" else f"{value:.3g}"


def _key(value: Any, kind: str) -> str:
    """What a column is sorted by: the number itself, the text in lower case; nothing sorts last."""
    if pd.isna(value):
        return ""
    return str(value).lower() if kind == "text" else repr(float(value))
