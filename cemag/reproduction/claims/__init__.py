"""What the records say about the paper's claims, by the analysis plan; reads and writes the verdicts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cemag.reproduction.claims.answers import Row, scorecard
    from cemag.reproduction.claims.image_tables import image_glued
    from cemag.reproduction.claims.plan import FAMILIES, PLAN, Plan
    from cemag.reproduction.claims.published import (
        changed_verdicts,
        from_records,
        published_rows,
        write_verdicts,
    )
    from cemag.reproduction.claims.sentences import markdown, sentence
    from cemag.reproduction.claims.stated import CLAIMS, Claim, get_claim
    from cemag.reproduction.claims.statistics import over_repeats, paired_over_repeats
    from cemag.reproduction.claims.texts import glued, glued_verdicts

# the command line prints verdicts without what computes them
_HOMES = {
    "answers": ["Row", "scorecard"],
    "texts": ["glued", "glued_verdicts"],
    "image_tables": ["image_glued"],
    "plan": ["FAMILIES", "PLAN", "Plan"],
    "published": ["changed_verdicts", "from_records", "published_rows", "write_verdicts"],
    "sentences": ["markdown", "sentence"],
    "stated": ["CLAIMS", "Claim", "get_claim"],
    "statistics": ["over_repeats", "paired_over_repeats"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CLAIMS",
    "FAMILIES",
    "PLAN",
    "Claim",
    "Plan",
    "Row",
    "changed_verdicts",
    "from_records",
    "get_claim",
    "glued",
    "glued_verdicts",
    "image_glued",
    "markdown",
    "over_repeats",
    "paired_over_repeats",
    "published_rows",
    "scorecard",
    "sentence",
    "write_verdicts",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"cemag.reproduction.claims.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'cemag.reproduction.claims' has no attribute {name!r}")
