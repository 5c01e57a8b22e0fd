"""What the analysis plan asks of a run, class by class and instance by instance. Tables of a record.

The rule is the plan's: magnitude, shared, stable, without the bias; with the paper's CEs and with margin CEs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings, KernelFeatures
from cemag.metrics import (
    BY_CES,
    RELATIONS,
    TrainingView,
    common_subset,
    frequency,
    per_instance,
    permuted_weights,
    relation,
)

__all__ = ["DRAWS", "GAUGES", "Judged", "instances_table", "quantities_table"]

DRAWS = 20  # of the permuted weights
GAUGES = ("paper", "margin")
C5 = {"c5a": RELATIONS["top_frequency"], "c5b": RELATIONS["activation_frequency"]}
Array = NDArray[np.float64]
Found = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Judged:
    """A model on the instances that judge it.

    Attributes
    ----------
    ce : ClassificationEmbeddings
        Of test instances.
    y : ndarray of shape (N,)
        Their labels.
    train : TrainingView
        Of training instances, where frequency is measured.
    centre : ndarray of shape (d,)
        Mean of the classes' mean training features, from which margin CEs are measured.
    """

    ce: ClassificationEmbeddings
    y: NDArray[Any]
    train: TrainingView
    centre: Array

    def with_permuted_weights(self, random_state: int) -> Judged:
        """Deal each class's weights to the features at random, test and training alike."""
        train = replace(self.train, ce=permuted_weights(self.train.ce, random_state=random_state))
        return replace(self, ce=permuted_weights(self.ce, random_state=random_state), train=train)

    def held(self) -> Judged:
        """Return the same with kernels in memory, where they are to be measured many times."""
        ce, seen = (_held(one) for one in (self.ce, self.train.ce))
        return replace(self, ce=ce, train=replace(self.train, ce=seen))


def _held(ce: ClassificationEmbeddings) -> ClassificationEmbeddings:
    features = ce.features
    return replace(ce, features=features.held()) if isinstance(features, KernelFeatures) else ce


def instances_table(judged: Judged, rows: NDArray[np.intp]) -> pa.Table:
    """One row per judged instance.

    Parameters
    ----------
    judged : Judged
    rows : ndarray of shape (N,)
        Row of each instance in its data set, by which runs are paired.

    Returns
    -------
    pyarrow.Table
        ``instance``, ``class``, ``predicted``, ``correct``; ``required`` and ``required_margin``, the CEs and
        the margin CEs required without the bias (NaN where they alone do not give the prediction);
        ``by_bias`` and ``top_share`` as in `cemag.metrics.per_instance`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((9, 8)), rng.normal(size=(3, 8)))
    >>> judged = Judged(ce, ce.predictions, TrainingView(ce, ce.predictions), np.zeros(8))
    >>> instances_table(judged, np.arange(9)).column_names[-4:]
    ['required', 'required_margin', 'by_bias', 'top_share']
    """
    found = _measured(judged)
    names = np.array([str(name) for name in judged.ce.classes])
    labels = judged.ce.label_indices(judged.y)
    paper, margin = found["paper"], found["margin"]
    return pa.table(
        {
            "instance": rows.astype(np.int32),
            "class": names[labels],
            "predicted": names[paper["predicted"]],
            "correct": paper["predicted"] == labels,
            "required": paper["required_without_bias"].astype(np.float32),
            "required_margin": margin["required_without_bias"].astype(np.float32),
            "by_bias": paper["by_bias"],
            "top_share": paper["top_share"].astype(np.float32),
        }
    )


