"""Truncated sums: does a prediction survive when only the k first CEs of a ranking are kept?

Pure functions of arrays, on one block of n instances at a time; nothing larger than (n, d + 1) is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics.rules import Ranking, Stability, Sufficiency

__all__ = ["Ranked", "arrange", "first_or_stable", "kept_by_k", "rank_ces"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranked:
    """CEs in the order in which they are kept.

    Attributes
    ----------
    values : ndarray of shape (n, d)
        The CEs, in order.
    order : ndarray of shape (n, d) or (d,), or None
        Their features, a row each or one order for all; not needed where a single sum decides.
    """

    values: Array
    order: Index | None = None


def rank_ces(ces: Array, *, with_order: bool) -> dict[Ranking, Ranked]:
    """Rank the CEs of each row (n, d), largest first, in both ways.

    Equal contributions keep the order of the features; of two equal magnitudes the one that speaks
    for the class comes first.

    Examples
    --------
    >>> ranked = rank_ces(np.array([[1.0, -3.0, 2.0]]), with_order=True)
    >>> ranked["signed"].values, ranked["magnitude"].order
    (array([[ 2.,  1., -3.]]), array([[1, 2, 0]]))
    """
    order = np.argsort(-ces, axis=1, kind="stable") if with_order else None
    signed = -np.sort(-ces, axis=1) if order is None else np.take_along_axis(ces, order, axis=1)
    # by magnitude, the signed order is two sorted runs, which a stable sort merges in linear time
    merged = np.argsort(-np.abs(signed), axis=1, kind="stable")
    by_magnitude = Ranked(
        np.take_along_axis(signed, merged, axis=1),
        None if order is None else np.take_along_axis(order, merged, axis=1),
    )
    return {"signed": Ranked(signed, order), "magnitude": by_magnitude}


def kept_by_k(
    ce: ClassificationEmbeddings, features: Array, labels: Index, ranked: Ranked, biases: Sequence[Array]
) -> list[dict[Sufficiency, Flags]]:
    """Whether the k first CEs alone give the prediction `labels`, for every k from 0 to d.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        The model, for its weights.
    features : ndarray of shape (n, d)
        Features of the rows, in their own order.
    labels : ndarray of shape (n,)
        Index of the class that the full sums predict.
    ranked : Ranked
        CEs towards `labels` in the order in which they are kept.
    biases : sequence of ndarray of shape (C,) or (1,)
        Biases to answer for, all from the same running sums.

    Returns
    -------
    list of dict of ndarray of shape (n, d + 1)
        A dict by sufficiency for each bias. A tie with another class gives no prediction; with all
        d features kept the prediction is the model's own, so column d is True.
    """
    own_sums = running_sum(ranked.values)
    if ce.single_sum:
        sign = np.where(labels == 1, 1.0, -1.0)[:, None]
        return [{"shared": _with_full_set(own_sums > -sign * bias)} for bias in biases]
    assert ranked.order is not None
    return [
        {"shared": shared, "target": target}
        for shared, target in zip(
            _kept_shared(ce.weights, features, labels, ranked.order, biases),
            _kept_target(own_sums, features @ ce.weights.T, labels, biases),
            strict=True,
        )
    ]


def _kept_shared(
    weights: Array, features: Array, labels: Index, order: Index, biases: Sequence[Array]
) -> list[Flags]:
    own, features = arrange(weights[labels], order), arrange(features, order)
    kept = [np.ones((features.shape[0], features.shape[1] + 1), dtype=bool) for _ in biases]
    for rival, rival_weights in enumerate(weights):
        lead = running_sum((own - rival_weights[order]) * features)
        is_rival = (labels == rival)[:, None]
        for flags, bias in zip(kept, biases, strict=True):
            flags &= (lead > (bias[rival] - bias[labels])[:, None]) | is_rival
    return [_with_full_set(flags) for flags in kept]


def _kept_target(own_sums: Array, sums: Array, labels: Index, biases: Sequence[Array]) -> Iterator[Flags]:
    for bias in biases:
        rivals = sums + bias
        rivals[np.arange(len(labels)), labels] = -np.inf
        yield _with_full_set(own_sums > (rivals.max(axis=1) - bias[labels])[:, None])


def arrange(values: Array, order: Index) -> Array:
    """Columns of values (n, d) in an order a row each (n, d), or in one order for all (d,)."""
    return values[:, order] if order.ndim == 1 else np.take_along_axis(values, order, axis=1)


def running_sum(ces: Array) -> Array:
    """Sum of the first k columns, k = 0 ... d: (n, d + 1)."""
    sums = np.zeros((ces.shape[0], ces.shape[1] + 1))
    np.cumsum(ces, axis=1, out=sums[:, 1:])
    return sums


def _with_full_set(kept: Flags) -> Flags:
    kept[:, -1] = True
    return kept


def first_or_stable(kept: Flags, stability: Stability) -> Index:
    """Smallest k that keeps the prediction (n,), or the smallest from which it is always kept.

    Examples
    --------
    >>> kept = np.array([[False, True, False, True, True]])
    >>> first_or_stable(kept, "first"), first_or_stable(kept, "stable")
    (array([1]), array([3]))
    """
    if stability == "first":
        return kept.argmax(axis=-1)
    trailing_lost = ~kept[..., ::-1]
    never_lost = ~trailing_lost.any(axis=-1)
    return np.where(never_lost, 0, kept.shape[-1] - trailing_lost.argmax(axis=-1))
