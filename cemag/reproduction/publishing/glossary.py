"""Words of the glossary, marked where a page first uses them, with their definition on hover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

__all__ = ["mark_terms"]

PARTS = re.compile(r"(<[^>]+>)")
NAME = re.compile(r"</?([a-zA-Z][\w-]*)")
MARKED_IN = ("p", "li", "dd")
LEFT_ALONE = (
    "a",
    "abbr",
    "button",
    "code",
    "details",
    "figcaption",
    "math",
    "pre",
    "script",
    "style",
    "summary",
    "svg",
)


def mark_terms(body: str, terms: Mapping[str, str], address: str) -> str:
    """Return a page's body with the first use of each term led to the glossary.

    Parameters
    ----------
    body : str
        HTML.
    terms : mapping of str to str
        Definition by term.
    address : str
        Of the glossary, from the page.

    Examples
    --------
    >>> print(mark_terms("<h1>A CE</h1><p>Each CE, any CE</p>", {"CE": "A term."}, "words.html"))
    <h1>A CE</h1><p>Each <a class="cemag-term" href="words.html#term-CE" title="A term.">CE</a>, any CE</p>
    """
    waiting = dict(terms)
    if not waiting:
        return body
    depths = dict.fromkeys((*MARKED_IN, *LEFT_ALONE), 0)
    parts = PARTS.split(body)
    for place, part in enumerate(parts):
        if part.startswith("<"):
            _follow(part, depths)
        elif any(depths[name] for name in MARKED_IN) and not any(depths[name] for name in LEFT_ALONE):
            parts[place] = _mark(part, waiting, address)
    return "".join(parts)


def _follow(tag: str, depths: dict[str, int]) -> None:
    """Count into which elements a tag leads, or out of which."""
    found = NAME.match(tag)
    if found and found[1] in depths and not tag.endswith("/>"):
        depths[found[1]] += -1 if tag.startswith("</") else 1


def _mark(text: str, waiting: dict[str, str], address: str) -> str:
    """A run of text with its first uses marked, longest term first; what is marked waits no more."""
    if not text.strip() or not waiting:
        return text
    longest = sorted(waiting, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest))})(?![\w-])")

    def led(found: re.Match[str]) -> str:
        definition = waiting.pop(found[1], None)
        if definition is None:
            return found[0]
        anchor = f"{address}#term-{found[1].replace(' ', '-')}"
        return f'<a class="cemag-term" href="{anchor}" title="{escape(definition)}">{found[1]}</a>'

    return pattern.sub(led, text)