def quantities_table(
    model: Judged,
    nulls: Mapping[str, Judged],
    n_train: Mapping[str, int],
    *,
    permuted: bool,
    random_state: int,
) -> pa.Table:
    """Every quantity of the plan, of a model and of its nulls.

    Parameters
    ----------
    model : Judged
    nulls : mapping of str to Judged
        Models that learned nothing, by name.
    n_train : mapping of str to int
        Training instances of each class, as they were before augmentation.
    permuted : bool
        Whether the model with its weights permuted, `DRAWS` times over, is one of the nulls.
    random_state : int
        Deals the weights.

    Returns
    -------
    pyarrow.Table
        One row per source, draw, gauge and class. Of the model over the class's correctly predicted
        instances; of a null, which has none to speak of, over all of its instances, each counted
        towards what the null predicts without its bias. ``common_subset`` of a null is over what it
        predicts as the class.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 8)), rng.normal(size=(3, 8)))
    >>> judged = Judged(ce, ce.predictions, TrainingView(ce, ce.predictions), np.zeros(8))
    >>> n_train = {"0": 9, "1": 5, "2": 2}
    >>> table = quantities_table(judged, {}, n_train, permuted=False, random_state=0)
    >>> table.num_rows, table["source"].unique().to_pylist()  # two gauges, three classes
    (6, ['model'])
    """
    model = model.held()
    rows = list(_rows_of("model", 0, model, n_train, is_null=False))
    for source, null in nulls.items():
        rows += _rows_of(source, 0, null, n_train, is_null=True)
    for draw in range(DRAWS if permuted else 0):
        dealt = model.with_permuted_weights(random_state + draw)
        rows += _rows_of("permuted_weights", draw, dealt, n_train, is_null=True)
    return pa.Table.from_pylist(rows)


def _rows_of(
    source: str, draw: int, judged: Judged, n_train: Mapping[str, int], *, is_null: bool
) -> Iterator[dict[str, Any]]:
    if is_null:
        judged = replace(judged, ce=judged.ce.without_bias())
    ce, labels = judged.ce, judged.ce.label_indices(judged.y)
    common, n_common = _common(ce, labels, is_null=is_null)
    relations = _relations(judged)
    for gauge, found in _measured(judged).items():
        for label, name in enumerate(map(str, ce.classes)):
            of_class = labels == label
            chosen = of_class if is_null else of_class & (ce.predictions == label)
            required = found["required_without_bias"][chosen]
            counted = np.isfinite(required)
            by_ces = gauge == "paper"
            yield {
                "source": source,
                "draw": draw,
                "gauge": gauge,
                "class": name,
                "n_train": n_train[name],
                "n_ces": ce.n_features,
                "n_judged": int(of_class.sum()),
                "n_correct": int(chosen.sum()),
                "n_counted": int(counted.sum()),
                "by_bias": float("nan") if is_null else _mean(found["by_bias"][chosen]),
                "lost_without_bias": _mean(found["lost_without_bias"][chosen]),
                "required": _mean(required[counted]) / ce.n_features,
                "common_subset": common[label] / ce.n_features if by_ces else float("nan"),
                "n_common": int(n_common[label]),
                "top_share": _mean(found["top_share"][chosen]),
                "participation_ratio": _mean(found["participation_ratio"][chosen]),
                **{name: values[label] if by_ces else float("nan") for name, values in relations.items()},
            }


def _measured(judged: Judged) -> dict[str, Found]:
    """Each instance's CEs in both gauges."""
    return {
        "paper": per_instance(judged.ce),
        "margin": per_instance(judged.ce, judged.ce.margins(judged.centre)),
    }


def _common(
    ce: ClassificationEmbeddings, labels: NDArray[np.intp], *, is_null: bool
) -> tuple[Array, NDArray[np.intp]]:
    """Common subset of each class, and over how many instances: (C,) each."""
    target = ce.predictions if is_null else labels
    chosen = np.flatnonzero(target == ce.predictions)
    alone = ce.without_bias().predictions[chosen]
    n = np.bincount(alone[alone == target[chosen]], minlength=len(ce.classes))
    if len(chosen) == 0:
        return np.full(len(ce.classes), np.nan), n
    return common_subset(ce.take(chosen), ce.classes[target[chosen]], [BY_CES])[BY_CES], n


def _relations(judged: Judged) -> dict[str, list[float]]:
    """Spearman's correlations of frequency with magnitude, over the features of each class."""
    train = judged.train
    seen = frequency(train.ce, train.y, baseline=train.baseline, tolerance=train.tolerance)
    return {
        name: [
            relation(getattr(seen, x)[label], getattr(seen, y)[label], n_resamples=1).estimate
            for label in range(len(train.ce.classes))
        ]
        for name, (x, y) in C5.items()
    }


def _mean(values: NDArray[Any]) -> float:
    """Mean of what is finite; NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
