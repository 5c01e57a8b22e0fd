"""The numbers that the chapter on causes speaks of, as strings, each from the effects."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd

from cemag.errors import DataError
from cemag.reproduction.experiments.estimates import mean_and_interval
from cemag.reproduction.experiments.natural import targeted_against_random
from cemag.reproduction.experiments.slopes import contrasts_by_seed, primary, slopes

__all__ = ["glued"]

NOT_RUN = "(not run)"


def glued(networks: pd.DataFrame, tables: pd.DataFrame, natural: pd.DataFrame) -> dict[str, str]:
    """Name and text of every number: ``primary`` (the plan's test), ``verdict``, ``n``, and those beside it.

    Examples
    --------
    >>> empty = pd.DataFrame(columns=["kind", "balance", "weight_decay", "evidence", "seed", "frequency",
    ...     "effect", "ceiling"])
    >>> glued(empty, empty, pd.DataFrame())["primary"]
    '(not run)'
    """
    texts = {
        "slope-L8": _slope(networks, 8),
        "slope-L1": _slope(networks, 1),
        "share-L8": _slope(networks, 8, "share"),
        "primary-20to1": _contrast(networks, "20:1", 2e-4),
        "tables-least": _contrast(tables, "balanced", 1e-4),
        "tables-most": _contrast(tables, "balanced", 10.0),
    }
    texts |= {"natural": NOT_RUN, "natural-own": NOT_RUN}
    with suppress(DataError):  # no two networks of a set are published
        texts["natural"] = str(targeted_against_random(natural))
        texts["natural-own"] = str(targeted_against_random(natural, "the class"))
    try:
        answer = primary(networks)
    except DataError:
        return texts | {"primary": NOT_RUN, "verdict": NOT_RUN, "n": NOT_RUN}
    return texts | {"primary": str(answer), "verdict": answer.verdict, "n": str(answer.n)}


def _slope(effects: pd.DataFrame, evidence: float, quantity: str = "effect") -> str:
    table = slopes(effects, quantity)
    return _told(table[table["evidence"] == evidence], "balanced", 2e-4)


def _contrast(effects: pd.DataFrame, balance: str, decay: float) -> str:
    return _told(contrasts_by_seed(effects, 8.0), balance, decay)


def _told(table: pd.DataFrame, balance: str, decay: float) -> str:
    here = table[(table["balance"] == balance) & np.isclose(table["weight_decay"].astype(float), decay)]
    return NOT_RUN if here.empty else str(mean_and_interval(here["slope"]))
