"""Where a command looks for records: the folder it is given, else what was computed here or published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cemag.errors import StoreError

if TYPE_CHECKING:
    from cemag.reproduction.runs import KeyedRecords

__all__ = ["home_of", "homes"]


def homes(store: Path | None) -> list[KeyedRecords]:
    """The folder that is given, of working or of published records; else both of this project."""
    from cemag.reproduction.runs import PublishedStore, RunStore, default_store, published_store

    if store is None:
        return [default_store(), published_store()]
    return [PublishedStore(store) if (store / "records").is_dir() else RunStore(store)]


def home_of(key: str, store: Path | None) -> KeyedRecords:
    """Where the record lies whose key starts so.

    Raises
    ------
    StoreError
        If it lies nowhere.
    """
    looked_in = homes(store)
    home = next((home for home in looked_in if home.matches(key)), None)
    if home is None:
        where = " or ".join(str(home.root) for home in looked_in)
        raise StoreError(f"key {key!r} names no record in {where}")
    return home
