"""The CEs required by every counting rule, and by models with permuted weights, from the published records.

``python -m cemag.reproduction.claims.rules results/statistics/rules.parquet`` makes the published file; it
needs no training, but refits the models on tables.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

__all__ = ["RULES_FILE", "published_rules"]

RULES_FILE = "statistics/rules.parquet"


def published_rules() -> pd.DataFrame | None:
    """The published frame, or None: what of `published_classes` a count needs, and the column ``rule``."""
    from cemag.reproduction.runs import published_store

    path = Path(published_store().root) / RULES_FILE
    return pd.read_parquet(path) if path.is_file() else None
