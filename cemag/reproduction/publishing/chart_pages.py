"""Charts and files of a page: each chart drawn without a script, what weighs much in files of its own.

A chart stands in the page as an SVG drawn when the book is built, with a description for those who hear it.
Its specification goes to a script, loaded when the chart comes into view, for ``fetch`` is blocked in pages
that are opened from a file; rows are stored by column, which makes them several times smaller.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping
from html import escape, unescape
from pathlib import Path
from typing import Any

import altair as alt

from cemag.charts.description import chosen, describe
from cemag.reproduction.runs import published_store

__all__ = ["by_column", "draw", "finish_page"]

CHART = re.compile(
    r'<div id="(?P<name>[\w-]+)" class="cemag-chart">.*?</div>\s*'
    r'<script type="application/json" class="cemag-spec">(?P<spec>.*?)</script>',
    re.S,
)
FIGURE = re.compile(r'<figure\b[^>]*\bid="(?P<label>[^"]+)"[^>]*>.*?</figure>', re.S)
CAPTION = re.compile(r'<span class="caption-text">(.*?)</span>\s*(?:<a class="headerlink|</p>)', re.S)
DETAILS = re.compile(
    r'(?P<start><details class="cemag-details"><summary>)[^<]*(?P<body></summary>.*?)</details>', re.S
)
RECORD = re.compile(r"href='\.\./results/(?P<file>records/[\w.-]+\.parquet)'")
CODED = re.compile(r'download="(?P<name>[^"]+)" href="data:[\w/-]+;base64,(?P<coded>[^"]*)"')
REPORT = re.compile(
    r'(?P<link><a download="[^"]+" href="(?P<file>[^"]+)" id="(?P<frame>[\w-]+)-link">.*?)'
    r'<iframe id="(?P=frame)"(?P<rest>[^>]*)></iframe>\s*<script>.*?</script>',
    re.S,
)
EXPLORED = re.compile(
    r'\s*<script type="application/json" class="cemag-explored" data-name="(?P<name>[\w-]+)">'
    r"(?P<held>.*?)</script>",
    re.S,
)
EXPLORER = '<div class="cemag-explorer" '
SENTENCE = re.compile(r"^.*?[.?!](?=\s+[A-Z]|$)", re.S)
LONG_NUMBER = re.compile(r"(?<=[\s,(\"MLHVAQCSZ-])(\d*\.\d{2,})")
NOT_DRAWN = re.compile(
    r'<path class="(?:back|fore)ground"[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>'
    r'| (?:class|role|aria-[a-z]+|pointer-events|font-family)="[^"]*"'
    r'| (?:opacity|stroke-width)="1"| font-weight="normal"| transform="translate\(0,0\)"'
)
FONT = re.compile(r' font-family="([^"]*)"')


def finish_page(body: str, page: str, static: Path, to_static: str) -> str:
    """Return a page's body with its charts drawn and its files beside it.

    Parameters
    ----------
    body : str
        HTML.
    page : str
        Name of the page, such as ``notebooks/svm``.
    static : Path
        The folder ``_static`` of the book.
    to_static : str
        How a page refers to it, with a slash at its end.
    """

    def figure(found: re.Match[str]) -> str:
        inside, label = found[0], found["label"]
        chart = CHART.search(inside)
        if chart is None:
            return inside
        caption = CAPTION.search(inside)
        words = _words(caption[1]) if caption else ""
        if not DETAILS.search(inside):
            inside = inside[: chart.end()] + _data_of(json.loads(chart["spec"])) + inside[chart.end() :]
        return _origin(CHART.sub(lambda one: _place(one, words, static, to_static), inside), label, page)

    def file(found: re.Match[str]) -> str:
        content = base64.b64decode(found["coded"])
        inside = f"files/{hashlib.sha256(content).hexdigest()[:10]}/{found['name']}"
        _write(static / inside, content)
        return f'download="{found["name"]}" href="{to_static}{inside}"'

    def record(found: re.Match[str]) -> str:
        _write(static / found["file"], (published_store().root / found["file"]).read_bytes())
        return f"href='{to_static}{found['file']}'"

    body = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    body = body.replace(' role="doc-biblioentry"', "")  # of an obsolete kind, and no item of a list
    body = FIGURE.sub(figure, body)
    body = CHART.sub(lambda one: _place(one, "", static, to_static), body)
    body = _explorer(body, static, to_static)
    body = RECORD.sub(record, body)
    report = r'\g<link><iframe id="\g<frame>" src="\g<file>"\g<rest>></iframe>'
    return REPORT.sub(report, CODED.sub(file, body))


def _explorer(body: str, static: Path, to_static: str) -> str:
    """The explorer's data in scripts of their own, each loaded when its data set is chosen."""

    def kept(found: re.Match[str]) -> str:
        content = f"window.cemagExplorer.receive({json.dumps(found['name'])},{found['held']});\n"
        _write(static / "explorer" / f"{found['name']}.js", content.encode())
        return ""

    if EXPLORER not in body:
        return body
    body = EXPLORED.sub(kept, body).replace(EXPLORER, f'{EXPLORER}data-from="{to_static}explorer/" ')
    return f'{body}<script src="{to_static}explorer.js" defer></script>'


