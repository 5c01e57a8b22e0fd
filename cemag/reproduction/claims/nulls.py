"""Models beside what they are held against: nothing learned, or nothing to learn. In the reader's words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cemag.reproduction.claims.tables import CONCENTRATION, RELATION_NAMES, TITLES
from cemag.reproduction.runs import Study

__all__ = ["NULLS", "circularity", "concentration_nulls", "relations_and_nulls", "required_and_nulls"]

NULLS = {
    "model": "as trained",
    "permuted_weights": "weights permuted",
    "shuffled_labels": "labels shuffled",
    "initialisation": "before training",
}
RUN = ["key", "dataset", "augmenter", "design", "split", "seed"]


def _null_table(study: Study, name: str) -> pd.DataFrame:
    table = study.table(name)
    return table[table["augmenter"] == "none"] if len(table) else table


def required_and_nulls(study: Study) -> pd.DataFrame:
    """CEs required under every rule by a model and its nulls, in per cent of all CEs; no augmentation."""
    table = _null_table(study, "null_required")
    table = table.assign(bias=np.where(table["bias"], "with bias", "without bias"))
    rule: pd.Series = (
        table["ranking"] + ", " + table["sufficiency"] + ", " + table["stability"] + ", " + table["bias"]
    )
    return table.assign(
        rule=rule, source=table["source"].map(NULLS), value=100 * table["mean"] / table["n_ces"]
    )


def relations_and_nulls(study: Study) -> pd.DataFrame:
    """Spearman correlation of frequency and magnitude beside the nulls, without augmentation."""
    trained = study.table("relation").assign(source="model")
    both: pd.DataFrame = pd.concat([trained, study.table("null_relation")])
    both = both[(both["augmenter"] == "none") & (both["statistic"] == "spearman")]
    means = both.groupby([*RUN, "relation", "source"], sort=False)["estimate"].mean().reset_index()
    return means.assign(relation=means["relation"].map(RELATION_NAMES), source=means["source"].map(NULLS))


def concentration_nulls(study: Study) -> pd.DataFrame:
    """Concentration of models that learned nothing of the data, as `concentration_by_class` has it."""
    table = _null_table(study, "null_concentration")
    table = table[table["source"].isin(["initialisation", "shuffled_labels"])]
    needed = study.table("null_required")[["key", "source", "n_ces"]].drop_duplicates()
    table = table.drop(columns="n_ces", errors="ignore").merge(needed, on=["key", "source"])
    effective = table["quantity"] == "participation_ratio"
    return table.assign(
        **{"class": "all"},
        augmenter=table["augmenter"].map(TITLES),
        value=table["mean"].where(~effective, table["mean"] / table["n_ces"]),
        quantity=table["quantity"].map(CONCENTRATION),
        source=table["source"].map(NULLS),
    )


def circularity(study: Study) -> dict[str, str]:
    """Spearman correlation with the circular frequency, mean over data sets, of the model and its nulls.

    Names are ``circular-model``, ``circular-permuted``, ``circular-shuffled`` and ``circular-init``.
    """
    table = relations_and_nulls(study)
    table = table[table["relation"] == RELATION_NAMES["top_frequency"]]
    means = table.groupby(["source", "dataset"])["estimate"].mean().groupby("source").mean()
    names = {"permuted_weights": "permuted", "shuffled_labels": "shuffled", "initialisation": "init"}
    return {
        f"circular-{names.get(source, source)}": f"{means[title]:.2f}" if title in means else "(not run)"
        for source, title in NULLS.items()
    }
