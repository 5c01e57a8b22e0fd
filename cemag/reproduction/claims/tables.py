"""The tables of a study in the reader's words: classes by role, rules and augmenters by their names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd

from cemag.metrics import RELATIONS
from cemag.reproduction.claims.plan import PLAN
from cemag.reproduction.claims.statistics import Measured, over_repeats, paired_over_repeats
from cemag.reproduction.runs import Study
from cemag.samplers import AUGMENTERS, IMAGE_AUGMENTERS

__all__ = [
    "MILD_RULE",
    "QUANTITIES",
    "RELATION_NAMES",
    "ROLES",
    "STRICT_RULE",
    "TITLES",
    "augmentation_effects",
    "class_roles",
    "concentration_by_class",
    "cutoffs_by_class",
    "performance_by_class",
    "relations_by_class",
    "required_by_class",
    "required_ratios",
    "unaugmented",
    "under_rule",
]

ROLES = {"0": "majority", "1": "minority"}  # of the two classes of a table
TITLES = {a.name: a.title for a in IMAGE_AUGMENTERS.values()} | {a.name: a.title for a in AUGMENTERS.values()}
RUN = ["key", "dataset", "model", "augmenter", "design", "split", "seed", "n_ces"]
QUANTITIES = {
    "mean": "CEs required to predict an instance (mean over correct predictions)",
    "common_subset": "Smallest common subset of CEs that keeps 95 % of a class's correct predictions",
    "union": "Union of the CEs required over a class's correct predictions",
}
RELATION_NAMES = {
    "activation_frequency": "active at all (not circular)",
    "held_out": "among the top 10 % in training, magnitude on test data",
    "top_frequency": "among the top 10 % (circular)",
}
CONCENTRATION = {
    "top_share": "share of the top 10 %",
    "participation_ratio": "participation ratio, share of all CEs",
    "gini": "Gini coefficient",
    "entropy": "entropy, share of its maximum",
}
# the plan's rule, by which verdicts are given, and the mildest of those that count the bias
STRICT_RULE = {**PLAN.counting.rule, "bias": f"{PLAN.counting.rule['bias']} bias"}
MILD_RULE = {**STRICT_RULE, "ranking": "signed", "stability": "first", "bias": "with bias"}
SOURCES = {"model": "model", "half_normal": "half-normal noise", "permuted_weights": "weights permuted"}
assert set(RELATION_NAMES) == set(RELATIONS)


def class_roles(study: Study) -> pd.DataFrame:
    """Which class of each run is in the majority and which in the minority: columns key, class, role.

    Of k classes of images the k // 2 largest are the majority, the k // 2 smallest the minority, by
    the training images that they were given; of an odd number the middle one is neither.
    """
    parts = [pd.DataFrame(columns=["key", "class", "role"])]
    sizes, pairs = study.table("classes"), study.table("per_class")
    if len(sizes):
        by_run = sizes.groupby("key")["n_train"]
        place, k = by_run.rank(method="first", ascending=False), by_run.transform("size")
        role = pd.Series("between", index=sizes.index)
        role = role.mask(place <= k // 2, "majority").mask(place > k - k // 2, "minority")
        parts.append(sizes[["key", "class"]].assign(role=role))
        pairs = pairs[~pairs["key"].isin(sizes["key"])]
    if len(pairs):
        parts.append(pairs[["key", "class"]].assign(role=pairs["class"].map(ROLES)))
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _table(study: Study, name: str) -> pd.DataFrame:
    table = study.table(name)
    return table.assign(augmenter=table["augmenter"].map(TITLES))


@lru_cache(maxsize=32)
def _by_role(study: Study, name: str, value: str, within: tuple[str, ...] = ()) -> pd.DataFrame:
    """Mean of a column over the classes of each role, per run; classes without a value are left out."""
    if name not in {table for record in study.records for table in record.tables}:
        return pd.DataFrame(columns=[*RUN, "class", *within, value]).astype({value: float})
    table = _table(study, name).merge(class_roles(study), on=["key", "class"])
    table = table[table["role"] != "between"].drop(columns="class").rename(columns={"role": "class"})
    by = [*RUN, "class", *within]
    return table.groupby(by, sort=False, observed=True)[[value]].mean().reset_index()


def performance_by_class(study: Study) -> pd.DataFrame:
    """Recall per run and role."""
    return _by_role(study, "per_class", "recall")


def required_by_class(study: Study, quantity: str) -> pd.DataFrame:
    """CEs required per run, role and rule, in both units; classes with no correct prediction have none."""
    table = _by_role(study, "required", quantity, ("ranking", "sufficiency", "stability", "bias"))
    table = table.assign(bias=table["bias"].map({True: "with bias", False: "without bias"}))
    share = table.assign(unit="% of all CEs", value=100 * table[quantity] / table["n_ces"])
    count = table.assign(unit="number of CEs", value=table[quantity])
    return pd.concat([share, count], ignore_index=True)


def cutoffs_by_class(study: Study, quantity: str, share: float) -> pd.DataFrame:
    """A quantity of the table ``cutoff`` per run and role, with one share of the features as the top."""
    table = _by_role(study, "cutoff", "value", ("quantity", "share"))
    return table[(table["quantity"] == quantity) & np.isclose(table["share"].astype(float), share)]


def concentration_by_class(study: Study) -> pd.DataFrame:
    """Concentration per run, role, measure and source: the model and its nulls."""
    table = _by_role(study, "concentration", "mean", ("quantity", "source"))
    effective = table["quantity"] == "participation_ratio"
    value = table["mean"].where(~effective, table["mean"] / table["n_ces"])
    return table.assign(
        value=value, quantity=table["quantity"].map(CONCENTRATION), source=table["source"].map(SOURCES)
    )


def relations_by_class(study: Study) -> pd.DataFrame:
    """Spearman correlation of frequency and magnitude per run, role and kind of frequency."""
    table = _by_role(study, "relation", "estimate", ("relation", "statistic"))
    table = table[table["statistic"] == "spearman"]
    return table.assign(relation=table["relation"].map(RELATION_NAMES))


def unaugmented(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of runs without augmentation."""
    return table[table["augmenter"] == TITLES["none"]]


