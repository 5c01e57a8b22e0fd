"""Features that experiments on heads and on augmenters start from: tables, published networks, the authors'.

A source is at hand where its data are on this machine; what was computed from it is stored, and needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from cemag.embeddings import ClassificationEmbeddings
from cemag.reproduction.datasets import (
    DATASETS,
    dataset_status,
    image_status,
    load_tabular,
    stratified_split,
)
from cemag.reproduction.experiments.heads import Features
from cemag.reproduction.experiments.keeping import home_of, kept
from cemag.reproduction.runs import (
    ImageRunSpec,
    RunRecord,
    authors_specs,
    image_specs,
    published_classes,
    published_store,
)
from cemag.reproduction.runs.evidence import factors_of, training_view

__all__ = [
    "PAPER_TABLES",
    "Source",
    "authors_network",
    "digits_networks",
    "network_features",
    "over_sources",
    "plain_networks",
    "published_networks",
    "table_features",
    "tables_by_fold",
]

PAPER_TABLES = tuple(name for name, info in DATASETS.items() if not info.embedded)
FOLDS = 5


@dataclass(frozen=True)
class Source:
    """Features of one data set, by repetition.

    Attributes
    ----------
    family : {"tables", "networks", "authors"}
    dataset : str
    name : str
        Of its records.
    repetitions : tuple of int
        Folds of a table, seed of a network.
    at_hand : bool
        Whether they can be computed on this machine.
    features : callable
        From a repetition to `Features`.
    """

    family: str
    dataset: str
    name: str
    repetitions: tuple[int, ...]
    at_hand: bool
    features: Callable[[int], Features]


def over_sources(
    kind: str,
    sources: Sequence[Source],
    measure: Callable[[Features], pd.DataFrame],
    homes: Sequence[Path],
    *,
    version: int,
) -> pd.DataFrame:
    """Measure every repetition of some sources: what is stored, and of what is at hand computed now.

    Parameters
    ----------
    kind : str
        Of experiment; with a source's name it is that of the record.
    sources : sequence of Source
        One that is neither stored nor at hand takes no part.
    measure : callable
        From `Features` to a frame.
    homes : sequence of path
        Where records may lie; new ones go to the last.
    version : int
        Of the measure, raised when it comes to give other numbers.

    Returns
    -------
    DataFrame
        The measure's columns with ``repetition``, ``family`` and ``dataset``; empty where nothing is.
    """
    parts = []
    for one in sources:
        name = f"{kind}-{one.name}"
        if one.at_hand or home_of(homes, name, version):
            found = kept(homes, name, partial(_by_repetition, one, measure), version)
            parts.append(found.assign(family=one.family, dataset=one.dataset))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _by_repetition(one: Source, measure: Callable[[Features], pd.DataFrame]) -> pd.DataFrame:
    found = [measure(one.features(k)).assign(repetition=k) for k in one.repetitions]
    return pd.concat(found, ignore_index=True)


def tables_by_fold(names: Sequence[str] = PAPER_TABLES) -> list[Source]:
    """Tabular sets, each by fold."""
    return [
        Source(
            "tables",
            name,
            f"tables-{name}",
            tuple(range(FOLDS)),
            dataset_status(name).available,
            partial(table_features, name),
        )
        for name in names
    ]


def published_networks() -> list[Source]:
    """Published networks without augmentation: their stored embeddings."""
    return [
        Source("networks", dataset, f"networks-{dataset}-{seed}", (seed,), True, partial(_stored, key))
        for key, dataset, seed in plain_networks()
    ]


def digits_networks() -> list[Source]:
    """Networks on the embedded digits, at the scale of a minute; trained now where nothing is stored."""
    specs = image_specs("quick", augmenters=["none"])
    return [
        Source(
            "networks",
            spec.dataset,
            f"networks-{spec.dataset}-{spec.seed}",
            (spec.seed,),
            find_spec("torch") is not None,
            partial(_extracted, spec),
        )
        for spec in specs
    ]


def authors_network() -> list[Source]:
    """The network that the paper's first author published, on training images drawn anew."""
    (spec,) = (one for one in authors_specs() if one.augmenter == "none")
    at_hand = find_spec("torch") is not None and image_status(spec.dataset).available
    return [Source("authors", spec.dataset, "authors-cifar10", (0,), at_hand, partial(_extracted, spec))]


def table_features(dataset: str, fold: int) -> Features:
    """Standardised columns of a fold, and its logistic regression in the form of two rows.

    With two rows of half the weights, one of them negative, the decision and every share are those of the
    single sum, and each class has CEs of its own.
    """
    from sklearn.linear_model import LogisticRegression

    data = load_tabular(dataset)
    part = stratified_split(data.X, data.y, split=fold, n_splits=FOLDS, random_state=0)
    fitted = LogisticRegression(max_iter=1000).fit(part.X_train, part.y_train)
    weights = np.concatenate([-fitted.coef_, fitted.coef_]) / 2
    bias = np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2
    ce = ClassificationEmbeddings(part.X_test, weights, bias)
    y, labels = (values.astype(np.intp) for values in (part.y_train, part.y_test))
    return Features(part.X_train, y, ce, labels, part.baseline)


def network_features(record: RunRecord) -> Features:
    """Stored embeddings of a published network without augmentation, and its head; no network, no images."""
    train, test = training_view(record), factors_of(record)
    return Features(
        train.ce.features[:], train.ce.label_indices(train.y), test.ce, test.ce.label_indices(test.y)
    )


def plain_networks() -> list[tuple[str, str, int]]:
    """Key, data set and seed of every published network without augmentation."""
    rows = published_classes()
    chosen = rows[(rows["family"] == "cnn") & (rows["source"] == "model") & (rows["augmenter"] == "none")]
    found = chosen[["key", "dataset", "repetition"]].drop_duplicates().itertuples(index=False)
    return sorted(found, key=lambda row: row[1:])


def _stored(key: str, _: int) -> Features:
    return network_features(published_store().get(key))


@lru_cache(maxsize=1)  # every experiment on it follows the other
def _extracted(spec: ImageRunSpec, _: int) -> Features:
    """Embed the images of a specification with its network, rounded as a record's are."""
    from cemag.reproduction.runs.images import extract

    of = extract(spec, device="cpu")
    layer = of.fitted.model.get_submodule("linear")
    weights, bias = (getattr(layer, part).detach().double().numpy() for part in ("weight", "bias"))
    ce = ClassificationEmbeddings(of.test.astype(np.float64), weights, bias, of.names)
    y, labels = (values.astype(np.intp) for values in (of.data.y, of.whole.y_test))
    return Features(of.train.astype(np.float64), y, ce, labels)
