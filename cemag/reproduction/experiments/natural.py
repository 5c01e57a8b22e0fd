"""Natural features: does taking a feature's rows out of training make it small? On stored embeddings.

The extractor is frozen. Of one class the rows where a feature is high are left out of the head's training,
against as many rows of the class at random; then it is measured what the feature adds to the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cemag.errors import DataError
from cemag.reproduction.experiments.concentration import network_features, plain_networks
from cemag.reproduction.experiments.estimates import Estimate, over_sets
from cemag.reproduction.experiments.heads import Features, fit_head
from cemag.reproduction.experiments.keeping import folders_of_causes, kept
from cemag.reproduction.runs import published_store

__all__ = ["deletion_effects", "natural_effects", "targeted_against_random"]

DOSES = (0.0, 0.3, 0.6, 0.9)
LARGE_CLASS = 100  # rows below which nine tenths leave too few


def deletion_effects(one: Features, doses: Sequence[float] = DOSES, *, seed: int = 0) -> pd.DataFrame:
    """What the leading feature of each class adds to it, as its rows are left out of the head's training.

    Parameters
    ----------
    one : Features
    doses : sequence of float
        Shares of the class's rows that are left out, below 1.
    seed : int, default=0
        Draws the rows that are left out at random.

    Returns
    -------
    DataFrame
        One row per class, dose and ``arm`` (``targeted``: where the feature is highest; ``random``):
        ``feature``, and ``effect``, what one standard deviation of the feature adds to the lead of the class
        over the mean of the others.
    """
    rng = np.random.default_rng(seed)
    n_classes = len(one.ce.classes)
    whole, _ = fit_head(one.X, one.y, n_classes)
    spread = one.X.std(axis=0)
    rows = []
    for label in np.flatnonzero(one.counts >= LARGE_CLASS):
        lead = _lead(whole, label) * spread
        feature, of_class = int(lead.argmax()), np.flatnonzero(one.y == label)
        highest_last = of_class[np.argsort(one.X[of_class, feature], kind="stable")]
        for arm, order in (("targeted", highest_last), ("random", rng.permutation(of_class))):
            for dose in doses:
                left_out = order[len(order) - round(dose * len(order)) :]
                kept_rows = np.setdiff1d(np.arange(len(one.y)), left_out)
                weights, _ = fit_head(one.X[kept_rows], one.y[kept_rows], n_classes)
                effect = float(_lead(weights, label)[feature] * spread[feature])
                rows.append((str(one.ce.classes[label]), feature, arm, dose, effect))
    return pd.DataFrame(rows, columns=["class", "feature", "arm", "dose", "effect"])


def _lead(weights: np.ndarray, label: int) -> np.ndarray:
    """Weights of a class over the mean of the others' (d,)."""
    return weights[label] - np.delete(weights, label, axis=0).mean(axis=0)


def natural_effects(folders: Sequence[Path] | None = None) -> pd.DataFrame:
    """Deletion effects of every published network without augmentation; stored, or computed now."""
    homes = list(folders or folders_of_causes())
    parts = []
    for key, dataset, seed in plain_networks():
        found = kept(homes, f"natural-{dataset}-{seed}", partial(_of_network, key, seed))
        parts.append(found.assign(dataset=dataset, repetition=seed))
    columns = ["class", "feature", "arm", "dose", "effect", "dataset", "repetition"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _of_network(key: str, seed: int) -> pd.DataFrame:
    return deletion_effects(network_features(published_store().get(key)), seed=seed)


def targeted_against_random(effects: pd.DataFrame, dose: float = 0.9) -> Estimate:
    """Share of the effect that targeted deletion takes beyond random deletion, at one dose.

    Raises
    ------
    DataError
        If no data set has two networks.
    """
    if effects.empty:
        raise DataError("no network is published")
    keys = ["dataset", "repetition", "class"]
    at = effects[np.isclose(effects["dose"].astype(float), dose)]
    by = at.pivot_table(index=keys, columns="arm", values="effect")
    start = effects[effects["dose"] == 0].groupby(keys)["effect"].mean()
    taken = ((by["random"] - by["targeted"]) / start).rename("taken").reset_index()
    return over_sets(taken.groupby(keys[:2])["taken"].mean().reset_index(), "taken")
