"""Every instance of a model in one pass, a block of rows at a time and a block a core; and its nulls.

Pure functions of arrays. Beyond the inputs they hold some arrays of (N,) and a few blocks: never (N, C),
never (N, d).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from cemag.embeddings import ClassificationEmbeddings, Margins
from cemag.embeddings.features import SparseFeatures
from cemag.metrics.concentration import n_top
from cemag.metrics.early import first_sufficient, stable_from
from cemag.metrics.measure import sample_per_class
from cemag.metrics.nulls import permuted_weights
from cemag.metrics.rules import Rule

__all__ = [
    "BY_CES",
    "WITH_BIAS",
    "draw_evenly",
    "on_every_core",
    "per_instance",
    "permuted_null",
    "rows_of",
]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

WITH_BIAS = Rule("signed", "shared", "first", bias=True)  # the fewest that suffice, as the model decides
BY_CES = Rule("magnitude", "shared", "stable", bias=False)  # the largest, for good, without the bias
NULL_QUANTITIES = ("required", "by_one_or_two", "top_share", "participation_ratio")


def rows_of(ce: ClassificationEmbeddings, rows: Index) -> tuple[Array, Index | None]:
    """Features of a block of rows, and which columns of the model they are: None for all of them.

    Columns that are zero throughout the block are left out where they are more than half: a CE there is
    zero for every class, and so changes no sum.
    """
    if isinstance(ce.features, SparseFeatures):  # without ever making a whole row
        columns = ce.features.active(rows)
        if 0 < 2 * len(columns) <= ce.n_features:
            return ce.features.dense(rows, columns), columns
    features = ce.features[rows]
    active = np.any(features, axis=0)
    if 2 * np.count_nonzero(active) > len(active) or not active.any():
        return features, None
    columns = np.flatnonzero(active)
    return features[:, columns], columns


def per_instance(
    ce: ClassificationEmbeddings,
    margins: Margins | None = None,
    counted: NDArray[np.bool_] | None = None,
) -> dict[str, NDArray[Any]]:
    """Measure the CEs of each instance towards the class that is predicted for it.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        N instances, d features, C classes.
    margins : Margins, optional
        ``ce.margins()``, to measure margin CEs in place of the paper's.
    counted : ndarray of shape (N,), optional
        For which instances to count the CEs that are required without the bias, which takes time as
        N C d (with one sum or `margins` as N d log d); for all when not given.

    Returns
    -------
    dict of ndarray of shape (N,)
        ``predicted``.

        ``required``: CEs that give the prediction as the model makes it, its bias included, largest
        contribution first: `WITH_BIAS`, from 0 (the bias alone gives it) to d.

        ``required_without_bias``: CEs that give it without the bias and that no later one overturns,
        largest magnitude first: `BY_CES`, from 1 to d; NaN where the CEs alone do not give it, or it
        was not counted.

        ``lost_without_bias``: whether the CEs alone do not give the prediction; ``by_bias``: whether the bias
        decides: that, or it gives the prediction with no CE at all (in a model with one sum it has only to
        be of the right sign).

        ``n_active``: CEs other than zero; ``top_share`` and ``participation_ratio`` as in
        `cemag.metrics.concentration`; ``largest_share``, of the largest single CE in the magnitude;
        ``top_feature``, with the largest contribution; ``margin``, the logit over the next one. An
        instance whose CEs are all zero has NaN for what is a share.

    Notes
    -----
    Time grows as N d for the CEs, N C d for the logits, N C k for the k that is required with the bias.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 1.0, 2.0]], [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]], [0.0, 1.5])
    >>> found = per_instance(ce)
    >>> found["required"], found["required_without_bias"], found["by_bias"], found["n_active"]
    (array([2]), array([1.]), array([False]), array([2]))
    """
    n = ce.n_instances
    found: dict[str, NDArray[Any]] = {
        "predicted": np.array(ce.predictions),
        "required": np.empty(n, dtype=np.intp),
        "required_without_bias": np.full(n, np.nan),
        "lost_without_bias": np.empty(n, dtype=bool),
        "by_bias": np.empty(n, dtype=bool),
        "n_active": np.empty(n, dtype=np.intp),
        "top_share": np.empty(n),
        "participation_ratio": np.empty(n),
        "largest_share": np.empty(n),
        "top_feature": np.empty(n, dtype=np.intp),
        "margin": np.empty(n),
    }
    by_feature = None if ce.single_sum or margins else np.ascontiguousarray(ce.weights.T)
    counted = np.ones(n, dtype=bool) if counted is None else counted

    def measure(rows: Index) -> None:
        if margins is None:
            _count(ce, rows, counted[rows], by_feature, found)
        else:
            _count_margins(margins, rows, counted[rows], found)

    on_every_core(measure, (ce if margins is None else margins).compact_blocks())
    return found


def _count(
    ce: ClassificationEmbeddings,
    rows: Index,
    counted: NDArray[np.bool_],
    by_feature: Array | None,
    found: dict[str, NDArray[Any]],
) -> None:
    features, columns = rows_of(ce, rows)
    labels = ce.predictions[rows]
    weights = ce.weights if columns is None else ce.weights[:, columns]
    sums = features @ weights.T
    sums_given: tuple[Array, Index, Array] | None = None
    if by_feature is None:  # one sum: CEs towards the other class are the negative of these
        sign = np.where(labels == 1, 1.0, -1.0)
        ces = sign[:, None] * (weights * features)
        alone = sign * sums[:, 0]
        found["margin"][rows] = 2 * (alone + sign * ce.bias[0])
        ahead = -sign[:, None] * ce.bias
    else:
        ces = weights[labels] * features
        alone, found["margin"][rows] = (_lead(sums + bias, labels) for bias in (0.0, ce.bias))
        ahead = ce.bias[None, :] - ce.bias[labels, None]
        ahead[np.arange(len(rows)), labels] = -np.inf
        sums_given = features, labels, by_feature if columns is None else by_feature[columns]
    _write(ce.n_features, rows, columns, ces, ahead, alone > 0, counted, sums_given, found)


def _count_margins(
    margins: Margins, rows: Index, counted: NDArray[np.bool_], found: dict[str, NDArray[Any]]
) -> None:
    block, columns = margins.compact(rows)
    ces = block.of_prediction(slice(None))
    alone = ces.sum(axis=1)
    found["margin"][rows] = (2 if margins.ce.single_sum else 1) * (alone + block.bias)
    some = None if len(columns) == margins.n_features else columns
    _write(margins.n_features, rows, some, ces, -block.bias[:, None], alone > 0, counted, None, found)


def _write(
    d: int,
    rows: Index,
    columns: Index | None,
    ces: Array,
    ahead: Array,
    by_ces: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    sums: tuple[Array, Index, Array] | None,
    found: dict[str, NDArray[Any]],
) -> None:
    """Fill in what a block's CEs, what each rival starts with, and what their sums are made of tell."""
    k = first_sufficient(ces, ahead, *(sums or ()))
    if columns is not None:  # the zeros that were left out come before what speaks against the prediction
        k += np.where(k > (ces >= 0).sum(axis=1), d - len(columns), 0)
    found["required"][rows] = k
    found["lost_without_bias"][rows] = ~by_ces
    found["by_bias"][rows] = (k == 0) | ~by_ces
    chosen = counted & by_ces
    if chosen.any():
        given = () if sums is None else (sums[0][chosen], sums[1][chosen], sums[2])
        found["required_without_bias"][rows[chosen]] = stable_from(ces[chosen], *given)
    top = ces.argmax(axis=1)
    if columns is None:
        found["top_feature"][rows] = top
    else:  # where no CE of the block's columns speaks for it, the first feature that is zero comes first
        zero = np.r_[np.flatnonzero(columns != np.arange(len(columns))), len(columns)][0]
        best = np.take_along_axis(ces, top[:, None], axis=1)[:, 0]
        first = np.where(best == 0, np.minimum(columns[top], zero), zero)
        found["top_feature"][rows] = np.where(best > 0, columns[top], first)
    sizes = np.abs(ces)
    found["n_active"][rows] = np.count_nonzero(sizes, axis=1)
    total, edge = sizes.sum(axis=1), sizes.shape[1] - n_top(d)
    with np.errstate(invalid="ignore", divide="ignore"):
        found["participation_ratio"][rows] = total**2 / np.einsum("ij,ij->i", sizes, sizes)
        found["largest_share"][rows] = sizes.max(axis=1) / total
        if edge > 0:
            sizes.partition(edge, axis=1)
        found["top_share"][rows] = sizes[:, max(edge, 0) :].sum(axis=1) / total


