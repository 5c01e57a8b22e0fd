"""Every feature in every class in one pass, and what a class loses without one. Pure functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from cemag.embeddings import ClassificationEmbeddings, Margins
from cemag.metrics.concentration import n_top
from cemag.metrics.instances import on_every_core, rows_of

__all__ = ["most_common", "per_feature", "still_correct"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]


def most_common(values: ArrayLike) -> Array:
    """Most common value of each column (d,), at which a feature of a standardised table is inactive.

    Examples
    --------
    >>> most_common([[0.5, -1.0], [0.5, -1.0], [2.0, 3.0]])
    array([ 0.5, -1. ])
    """
    found = []
    for column in np.asarray(values, dtype=float).T:
        distinct, counts = np.unique(column, return_counts=True)
        found.append(distinct[counts.argmax()])
    return np.array(found)


def per_feature(
    ce: ClassificationEmbeddings,
    labels: Index,
    margins: Margins | None = None,
    *,
    baseline: ArrayLike = 0.0,
    tolerance: float = 0.0,
) -> dict[str, NDArray[np.float32]]:
    """Measure each feature in each class.

    Parameters
    ----------
    ce : ClassificationEmbeddings
    labels : ndarray of shape (N,)
        Index of the true class.
    margins : Margins, optional
        ``ce.margins()``, to measure margin CEs in place of the paper's: those towards the predicted
        class, so that only correctly predicted instances count.
    baseline, tolerance
        When a feature is active, as in `cemag.metrics.frequency`.

    Returns
    -------
    dict of ndarray of shape (C, d), float32
        ``mean_ce`` and ``mean_magnitude`` over the class's correctly predicted instances;
        ``top_frequency`` and ``activation_frequency`` over all of its instances, as in
        `cemag.metrics.frequency`. NaN for a class with no such instance.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 0.0], [2.0, 1.0]], [[1.0, -1.0], [0.0, 0.0]])
    >>> per_feature(ce, np.array([0, 0]))["mean_ce"][0].tolist()
    [1.5, -0.5]
    """
    n_classes, d = shape = len(ce.classes), ce.n_features
    baseline = np.broadcast_to(np.asarray(baseline, dtype=float), (d,))
    signed = np.vstack([-ce.weights, ce.weights]) if ce.single_sum else ce.weights
    right = ce.predictions == labels
    counted = np.ones(len(labels), dtype=bool) if margins is None else right  # whose top 10 % are looked at
    sums = {name: np.zeros(shape) for name in ("value", "size", "top", "active")}
    for rows in (ce if margins is None else margins).compact_blocks():
        if margins is None:
            features, columns = rows_of(ce, rows)
            own = signed[labels[rows]] if columns is None else signed[labels[rows][:, None], columns]
            ces = own * features
        else:
            block, columns = margins.compact(rows)
            features, ces = block.ce.features[:], block.of_prediction(slice(None))
        at = slice(None) if columns is None else columns
        kept, judged = (_by_class(labels[rows], n_classes, chosen[rows]) for chosen in (right, counted))
        sums["value"][:, at] += kept @ ces
        sizes = np.abs(ces, out=ces)
        sums["size"][:, at] += kept @ sizes
        cut = _edge(sizes, n_top(d))
        sums["top"][:, at] += judged @ ((sizes >= cut) & (sizes > 0)).astype(float)
        active = np.abs(features - baseline[at]) > tolerance
        sums["active"][:, at] += _by_class(labels[rows], n_classes) @ active.astype(float)
    n_all, n_right, n_judged = (
        np.bincount(labels[chosen], minlength=n_classes)[:, None] for chosen in (slice(None), right, counted)
    )
    with np.errstate(invalid="ignore"):
        means = {
            "mean_ce": sums["value"] / n_right,
            "mean_magnitude": sums["size"] / n_right,
            "top_frequency": sums["top"] / n_judged,
            "activation_frequency": sums["active"] / n_all,
        }
    return {name: values.astype(np.float32) for name, values in means.items()}


def _edge(sizes: Array, k: int) -> Array:
    """The k-th largest size of each row (n, 1); 0 where there are fewer."""
    edge = sizes.shape[1] - k
    return np.partition(sizes, edge, axis=1)[:, edge, None] if edge >= 0 else np.zeros((len(sizes), 1))


def _by_class(labels: Index, n_classes: int, chosen: NDArray[np.bool_] | None = None) -> csr_matrix:
    """Sums rows by class when it multiplies them: (C, n), 1 where a chosen row is of the class."""
    ones = np.ones(len(labels)) if chosen is None else chosen.astype(float)
    return csr_matrix((ones, (labels, np.arange(len(labels)))), shape=(n_classes, len(labels)))


def still_correct(ce: ClassificationEmbeddings, labels: Index, chosen: Index) -> NDArray[np.bool_]:
    """Whether each instance is predicted correctly with one feature of its class held at its mean (N,).

    Parameters
    ----------
    ce : ClassificationEmbeddings
    labels : ndarray of shape (N,)
        Index of the true class.
    chosen : ndarray of shape (C,)
        A feature for each class; -1 for none, which leaves its instances as they are. The feature takes
        its mean over all N instances, in the sums of all classes.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[4.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]])
    >>> still_correct(ce, np.array([0, 1]), np.array([0, 1]))
    array([False,  True])
    """
    mean = ce.class_mean(np.full(ce.n_instances, ce.classes[0]))  # of all as one class: the plain mean
    kept = np.zeros(ce.n_instances, dtype=bool)

    def measure(rows: Index) -> None:
        features, columns = rows_of(ce, rows)
        column = chosen[labels[rows]]
        if columns is None:
            weights, value = ce.weights, features[np.arange(len(rows)), column]
        else:
            place = np.searchsorted(columns, column).clip(max=len(columns) - 1)
            value = np.where(columns[place] == column, features[np.arange(len(rows)), place], 0.0)
            weights = ce.weights[:, columns]
        logits = features @ weights.T + ce.bias
        logits += np.where(column >= 0, mean[column] - value, 0.0)[:, None] * ce.weights[:, column].T
        kept[rows] = (
            (logits[:, 0] > 0).astype(np.intp) if ce.single_sum else logits.argmax(axis=1)
        ) == labels[rows]

    on_every_core(measure, ce.compact_blocks())
    return kept
