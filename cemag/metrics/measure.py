"""Every CE metric of a model at once, as the tables that a run record keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics.concentration import (
    CONCENTRATION_NAMES,
    concentration,
    half_normal_null,
    permuted_weights_null,
)
from cemag.metrics.frequency import Frequency, frequency
from cemag.metrics.performance import per_class_scores, scores
from cemag.metrics.relation import relation
from cemag.metrics.required import common_subset, required
from cemag.metrics.rules import Rule, rules_for

__all__ = ["RELATIONS", "TrainingView", "measure", "relations", "sample_per_class"]

MAX_FEATURE_ROWS = 256
RESAMPLED_PAIRS = 400_000  # a correlation over thousands of support vectors needs fewer resamples
RELATIONS = {
    "top_frequency": ("top_frequency", "mean_magnitude"),
    "activation_frequency": ("activation_frequency", "mean_magnitude_active"),
    "held_out": ("top_frequency", "test_magnitude"),
}


@dataclass(frozen=True)
class TrainingView:
    """Training instances, on which frequency is measured (as the paper's claim has it).

    Parameters
    ----------
    ce : ClassificationEmbeddings
        CEs of training instances that the model was given as they are, none of them synthetic.
    y : ndarray of shape (n,)
        Their labels.
    baseline, tolerance
        When a feature counts as active: see `cemag.metrics.frequency`.
    """

    ce: ClassificationEmbeddings
    y: NDArray[Any]
    baseline: ArrayLike = 0.0
    tolerance: float = 0.0


def measure(
    ce: ClassificationEmbeddings,
    y: ArrayLike,
    *,
    train: TrainingView | None = None,
    rules: Sequence[Rule] | None = None,
    max_per_class: int | None = None,
    random_state: int = 0,
) -> dict[str, pa.Table]:
    """All CE metrics of a model, per class.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        CEs of the instances to judge the model by (its test set).
    y : array_like of shape (N,)
        Their true labels.
    train : TrainingView, optional
        Where to measure frequency; `ce` itself when not given.
    rules : sequence of Rule, optional
        All rules that differ for the model when not given.
    max_per_class : int, optional
        Judge CEs by at most so many instances a class, drawn at random; by all when not given. How
        well the model predicts is always judged by all.
    random_state : int, default=0
        For the bootstrap, the permuted weights and the draw of instances.

    Returns
    -------
    dict of pyarrow.Table
        ``performance`` (1 row), ``per_class`` (a row a class), ``required`` (class x rule),
        ``concentration`` (class x quantity x source: the model and its nulls), ``relation``
        (class x relation x statistic) and ``features`` (class x feature; where there are more than
        256 features, 256 of them, evenly spaced in rank of magnitude). `n` counts instances, in
        `relation` features. Metrics are over a class's correctly predicted instances; a class
        without any has NaN.

    Raises
    ------
    DataError
        If labels do not fit the CEs.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 8)), rng.normal(size=(3, 8)))
    >>> tables = measure(ce, ce.predictions)
    >>> tables["performance"]["accuracy"][0].as_py()
    1.0
    """
    labels = ce.label_indices(y)
    train = train or TrainingView(ce, np.asarray(y))
    predicted, true = ce.classes[ce.predictions], ce.classes[labels]
    performance = pa.table({name: [value] for name, value in scores(true, predicted).items()})
    per_class = {"class": _names(ce.classes), **per_class_scores(true, predicted, ce.classes)}
    rows = sample_per_class(labels, max_per_class, random_state=random_state)
    if len(rows) < ce.n_instances:
        ce, labels, true = ce.take(rows), labels[rows], true[rows]
    features = _features_table(ce, labels, train)
    return {
        "performance": performance,
        "per_class": pa.table(per_class),
        "required": _required_table(ce, true, rules_for(ce) if rules is None else rules),
        "concentration": _concentration_table(ce, labels, random_state),
        "relation": _relation_table(features, random_state),
        "features": _thinned(features),
    }


def relations(
    ce: ClassificationEmbeddings, y: ArrayLike, train: TrainingView, *, random_state: int = 0
) -> pa.Table:
    """Only the table ``relation`` of `measure`: how magnitude goes with frequency in each class.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 8)), rng.normal(size=(3, 8)))
    >>> relations(ce, ce.predictions, TrainingView(ce, ce.predictions)).num_rows  # class, kind, statistic
    18
    """
    return _relation_table(_features_table(ce, ce.label_indices(y), train), random_state)


def sample_per_class(
    labels: NDArray[Any], max_per_class: int | None, *, random_state: int
) -> NDArray[np.intp]:
    """Sorted indices of at most `max_per_class` instances a class; of all when it is None.

    Examples
    --------
    >>> len(sample_per_class(np.array([0] * 90 + [1] * 5), 20, random_state=0))
    25
    """
    if max_per_class is None:
        return np.arange(len(labels))
    rng = np.random.default_rng(random_state)
    by_class = (np.flatnonzero(labels == label) for label in np.unique(labels))
    chosen = [
        rows if len(rows) <= max_per_class else rng.choice(rows, max_per_class, replace=False)
        for rows in by_class
    ]
    return np.sort(np.concatenate(chosen))


def _names(classes: NDArray[Any]) -> list[str]:
    return [str(c) for c in classes]


def _required_table(ce: ClassificationEmbeddings, y: NDArray[Any], rules: Sequence[Rule]) -> pa.Table:
    found = required(ce, y, rules)
    common = common_subset(ce, y, rules)
    without_bias = ce.without_bias()
    rows = []
    for rule in rules:
        model = ce if rule.bias else without_bias
        correct = model.classes[model.predictions] == y
        for label, name in enumerate(_names(ce.classes)):
            k = found.per_instance[rule][correct & (y == ce.classes[label])]
            row = {
                "class": name,
                "ranking": rule.ranking,
                "sufficiency": rule.sufficiency,
                "stability": rule.stability,
                "bias": rule.bias,
                **_summary(k),
                "union": float(found.union[rule][label]),
                "common_subset": float(common[rule][label]),
            }
            rows.append(row)
    return pa.Table.from_pylist(rows)


def _summary(values: NDArray[Any]) -> dict[str, float | int]:
    if len(values) == 0:
        return {"n": 0, **dict.fromkeys(["mean", "sd", "q05", "q25", "median", "q75", "q95"], float("nan"))}
    q = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    quantiles = dict(zip(["q05", "q25", "median", "q75", "q95"], q.tolist(), strict=True))
    return {"n": len(values), "mean": float(np.mean(values)), "sd": sd, **quantiles}


def _concentration_table(ce: ClassificationEmbeddings, labels: NDArray[np.intp], seed: int) -> pa.Table:
    sources = {"model": concentration(ce), "permuted_weights": permuted_weights_null(ce, random_state=seed)}
    noise = _half_normal(ce.n_features)
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(_names(ce.classes)):
        correct = (labels == label) & (ce.predictions == label)
        for quantity in CONCENTRATION_NAMES:
            for source, found in sources.items():
                values = getattr(found, quantity)[correct]
                values = values[np.isfinite(values)]
                row = {"class": name, "quantity": quantity, "source": source}
                rows.append(row | {key: _summary(values)[key] for key in ("n", "mean", "sd")})
            null = {"class": name, "quantity": quantity, "source": "half_normal"}
            rows.append(null | {"n": int(correct.sum()), "mean": noise[quantity], "sd": float("nan")})
    return pa.Table.from_pylist(rows)


@lru_cache(maxsize=64)
def _half_normal(n_features: int) -> dict[str, float]:
    return half_normal_null(n_features)


def _features_table(ce: ClassificationEmbeddings, labels: NDArray[np.intp], train: TrainingView) -> pa.Table:
    seen = frequency(train.ce, train.y, baseline=train.baseline, tolerance=train.tolerance)
    held_out = _mean_magnitude(ce, labels)
    n_classes, d = seen.top_frequency.shape
    columns = {name: getattr(seen, name).ravel() for name in Frequency.__dataclass_fields__}
    return pa.table(
        {
            "class": np.repeat(_names(ce.classes), d),
            "feature": np.tile(np.arange(d, dtype=np.int32), n_classes),
            **{name: column.astype(np.float32) for name, column in columns.items()},
            "test_magnitude": held_out.ravel().astype(np.float32),
        }
    )


def _mean_magnitude(ce: ClassificationEmbeddings, labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean |CE| towards the own class: (C, d), as ``|w| mean |f|`` and so without a CE array."""
    total = np.zeros((len(ce.classes), ce.n_features))
    for label in range(len(ce.classes)):
        for rows in ce.blocks(np.flatnonzero(labels == label)):
            total[label] += np.abs(ce.features[rows]).sum(axis=0)
    n = np.bincount(labels, minlength=len(ce.classes))[:, None]
    with np.errstate(invalid="ignore"):
        return np.abs(ce.weights) * total / n


