"""Where experiments on the statistics are kept, and the CEs required by every counting rule, if published.

Nothing writes ``rules.parquet`` yet: without it, no verdict is said to depend on the counting rule or not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["published_rules", "statistics_file"]


def statistics_file(name: str) -> Path:
    """Path of an experiment on the statistics themselves, beside the published records."""
    from cemag.reproduction.runs import published_store
    from cemag.reproduction.runs.keyed import log_read

    path = Path(published_store().root) / "statistics" / name
    if path.is_file():
        log_read(path)
    return path


def published_rules() -> pd.DataFrame | None:
    """The published frame, or None: what of `published_classes` a count needs, and the column ``rule``."""
    import pandas as pd

    path = statistics_file("rules.parquet")
    return pd.read_parquet(path) if path.is_file() else None