def under_rule(table: pd.DataFrame, rule: Mapping[str, str]) -> pd.DataFrame:
    """Keep the rows of `required_by_class` counted by one rule, as shares of all CEs."""
    keep = table["unit"] == "% of all CEs"
    for choice, value in rule.items():
        keep &= table[choice] == value
    return table[keep]


def augmentation_effects(study: Study, rule: Mapping[str, str] = STRICT_RULE) -> pd.DataFrame:
    """Change that each augmenter makes for the minority class, paired by repetition.

    Columns ``recall``, ``required`` (percentage points) with ``_low`` and ``_high``, and ``n``. Repetitions
    in which the class has no correct prediction, with or without the augmenter, are left out of ``required``.
    """
    none = TITLES["none"]
    recall = (
        performance_by_class(study).query("`class` == 'minority'").assign(value=lambda t: 100 * t["recall"])
    )
    needed = under_rule(required_by_class(study, "mean"), rule).query("`class` == 'minority'")
    parts = {}
    for name, table in (("recall", recall), ("required", needed)):
        of: Measured = "test" if name == "recall" else "weights"
        found = paired_over_repeats(table, "value", ["dataset"], factor="augmenter", reference=none, of=of)
        names = {"mean": name}
        names |= {part: f"{name}_{part}" for part in ("low", "high", "n", "sd")}
        parts[name] = found.drop(columns=["se", "df"]).rename(columns=names)
    both = parts["recall"].merge(parts["required"], on=["dataset", "augmenter"], how="left")
    return both.assign(n=both["required_n"].fillna(0).astype(int))


def required_ratios(study: Study) -> pd.DataFrame:
    """CEs that minority instances require with an augmenter, as a multiple of those without it.

    By the plan's rule, over instances that both models predict correctly, in each class, then in each
    repetition: columns ``ratio`` with ``ratio_low`` and ``ratio_high``, and ``pairs``, the repetitions that
    have any.
    """
    rows = study.table("instances").merge(class_roles(study), on=["key", "class"])
    rows = rows[(rows["role"] == "minority") & rows["required"].notna()]
    rows = rows.assign(augmenter=rows["augmenter"].map(TITLES))
    unit = ["dataset", "design", "split", "seed", "class"]
    base = rows.loc[rows["augmenter"] == TITLES["none"], [*unit, "instance", "required", "n_ces"]]
    others = rows[rows["augmenter"] != TITLES["none"]]
    both = others.merge(base, on=[*unit, "instance"], suffixes=("", "_without"))
    share, without = both["required"] / both["n_ces"], both["required_without"] / both["n_ces_without"]
    both = both.assign(change=np.log(share / without))
    classes = both.groupby([*unit, "augmenter"], sort=False)["change"].mean().reset_index()
    by_run = classes.groupby([*unit[:-1], "augmenter"], sort=False)["change"].mean().reset_index()
    found = over_repeats(by_run, "change", ["dataset", "augmenter"])
    columns = {"mean": "ratio", "low": "ratio_low", "high": "ratio_high"}
    found = found.rename(columns={**columns, "n": "pairs"})[
        ["dataset", "augmenter", *columns.values(), "pairs"]
    ]
    return found.assign(**{name: np.exp(found[name]) for name in columns.values()})