def _relation_table(features: pa.Table, seed: int) -> pa.Table:
    rows = []
    for name in features["class"].unique().to_pylist():
        of_class = features.filter(pc.equal(features["class"], name))
        n_resamples = int(np.clip(RESAMPLED_PAIRS // len(of_class), 100, 1000))
        for kind, (x, y) in RELATIONS.items():
            for statistic in ("spearman", "pearson"):
                found = relation(
                    of_class[x], of_class[y], statistic=statistic, n_resamples=n_resamples, random_state=seed
                )
                rows.append({"class": name, "relation": kind, **vars(found)})
    return pa.Table.from_pylist(rows)


def _thinned(features: pa.Table) -> pa.Table:
    """Keep at most MAX_FEATURE_ROWS features a class, evenly spaced in rank of mean magnitude."""
    kept = []
    for name in features["class"].unique().to_pylist():
        rows = np.flatnonzero(np.asarray(features["class"]) == name)
        if len(rows) > MAX_FEATURE_ROWS:
            ranked = rows[np.argsort(np.asarray(features["mean_magnitude"])[rows], kind="stable")]
            rows = np.sort(ranked[np.linspace(0, len(rows) - 1, MAX_FEATURE_ROWS).round().astype(int)])
        kept.append(rows)
    return features.take(np.concatenate(kept))
