"""Does concentration hold minorities back: interventions on heads, and what each of them moved."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cemag.errors import DataError
from cemag.reproduction.experiments.estimates import Estimate, over_sets
from cemag.reproduction.experiments.heads import INTERVENTIONS, head_interventions
from cemag.reproduction.experiments.keeping import folders_of_causes
from cemag.reproduction.experiments.sources import (
    PAPER_TABLES,
    authors_network,
    over_sources,
    plain_networks,
    published_networks,
    tables_by_fold,
)
from cemag.reproduction.runs import published_store

__all__ = [
    "Answer",
    "beyond_size",
    "changes",
    "glued",
    "head_effects",
    "more_concentrated",
    "weight_norms",
]

VERSION = 2  # of what `head_interventions` gives
COSTS = 0.02  # of recall: less is said to be no cost
NOT_RUN = "(not run)"
FAMILIES = ("tables", "networks", "authors")
SPOKEN_OF = (  # names that the page glues for each family
    "bias-recall",
    "tau_norm-recall",
    "lws-recall",
    "crt-recall",
    "elastic-recall",
    "elastic-share",
    "dropout-recall",
    "dropout-share",
    "answer-recall",
    "answer-share",
    "verdict",
)


def head_effects(
    tables: Sequence[str] = PAPER_TABLES, *, networks: bool = True, folders: Sequence[Path] | None = None
) -> pd.DataFrame:
    """Recall and concentration under each intervention: what is stored, and of what is at hand computed now.

    Parameters
    ----------
    tables : sequence of str
        Tabular sets, by fold. One that is neither stored nor on this machine takes no part.
    networks : bool, default=True
        Whether published networks without augmentation take part, by seed, and the authors' network.
    folders : sequence of path, optional
        Where records may lie; new ones go to the last.

    Returns
    -------
    DataFrame
        The columns of `head_interventions` with ``family``, ``dataset``, ``repetition`` and ``role``.
    """
    sources = tables_by_fold(tables)
    if networks:
        sources += [*published_networks(), *authors_network()]
    homes = list(folders or folders_of_causes())
    table = over_sources("heads", sources, head_interventions, homes, version=VERSION)
    if table.empty:
        return pd.DataFrame(columns=["family", "dataset", "repetition", "intervention", "role"])
    return table.assign(role=_roles(table))


def _roles(table: pd.DataFrame) -> pd.Series:
    """Majority for the larger half of a run's classes by training size, minority for the smaller."""
    of_run = [table[name] for name in ("family", "dataset", "repetition", "intervention")]
    place = table["n_train"].groupby(of_run).rank(method="first")
    classes = table["n_train"].groupby(of_run).transform("size")
    return pd.Series(
        np.select(
            [place <= classes // 2, place > classes - classes // 2], ["minority", "majority"], "between"
        ),
        index=table.index,
    )


def changes(effects: pd.DataFrame) -> pd.DataFrame:
    """What each intervention moved in the minority, against what it is compared with: one row per repetition.

    Returns
    -------
    DataFrame
        ``family``, ``dataset``, ``repetition``, ``intervention``, ``against``, and ``recall``, ``top_share``,
        ``recall_before``, ``top_share_before``.
    """
    keys = ["family", "dataset", "repetition"]
    minority = effects[effects["role"] == "minority"]
    means = minority.groupby([*keys, "intervention"])[["recall", "top_share"]].mean().reset_index()
    against = {name: one.against for name, one in INTERVENTIONS.items()}
    means = means.assign(against=means["intervention"].map(against))
    before = means.drop(columns="against").rename(columns={"intervention": "against"})
    joined = means.merge(before, on=[*keys, "against"], suffixes=("", "_before"))
    return joined[joined["intervention"] != joined["against"]].reset_index(drop=True)


@dataclass(frozen=True)
class Answer:
    """The plan's primary test of one family: the elastic net against dropout, in the minority.

    Attributes
    ----------
    recall : Estimate
        Difference of recall.
    top_share : Estimate
        Difference of the share of the top 10 %: the check that the intervention worked.
    """

    recall: Estimate
    top_share: Estimate

    @property
    def verdict(self) -> str:
        """``holds``, ``fails`` or ``open``, or ``not concluded`` where concentration did not move."""
        if not self.top_share.low > 0:
            return "not concluded"
        if self.recall.high < 0:
            return "holds"
        return "fails" if self.recall.low > -COSTS else "open"


def more_concentrated(effects: pd.DataFrame, family: str) -> Answer:
    """What concentrating the CEs does to minority recall, in one family of models.

    Raises
    ------
    DataError
        If there is no repetition of it.
    """
    mine = effects[(effects["family"] == family) & (effects["role"] == "minority")]
    keys = ["dataset", "repetition"]
    by = mine.groupby(["intervention", *keys])[["recall", "top_share"]].mean()
    known = {"elastic", "dropout"} <= set(by.index.get_level_values(0))
    difference = (by.loc["elastic"] - by.loc["dropout"] if known else by.iloc[:0]).reset_index()
    return Answer(over_sets(difference, "recall"), over_sets(difference, "top_share"))


def glued(effects: pd.DataFrame) -> dict[str, str]:
    """Name and text of every number that the chapter speaks of, by family; changes are in percentage points.

    Examples
    --------
    >>> glued(head_effects([], networks=False))["tables-verdict"]
    '(not run)'
    """
    texts = {f"{family}-{name}": NOT_RUN for family in FAMILIES for name in SPOKEN_OF}
    texts["networks-beyond-size"] = NOT_RUN
    for family in effects["family"].unique():
        moved = changes(effects[effects["family"] == family])
        for name, of_one in moved.groupby("intervention"):
            for column in ("recall", "top_share"):
                change = of_one.assign(change=100 * (of_one[column] - of_one[f"{column}_before"]))
                key = f"{family}-{name}-{'recall' if column == 'recall' else 'share'}"
                texts[key] = _points(change["change"], change)
        with suppress(DataError):
            answer = more_concentrated(effects, family)
            texts |= {
                f"{family}-answer-recall": answer.recall.times(100).points,
                f"{family}-answer-share": answer.top_share.times(100).points,
                f"{family}-verdict": answer.verdict,
            }
    with suppress(DataError):
        texts["networks-beyond-size"] = str(beyond_size(effects, weight_norms()))
    return texts


def _points(values: pd.Series, table: pd.DataFrame) -> str:
    """Mean over sets with its interval; a single repetition has none."""
    if len(values) == 1:
        return f"{values.iloc[0]:+.1f} points"
    try:
        return over_sets(table, "change").points
    except DataError:
        return NOT_RUN


def beyond_size(effects: pd.DataFrame, norms: pd.DataFrame) -> Estimate:
    """Partial correlation of recall with the top share over classes, given their size, weight norm and set.

    Parameters
    ----------
    effects : DataFrame
        From `head_effects`; the networks as trained are used, each class's mean over repetitions.
    norms : DataFrame
        ``dataset``, ``class``, ``norm``: mean norm of each class's weights, from `weight_norms`.

    Returns
    -------
    Estimate
        With Fisher's interval; n is the number of classes.

    Raises
    ------
    DataError
        If there are too few classes to tell.
    """
    mine = effects[(effects["family"] == "networks") & (effects["intervention"] == "as trained")]
    if mine.empty:
        raise DataError("no network is published")
    by = mine.groupby(["dataset", "class"])[["recall", "top_share", "n_train"]].mean().reset_index()
    table = by.merge(norms, on=["dataset", "class"])
    sets = pd.get_dummies(table["dataset"], dtype=float).to_numpy()
    given = np.column_stack([np.log(table["n_train"]), np.log(table["norm"]), sets]).astype(float)
    freedom = len(table) - given.shape[1] - 2
    if freedom < 1:
        raise DataError(f"{len(table)} classes are too few for a partial correlation given {given.shape[1]}")
    both = table[["recall", "top_share"]].to_numpy(dtype=float)
    rest = both - given @ np.linalg.lstsq(given, both, rcond=None)[0]
    r = float(np.corrcoef(rest.T)[0, 1])
    half = 1.959964 / np.sqrt(freedom)
    return Estimate(r, float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half)), len(table))


def weight_norms() -> pd.DataFrame:
    """Mean norm of each class's weights over the published networks without augmentation."""
    heads = published_store().table("head")
    names = {key: dataset for key, dataset, _ in plain_networks()}
    mine = heads[heads["key"].isin(names)]
    norms = (mine["weight"] ** 2).groupby([mine["key"], mine["class"]]).sum() ** 0.5
    table = norms.rename("norm").reset_index()
    table = table.assign(dataset=table["key"].map(names))
    return table.groupby(["dataset", "class"])["norm"].mean().reset_index()
