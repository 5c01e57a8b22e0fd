"""Every environment variable that cemag reads, by name. Pure data.

``cemag doctor`` and the README show this table.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETTINGS", "Setting"]


@dataclass(frozen=True)
class Setting:
    """An environment variable: what it sets, and what holds without it."""

    sets: str
    default: str


SETTINGS = {
    "CEMAG_DATA": Setting("folder of data sets, looked at first", "the user's cache, then a download"),
    "CEMAG_STORE": Setting("folder of the records computed here", "`_build/runs`, by version of the source"),
    "CEMAG_RESULTS": Setting("folder of the published records", "`results`"),
    "CEMAG_NETWORKS": Setting("folder of trained networks", "`_build/networks`"),
    "CEMAG_BOOK_URL": Setting("address of the book that reports link to", "no links"),
    "CEMAG_REPOSITORY": Setting("address of the project, for the book's links to it", "no such links"),
    "CEMAG_TRACEBACK": Setting(
        "1: show where an unexpected error, or one in a notebook, came from", "one line per error"
    ),
    "CEMAG_BOOK": Setting("1: draw charts for the book's pages; set by `cemag book`", "not set"),
    "CEMAG_READS": Setting("file that lists the records read; set by `cemag book`", "not set"),
}