def _lead(logits: Array, labels: Index) -> Array:
    """Logit of a class over the largest other one (n,)."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    logits[np.arange(len(labels)), labels] = -np.inf
    return own - logits.max(axis=1)


def draw_evenly(labels: NDArray[Any], n: int, random_state: int = 0) -> Index:
    """At most `n` instances, as many of each class as there are; all where there are no more.

    Examples
    --------
    >>> len(draw_evenly(np.array([0] * 90 + [1] * 5), 20))
    15
    """
    if len(labels) <= n:
        return np.arange(len(labels))
    of_class = max(1, n // len(np.unique(labels)))
    rows = sample_per_class(labels, of_class, random_state=random_state)
    if len(rows) > n:  # more classes than that
        rows = np.sort(np.random.default_rng(random_state).choice(rows, n, replace=False))
    return rows


def permuted_null(
    ce: ClassificationEmbeddings,
    labels: Index,
    *,
    margins: bool = False,
    centre: ArrayLike | None = None,
    n_permutations: int = 10,
    max_instances: int = 2000,
    random_state: int = 0,
) -> dict[str, Array]:
    """Measure the same model with each class's weights dealt to the features at random, several times.

    Parameters
    ----------
    ce : ClassificationEmbeddings
    labels : ndarray of shape (N,)
        Index of the true class, from which instances are drawn evenly.
    margins, centre
        Whether to measure margin CEs, and the point that features are measured from.
    n_permutations : int, default=10
    max_instances : int, default=2000
        At most about so many instances are measured over all permutations, anew drawn for each.
    random_state : int, default=0

    Returns
    -------
    dict of ndarray of shape (n_permutations,)
        Means over the instances of each permutation: ``required`` (without the bias),
        ``by_one_or_two`` (of those), ``top_share`` and ``participation_ratio``, and ``n``, the number
        of instances; towards what the permuted model predicts. NaN where no instance has a value.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> ce = ClassificationEmbeddings(rng.random((50, 8)), rng.normal(size=(3, 8)))
    >>> sorted(permuted_null(ce, ce.predictions, n_permutations=2))
    ['by_one_or_two', 'n', 'participation_ratio', 'required', 'top_share']
    """
    each = max(1, max_instances // n_permutations)
    means: dict[str, list[float]] = {name: [] for name in (*NULL_QUANTITIES, "n")}
    for seed in range(random_state, random_state + n_permutations):
        null = permuted_weights(ce.take(draw_evenly(labels, each, seed)), random_state=seed)
        found = per_instance(null, null.margins(centre) if margins else None)
        k = found["required_without_bias"]
        values = found | {"required": k, "by_one_or_two": np.where(np.isnan(k), np.nan, k <= 2)}
        for name in NULL_QUANTITIES:
            known = values[name][np.isfinite(values[name])]
            means[name].append(float(known.mean()) if len(known) else float("nan"))
        means["n"].append(null.n_instances)
    return {name: np.array(drawn) for name, drawn in means.items()}


def on_every_core(work: Callable[[Index], None], blocks: Iterator[Index]) -> None:
    """Run blocks in threads: NumPy lets go of the interpreter in what takes long."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with threadpool_limits(1), ThreadPoolExecutor(cores) as pool:
        for done in [pool.submit(work, rows) for rows in blocks]:
            done.result()
