"""From effects of planted features to slopes, contrasts and the plan's primary test. Pure frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cemag.errors import DataError
from cemag.reproduction.experiments.estimates import Estimate, mean_and_interval

__all__ = ["contrasts", "contrasts_by_seed", "primary", "slopes"]

CELL = ["kind", "balance", "weight_decay", "evidence"]


def slopes(effects: pd.DataFrame, quantity: str = "effect") -> pd.DataFrame:
    """Least-squares slope of each model's effects on log2 of the frequency: per doubling.

    Parameters
    ----------
    effects : DataFrame
        From `planted_effects`.
    quantity : {"effect", "share"}
        The effect, or its share of the ceiling (at evidence above 1).

    Examples
    --------
    >>> table = pd.DataFrame({"kind": "tables", "balance": "balanced", "weight_decay": 0.0, "evidence": 8.0,
    ...     "seed": 0, "frequency": [0.1, 0.2, 0.4], "effect": [1.0, 1.5, 2.0], "ceiling": 2.0})
    >>> slopes(table)["slope"].round(6).tolist(), slopes(table, "share")["slope"].round(6).tolist()
    ([0.5], [0.25])
    """
    values = effects
    if quantity == "share":
        values = effects[effects["evidence"] > 1]
        values = values.assign(effect=values["effect"] / values["ceiling"])
    x = np.log2(values["frequency"])
    of_model = [values[name] for name in [*CELL, "seed"]]
    x = x - x.groupby(of_model).transform("mean")
    sums = pd.DataFrame({"xy": x * values["effect"], "xx": x**2}).groupby(of_model).sum()
    return (sums["xy"] / sums["xx"]).rename("slope").reset_index()


def contrasts(effects: pd.DataFrame) -> pd.DataFrame:
    """Slope at each evidence, and minus that at evidence 1 of the same seed, with 95 % intervals.

    Returns
    -------
    DataFrame
        One row per cell and ``quantity``: ``slope``, ``slope minus that at L = 1`` and ``slope of the share
        of the ceiling``; ``mean``, ``low``, ``high``, ``n``.
    """
    found = slopes(effects)
    above = sorted(set(found["evidence"]) - {1.0})
    paired = [contrasts_by_seed(effects, L).assign(evidence=L) for L in above]
    parts = {
        "slope": found,
        "slope minus that at L = 1": pd.concat(paired) if paired else found.iloc[:0],
        "slope of the share of the ceiling": slopes(effects, "share"),
    }
    rows = []
    for quantity, table in parts.items():
        for cell, of_cell in table.groupby(CELL):
            one = mean_and_interval(of_cell["slope"])
            rows.append(
                dict(zip(CELL, cell, strict=True))
                | {"quantity": quantity, "mean": one.value, "low": one.low, "high": one.high, "n": one.n}
            )
    return pd.DataFrame(rows)


def primary(effects: pd.DataFrame) -> Estimate:
    """The plan's primary test: slope at evidence 8 minus that at 1 on balanced networks, paired by seed.

    Raises
    ------
    DataError
        If the effects lack the cells that it is about.
    """
    table = contrasts_by_seed(effects, 8.0)
    chosen = table[(table["kind"] == "networks") & (table["balance"] == "balanced")]
    chosen = chosen[np.isclose(chosen["weight_decay"], 2e-4)]
    if chosen.empty:
        raise DataError("the effects lack balanced networks of weight decay 0.0002 at evidence 1 and 8")
    return mean_and_interval(chosen["slope"])


def contrasts_by_seed(effects: pd.DataFrame, evidence: float) -> pd.DataFrame:
    """Slope at one evidence minus that at 1, one row per seed of each cell."""
    found = slopes(effects)
    keys = [*CELL[:3], "seed"]
    one, other = (found[found["evidence"] == L].set_index(keys)["slope"] for L in (1, evidence))
    return (other - one).dropna().reset_index()
