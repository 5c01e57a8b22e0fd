"""What a chart shows, in words, made from its Vega-Lite specification: for those who hear the page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["chosen", "describe"]

POSITIONS = {"x": "Across", "y": "Up"}
GROUPS = {"facet": "Panels", "row": "Panels", "column": "Panels", "color": "Colours"}
MOST_NAMED = 8
CHOICE = re.compile(r"datum\[?\.?['\"]?([^'\"\]=\s]+)['\"]?\]?\s*={2,3}\s*(\w+)")


def describe(spec: Mapping[str, Any], finding: str = "") -> str:
    """Return what is drawn, over which range, and what it says.

    Parameters
    ----------
    spec : mapping
        A Vega-Lite specification with its data inside.
    finding : str
        What the chart is there to show, if anyone has said it.

    Examples
    --------
    >>> spec = {
    ...     "title": "Recall",
    ...     "data": {"values": [{"recall": 0.2, "class": "cat"}, {"recall": 0.7, "class": "dog"}]},
    ...     "mark": "point",
    ...     "encoding": {"x": {"field": "recall", "type": "quantitative"},
    ...                  "y": {"field": "class", "type": "nominal"}},
    ... }
    >>> describe(spec, "Cats are recognised least.")
    'Cats are recognised least. Chart: Recall. Across: recall, 0.2 to 0.7. Up: class: cat, dog.'
    """
    parts = [finding.strip(), f"Chart: {_title(spec)}"]
    if shown := chosen(spec):
        parts.append("Shown for " + "; ".join(f"{label}: {value}" for label, value in shown.items()))
    said = list(dict.fromkeys(_channels(spec, spec)))
    named = {
        channel for channel, _, titled in said if titled
    }  # ends of an interval have no name of their own
    parts += [sentence for channel, sentence, titled in said if titled or channel not in named]
    return " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part)


def chosen(spec: Mapping[str, Any]) -> dict[str, str]:
    """Label and value of each choice that the chart offers, as it is drawn at first."""
    bound = [param for view in _views(spec) for param in view.get("params", ()) if "bind" in param]
    named = [param for param in bound if isinstance(param["bind"], Mapping) and "value" in param]
    return {
        str(param["bind"].get("name", param["name"])).strip(" :"): _words(param["value"]) for param in named
    }


def _views(spec: Any) -> Iterator[Mapping[str, Any]]:
    """A view and all that it is composed of."""
    if not isinstance(spec, Mapping):
        return
    yield spec
    yield from _views(spec.get("spec"))
    for composition in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(composition, ()):
            yield from _views(part)


def _title(spec: Mapping[str, Any]) -> str:
    title = next((view["title"] for view in _views(spec) if view.get("title")), "without a title")
    if not isinstance(title, Mapping):
        return _words(title)
    return "; ".join(_words(title[part]) for part in ("text", "subtitle") if title.get(part))


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _channels(
    view: Any, root: Mapping[str, Any], inherited: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, str, bool]]:
    """Each axis, panel and colour: its kind, a sentence with what it covers, and whether it has a title."""
    if not isinstance(view, Mapping):
        return
    encoding = {**(inherited or {}).get("encoding", {}), **view.get("encoding", {})}
    for channel in GROUPS:
        if channel in view and channel not in ("color",):
            given = view[channel]
            encoding |= given if {"row", "column"} & set(given) else {channel: given}
    data = view.get("data") or (inherited or {}).get("data")
    filters = [*(inherited or {}).get("filters", ()), *view.get("transform", ())]
    here = {"data": data, "encoding": encoding, "filters": filters}
    parts = [
        view.get("spec"),
        *(p for c in ("layer", "hconcat", "vconcat", "concat") for p in view.get(c, ())),
    ]
    parts = [part for part in parts if part]
    for part in parts:
        yield from _channels(part, root, here)
    if parts:
        return
    rows = _rows(data, root, filters)
    for channel, name in {**GROUPS, **POSITIONS}.items():
        given = encoding.get(channel) or {}
        if sentence := _sentence(name, given, rows):
            yield name, sentence, bool(given.get("title") or (given.get("axis") or {}).get("title"))


def _rows(data: Any, root: Mapping[str, Any], filters: list[Any]) -> list[Mapping[str, Any]]:
    """The rows of a view that the choices made at first let through."""
    if not data:
        return []
    rows = data["values"] if "values" in data else root.get("datasets", {}).get(data.get("name"), [])
    values = {p["name"]: p["value"] for v in _views(root) for p in v.get("params", ()) if "value" in p}
    asked = [pair for step in filters for pair in CHOICE.findall(str(step.get("filter", "")))]
    kept = {field: values[param] for field, param in asked if param in values}
    return [row for row in rows if all(row.get(field) == value for field, value in kept.items())]


def _sentence(name: str, channel: Any, rows: list[Mapping[str, Any]]) -> str:
    if not isinstance(channel, Mapping) or not isinstance(channel.get("field"), str):
        return ""
    field = channel["field"].replace("\\", "")
    values = [row[field] for row in rows if row.get(field) is not None]
    if not values:
        return ""
    title = channel.get("title") or (channel.get("axis") or {}).get("title") or ""
    if channel.get("type") == "quantitative" and all(isinstance(v, (int, float)) for v in values):
        return f"{name}: {_words(title) or field}, {_words(min(values))} to {_words(max(values))}"
    named = list(dict.fromkeys(map(str, values)))
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    words = f"{_words(title)}: " if title else (f"{field}: " if name in POSITIONS.values() else "")
    return f"{name}: {words}{', '.join(named[:MOST_NAMED])}{more}"
