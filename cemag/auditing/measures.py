"""What an audit measures of CEs, a block of rows at a time and a block a core.

Pure functions of arrays. Beyond the inputs they hold some arrays of (N,) and (C, d), and a few blocks: never
(N, C), never (N, d).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from cemag.auditing.early import first_sufficient
from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import concentration, n_top, permuted_weights, sample_per_class

__all__ = ["ablation", "per_feature", "per_instance", "permuted_null"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]


def per_instance(ce: ClassificationEmbeddings) -> dict[str, NDArray[Any]]:
    """Measure the CEs of each instance towards the class that is predicted for it.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        N instances, d features, C classes.

    Returns
    -------
    dict of ndarray of shape (N,)
        ``predicted``; ``required`` (smallest k whose first CEs, by contribution and shared by all
        classes, give the prediction; from 0 to d); ``top_share`` and ``participation_ratio`` as in
        `cemag.metrics.concentration`; ``largest_share``, of the largest single CE in the magnitude;
        ``top_feature``, with the largest contribution; ``margin``, the logit over the next one. An
        instance whose CEs are all zero has NaN for what is a share.

    Notes
    -----
    Time grows as N d log d for sorting, N C d for the logits and N C k for the k that is required.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 1.0, 2.0]], [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    >>> {name: values.tolist() for name, values in per_instance(ce).items() if name != "predicted"}
    {'required': [1], 'top_share': [0.75], 'participation_ratio': [1.6], 'largest_share': [0.75], \
'top_feature': [0], 'margin': [2.0]}
    """
    n, d = ce.n_instances, ce.n_features
    found: dict[str, NDArray[Any]] = {
        "predicted": np.array(ce.predictions),
        "required": np.empty(n, dtype=np.intp),
        "top_share": np.empty(n),
        "participation_ratio": np.empty(n),
        "largest_share": np.empty(n),
        "top_feature": np.empty(n, dtype=np.intp),
        "margin": np.empty(n),
    }
    by_feature = np.ascontiguousarray(ce.weights.T)

    def measure(rows: Index) -> None:
        features, labels = ce.features[rows], ce.predictions[rows]
        found["required"][rows] = first_sufficient(ce, features, labels, by_feature)
        found["margin"][rows] = _margins(features @ ce.weights.T + ce.bias, labels)
        ces = ce.weigh(features, labels)
        found["top_feature"][rows] = ces.argmax(axis=1)
        sizes = np.abs(ces, out=ces)
        total, k = sizes.sum(axis=1), n_top(d)
        with np.errstate(invalid="ignore", divide="ignore"):
            found["participation_ratio"][rows] = total**2 / np.einsum("ij,ij->i", sizes, sizes)
            found["largest_share"][rows] = sizes.max(axis=1) / total
            sizes.partition(d - k, axis=1)
            found["top_share"][rows] = sizes[:, d - k :].sum(axis=1) / total

    _on_every_core(measure, ce.blocks())
    return found


def per_feature(ce: ClassificationEmbeddings, labels: Index) -> dict[str, NDArray[np.float32]]:
    """Measure each feature in each class.

    Parameters
    ----------
    ce : ClassificationEmbeddings
    labels : ndarray of shape (N,)
        Index of the true class.

    Returns
    -------
    dict of ndarray of shape (C, d), float32
        ``mean_ce`` and ``mean_magnitude`` over the class's correctly predicted instances;
        ``top_frequency`` and ``activation_frequency`` (other than zero) over all of its instances, as
        in `cemag.metrics.frequency`. NaN for a class with no such instance.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 0.0], [2.0, 1.0]], [[1.0, -1.0], [0.0, 0.0]])
    >>> per_feature(ce, np.array([0, 0]))["mean_ce"][0].tolist()
    [1.5, -0.5]
    """
    shape = (len(ce.classes), ce.n_features)
    edge = ce.n_features - n_top(ce.n_features)
    sums = {name: np.zeros(shape) for name in ("value", "size", "top", "active")}
    right = ce.predictions == labels
    for rows in ce.blocks():
        features, of = ce.features[rows], labels[rows]
        sizes = np.abs(ce.weigh(features, of))
        cut = np.partition(sizes, edge, axis=1)[:, edge, None]
        in_class = _indicator(of, shape[0])
        kept = _indicator(of, shape[0], right[rows])
        sums["value"] += kept @ features
        sums["size"] += kept @ np.abs(features)
        sums["top"] += in_class @ ((sizes >= cut) & (sizes > 0)).astype(np.float64)
        sums["active"] += in_class @ (features != 0).astype(np.float64)
    weights = np.vstack([-ce.weights, ce.weights]) if ce.single_sum else ce.weights
    n_all = np.bincount(labels, minlength=shape[0])[:, None]
    n_right = np.bincount(labels[right], minlength=shape[0])[:, None]
    with np.errstate(invalid="ignore"):
        means = {
            "mean_ce": weights * sums["value"] / n_right,
            "mean_magnitude": np.abs(weights) * sums["size"] / n_right,
            "top_frequency": sums["top"] / n_all,
            "activation_frequency": sums["active"] / n_all,
        }
    return {name: values.astype(np.float32) for name, values in means.items()}


def ablation(ce: ClassificationEmbeddings, labels: Index, chosen: Index) -> Array:
    """Recall of each class before and after one feature of its own is held at its mean.

    Parameters
    ----------
    ce : ClassificationEmbeddings
    labels : ndarray of shape (N,)
        Index of the true class.
    chosen : ndarray of shape (C,)
        A feature for each class; -1 for none.

    Returns
    -------
    ndarray of shape (C, 2)
        NaN for a class without instances; after as before where no feature is chosen. The feature
        takes its mean over all N instances, in the sums of all classes.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[4.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]])
    >>> ablation(ce, np.array([0, 1]), np.array([0, 1]))
    array([[1., 0.],
           [1., 1.]])
    """
    n_classes = len(ce.classes)
    mean = sum((ce.features[rows].sum(axis=0) for rows in ce.blocks()), np.zeros(ce.n_features))
    mean = mean / ce.n_instances
    kept = np.zeros(ce.n_instances, dtype=bool)

    def measure(rows: Index) -> None:
        features, column = ce.features[rows], chosen[labels[rows]]
        logits = features @ ce.weights.T + ce.bias
        change = mean[column] - features[np.arange(len(rows)), column]
        logits += np.where(column >= 0, change, 0.0)[:, None] * ce.weights[:, column].T
        kept[rows] = _decide(logits) == labels[rows]

    _on_every_core(measure, ce.blocks())
    n = np.bincount(labels, minlength=n_classes)
    counts = [np.bincount(labels[right], minlength=n_classes) for right in (ce.predictions == labels, kept)]
    with np.errstate(invalid="ignore"):
        return np.stack(counts, axis=1) / n[:, None]


def permuted_null(
    ce: ClassificationEmbeddings, labels: Index, *, max_instances: int = 2000, random_state: int = 0
) -> dict[str, Array]:
    """Measure instances under the same model with each class's weights dealt to the features at random.

    Parameters
    ----------
    ce, labels
        As for `per_feature`.
    max_instances : int, default=2000
        At most about so many are measured, drawn evenly from the classes.
    random_state : int, default=0

    Returns
    -------
    dict of ndarray of shape (n,)
        ``required``, ``top_share`` and ``participation_ratio`` towards what that model predicts.
    """
    rows = np.arange(ce.n_instances)
    if len(rows) > max_instances:
        of_class = max(1, max_instances // len(np.unique(labels)))
        rows = sample_per_class(labels, of_class, random_state=random_state)
        if len(rows) > max_instances:  # more classes than that
            drawn = np.random.default_rng(random_state).choice(rows, max_instances, replace=False)
            rows = np.sort(drawn)
    null = permuted_weights(ce.take(rows), random_state=random_state)
    shares = concentration(null)
    return {
        "required": per_instance(null)["required"].astype(float),
        "top_share": shares.top_share,
        "participation_ratio": shares.participation_ratio,
    }


def _indicator(labels: Index, n_classes: int, chosen: NDArray[np.bool_] | None = None) -> csr_matrix:
    """Sums rows by class when it multiplies them: (C, n), 1 where a chosen row is of the class."""
    ones = np.ones(len(labels)) if chosen is None else chosen.astype(float)
    return csr_matrix((ones, (labels, np.arange(len(labels)))), shape=(n_classes, len(labels)))


def _margins(logits: Array, labels: Index) -> Array:
    if logits.shape[1] == 1:  # the other class has the negative of the one sum
        return 2 * np.abs(logits[:, 0])
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    logits[np.arange(len(labels)), labels] = -np.inf
    return own - logits.max(axis=1)


def _decide(logits: Array) -> Index:
    return (logits[:, 0] > 0).astype(np.intp) if logits.shape[1] == 1 else logits.argmax(axis=1)


def _on_every_core(work: Callable[[Index], None], blocks: Iterator[Index]) -> None:
    """Run blocks in threads: NumPy lets go of the interpreter in what takes long."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with threadpool_limits(1), ThreadPoolExecutor(cores) as pool:
        for done in [pool.submit(work, rows) for rows in blocks]:
            done.result()