def _origin(figure: str, label: str, page: str) -> str:
    """A figure whose folded block also says its label, its source and how to make it again."""
    again = f"cemag run {page}.md" if page.startswith("notebooks/") else "cemag book"
    lines = (
        f"<p>Source: <code>{page}.md</code>, figure <code>{label}</code>.</p>"
        f'<p>Run it again: <code class="cemag-command">{again}</code></p>'
    )

    def block(found: re.Match[str]) -> str:
        return (
            f"{found['start']}Data, runs, source, and how to run this again{found['body']}{lines}</details>"
        )

    name = label.removeprefix("fig-")
    return DETAILS.sub(block, figure).replace('download="figure.csv"', f'download="{name}.csv"')


def _data_of(spec: Mapping[str, Any]) -> str:
    """The rows of a chart as a folded block, for one that came without."""
    sets = spec.get("datasets") or {"": spec.get("data", {}).get("values", [])}
    rows = max(sets.values(), key=len)
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    coded = base64.b64encode(text.getvalue().encode()).decode()
    link = f'<a download="figure.csv" href="data:text/csv;base64,{coded}">{len(rows)} rows as CSV</a>'
    return f'<details class="cemag-details"><summary>data</summary><p>Data: {link}.</p></details>'


def _words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


def draw(spec: Mapping[str, Any]) -> str:
    """Return a chart as SVG in the colour of the page's text, without what only a screen reader sees."""
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    quiet = {**spec, "config": {**spec.get("config", {}), "aria": False}}
    drawn = vl_convert.vegalite_to_svg(quiet, vl_version=version)
    font = FONT.search(drawn)
    drawn = NOT_DRAWN.sub("", drawn)
    if font:
        drawn = drawn.replace("<svg", f"<svg{font[0]}", 1)
    return LONG_NUMBER.sub(lambda found: f"{float(found[1]):.1f}".removesuffix(".0"), drawn)


def by_column(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows by column; one that repeats few values as those values and the place of each.

    Examples
    --------
    >>> by_column([{"set": "digits", "x": 1.5}, {"set": "digits", "x": None}])
    {'n': 2, 'columns': {'set': {'of': ['digits'], 'at': [0, 0]}, 'x': [1.5, None]}}
    """
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name) for row in rows]
        marked = [json.dumps(value) for value in values]
        few = list(dict.fromkeys(marked))
        if len(few) * 3 <= len(values) or (len(few) < len(values) and isinstance(values[0], str)):
            places = {value: place for place, value in enumerate(few)}
            columns[name] = {"of": [json.loads(v) for v in few], "at": [places[v] for v in marked]}
        else:
            columns[name] = values
    return {"n": len(rows), "columns": columns}


def _place(found: re.Match[str], caption: str, static: Path, to_static: str) -> str:
    """The place of a chart: drawn, described, and where to find what it is drawn from."""
    name, spec = found["name"], json.loads(found["spec"])
    finding = SENTENCE.match(caption)
    description = describe(spec, finding[0] if finding else "")
    spec["description"] = description
    svg = _own_names(draw(spec), name)
    _write(static / "charts" / f"{name}.js", _script(name, spec).encode())
    choices = "; ".join(f"{escape(label)}: {escape(value)}" for label, value in chosen(spec).items())
    shown = f'<p class="cemag-shown">Shown for {choices}.</p>' if choices else ""
    return (
        f'<div id="{name}" class="cemag-chart" data-script="{to_static}charts/{name}.js" '
        f'data-vega="{to_static}vega-bundle.js">'
        f'<div class="cemag-drawn" role="img" aria-label="{escape(description)}">{svg}</div>{shown}</div>'
    )


def _own_names(svg: str, name: str) -> str:
    """An SVG whose names for clips and gradients meet none of another's in the page."""
    owned = re.sub(r'\bid="', f'id="{name}-', svg)
    owned = re.sub(r"url\(#", f"url(#{name}-", owned)
    return re.sub(r"<svg ", '<svg aria-hidden="true" focusable="false" ', owned, count=1)


def _script(name: str, spec: dict[str, Any]) -> str:
    sets = {key: by_column(rows) for key, rows in spec.get("datasets", {}).items()}
    compact = json.dumps({**spec, "datasets": sets}, separators=(",", ":"), sort_keys=True)
    return f"window.cemagChart({json.dumps(name)},{compact});\n"


def _write(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
