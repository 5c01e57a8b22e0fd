"""Cells of the planted experiment as records: computed once, kept as Parquet, found again by what was set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from cemag.errors import check_known
from cemag.reproduction.experiments.keeping import VERSION, folders_of_causes, keep, read_kept
from cemag.reproduction.experiments.planted import Balance, Cell, bayes_effect, planted_table

__all__ = ["causes_plan", "cells_of", "compute", "planted_effects"]

Kind = Literal["networks", "tables"]


def causes_plan() -> dict[str, Any]:
    """The plan of the experiment, as committed before its runs.

    Examples
    --------
    >>> causes_plan()["design"]["evidence"]
    [1, 2, 8]
    """
    return yaml.safe_load(Path(__file__).with_name("plan.yml").read_text(encoding="utf-8"))


def cells_of(
    kind: Kind,
    *,
    evidence: Sequence[float] | None = None,
    frequencies: Sequence[float] | None = None,
    balances: Sequence[str] | None = None,
    weight_decays: Sequence[float] | None = None,
    seeds: int | None = None,
) -> list[Cell]:
    """Cells of the plan, or of a reader's own choice: one per balance and evidence.

    Parameters
    ----------
    kind : {"networks", "tables"}
    evidence, frequencies, balances, weight_decays
        The plan's when not given.
    seeds : int, optional
        How many, from 0; the plan's when not given.

    Examples
    --------
    >>> [cell.name for cell in cells_of("tables", evidence=[8], balances=["20:1"])]
    ['tables-20to1-L8']
    """
    check_known("kind", kind, get_args(Kind))
    design = causes_plan()["design"]
    chosen = [
        design["balance"] if balances is None else balances,
        design["evidence"] if evidence is None else evidence,
    ]
    for balance in chosen[0]:
        check_known("balance", str(balance), get_args(Balance))
    shares = tuple(map(float, design["frequencies"] if frequencies is None else frequencies))
    decays = tuple(map(float, design["weight_decays"][kind] if weight_decays is None else weight_decays))
    repeats = tuple(range(design["seeds"] if seeds is None else seeds))
    return [Cell(kind, balance, float(L), shares, decays, repeats) for balance, L in product(*chosen)]


def planted_effects(cells: Sequence[Cell], *, folders: Sequence[Path] | None = None) -> pd.DataFrame:
    """Effects of the features of some cells: those that are stored, and the others computed now.

    Parameters
    ----------
    cells : sequence of Cell
    folders : sequence of path, optional
        Where records may lie; new ones go to the last. What is published and the user's store when not
        given.

    Returns
    -------
    DataFrame
        One row per model and planted feature: ``kind``, ``balance``, ``evidence``, ``seed``,
        ``weight_decay``, ``feature``, ``class``, ``frequency``, ``n_on``, ``effect``, ``accuracy``, and
        ``ceiling``, the effect if nothing were shrunk.
    """
    homes = folders or folders_of_causes()
    parts = []
    for cell in cells:
        path = next((home / _file(cell) for home in homes if (home / _file(cell)).is_file()), None)
        path = path or compute(cell, homes[-1])
        columns = {"kind": cell.kind, "balance": cell.balance, "evidence": cell.evidence}
        parts.append(read_kept(path).assign(**columns))
    table = pd.concat(parts, ignore_index=True)
    ceilings = [bayes_effect(f, L) for f, L in zip(table["frequency"], table["evidence"], strict=True)]
    return table.assign(ceiling=np.array(ceilings))


def compute(cell: Cell, folder: Path) -> Path:
    """Compute a cell and keep it, whole or not at all."""
    start = perf_counter()
    if cell.kind == "networks":
        from cemag.reproduction.experiments.networks import planted_networks

        columns = planted_networks(cell)
    else:
        columns = _tables(cell)
    about = {"cell": asdict(cell), "seconds": round(perf_counter() - start, 1)}
    path = folder / _file(cell)
    keep(path, columns, about, *(["torch"] if cell.kind == "networks" else []))
    return path


def _file(cell: Cell) -> str:
    """A name that says what is set, and a digest of all of it."""
    whole = json.dumps([VERSION, asdict(cell)], sort_keys=True)
    return f"{cell.name}-{sha256(whole.encode()).hexdigest()[:8]}.parquet"


def _tables(cell: Cell) -> dict[str, NDArray[Any]]:
    """Fit a logistic regression per seed and penalty; the columns are those of `planted_networks`."""
    from sklearn.linear_model import LogisticRegression

    rows: list[dict[str, Any]] = []
    for seed, decay in product(cell.seeds, cell.weight_decays):
        one = planted_table(cell, seed)
        model = LogisticRegression(C=1 / decay if decay else np.inf, max_iter=2000).fit(one.X, one.y)
        rows += [
            {
                "seed": seed,
                "weight_decay": decay,
                "feature": k,
                "class": 1,
                "frequency": f,
                "n_on": int(one.on[one.y == 1, k].sum()),
                "effect": float(model.coef_[0, k]),
                "accuracy": float(model.score(one.X, one.y)),
            }
            for k, f in enumerate(cell.frequency_of(seed))
        ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
