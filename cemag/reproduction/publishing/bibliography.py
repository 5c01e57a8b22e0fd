"""One style for references in the text and in the list: authors and year."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cemag.errors import extra

with extra("book"):
    from pybtex.plugin import register_plugin
    from pybtex.style.formatting.plain import Style as Plain
    from pybtex.style.labels import BaseLabelStyle

__all__ = ["STYLE", "register"]

STYLE = "cemag"


class _AuthorYear(BaseLabelStyle):
    def format_labels(self, sorted_entries: Sequence[Any]) -> Iterator[str]:
        """Label each entry by its authors and year, as the text cites it; a letter where that names two."""
        labels = [f"{_authors(entry)}, {entry.fields['year']}" for entry in sorted_entries]
        for place, label in enumerate(labels):
            letter = chr(ord("a") + labels[:place].count(label)) if labels.count(label) > 1 else ""
            yield label + letter


def _authors(entry: Any) -> str:
    people = [[*person.prelast_names, *person.last_names] for person in entry.persons["author"]]
    names = [" ".join(person).strip("{}") for person in people]
    if len(names) == 1:
        return names[0]
    return " and ".join(names) if len(names) == 2 and names[1] != "others" else f"{names[0]} et al."


class _Style(Plain):
    default_label_style = _AuthorYear


def register() -> None:
    """Make the style known under its name."""
    register_plugin("pybtex.style.formatting", STYLE, _Style)
