"""Natural features: does taking a feature's rows out of training make it small? On stored embeddings.

The extractor is frozen. Rows where a feature is high are left out of the head's training, against as many at
random; then it is measured what the feature adds to its class. Left out of its class alone they turn the
feature's evidence around; left out of every class alike they narrow the classes, so that what is left of the
feature tells more. Neither holds evidence fixed, which is what planted features are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cemag.errors import DataError
from cemag.reproduction.experiments.estimates import Estimate, over_sets
from cemag.reproduction.experiments.heads import Array, Features, Labels, fit_head
from cemag.reproduction.experiments.keeping import folders_of_causes, home_of, kept
from cemag.reproduction.experiments.sources import Source, authors_network, network_features, plain_networks
from cemag.reproduction.runs import published_store

__all__ = ["deletion_effects", "natural_effects", "targeted_against_random"]

DOSES = (0.0, 0.3, 0.6, 0.9)
LARGE_CLASS = 100  # rows below which nine tenths leave too few
ARMS = {
    "highest of the class": ("own", True),
    "random of the class": ("own", False),
    "highest of every class": ("every", True),
    "random of every class": ("every", False),
}


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
        One row per class, dose and ``arm`` (rows where the feature is highest or at random; of the class
        alone or of every class alike): ``feature``, and ``effect``, what one standard deviation of the
        feature adds to the lead of the class over the mean of the others.
    """
    rng = np.random.default_rng(seed)
    n_classes = len(one.ce.classes)
    whole, _ = fit_head(one.X, one.y, n_classes)
    spread = one.X.std(axis=0)
    rows = []
    for label in map(int, np.flatnonzero(one.counts >= LARGE_CLASS)):
        feature = int((_lead(whole, label) * spread).argmax())
        for arm, (classes, targeted) in ARMS.items():
            key = one.X[:, feature] if targeted else rng.random(len(one.y))
            for dose in doses:
                chosen: Iterable[int] = [label] if classes == "own" else range(n_classes)
                rest = np.setdiff1d(np.arange(len(one.y)), _highest(key, one.y, chosen, dose))
                weights = fit_head(one.X[rest], one.y[rest], n_classes)[0] if dose else whole
                effect = float(_lead(weights, label)[feature] * spread[feature])
                rows.append((str(one.ce.classes[label]), feature, arm, dose, effect))
    return pd.DataFrame(rows, columns=["class", "feature", "arm", "dose", "effect"])


def _highest(key: Array, y: Labels, classes: Iterable[int], dose: float) -> Labels:
    """Rows with the highest keys, the same share of each of some classes."""
    found = [np.zeros(0, dtype=np.intp)]
    for label in classes:
        rows = np.flatnonzero(y == label)
        order = rows[np.argsort(key[rows], kind="stable")]
        found.append(order[len(order) - int(dose * len(order)) :])
    return np.concatenate(found)


def _lead(weights: Array, label: int) -> Array:
    """Weights of a class over the mean of the others' (d,)."""
    return weights[label] - np.delete(weights, label, axis=0).mean(axis=0)


def natural_effects(folders: Sequence[Path] | None = None) -> pd.DataFrame:
    """Deletion effects of published networks without augmentation, and of the authors'; stored, or now."""
    homes = list(folders or folders_of_causes())
    parts = []
    for key, dataset, seed in plain_networks():
        found = kept(homes, f"natural-{dataset}-{seed}", partial(_of_network, key, seed))
        parts.append(found.assign(dataset=dataset, repetition=seed))
    for one in authors_network():
        name = f"natural-{one.name}"
        if one.at_hand or home_of(homes, name):
            found = kept(homes, name, partial(_of_source, one))
            parts.append(found.assign(dataset=f"authors' network ({one.dataset})", repetition=0))
    columns = ["class", "feature", "arm", "dose", "effect", "dataset", "repetition"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _of_network(key: str, seed: int) -> pd.DataFrame:
    return deletion_effects(network_features(published_store().get(key)), seed=seed)


def _of_source(one: Source) -> pd.DataFrame:
    return deletion_effects(one.features(one.repetitions[0]))


def targeted_against_random(
    effects: pd.DataFrame, classes: str = "every class", dose: float = 0.9
) -> Estimate:
    """Share of the effect that leaving the highest rows out takes beyond random ones, at one dose.

    Parameters
    ----------
    effects : DataFrame
        From `natural_effects`.
    classes : {"every class", "the class"}
        Which rows are left out of.
    dose : float, default=0.9

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
    taken = ((by[f"random of {classes}"] - by[f"highest of {classes}"]) / start).rename("taken").reset_index()
    return over_sets(taken.groupby(keys[:2])["taken"].mean().reset_index(), "taken")
