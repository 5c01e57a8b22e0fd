"""CEs required, exactly, in blocks: the first that suffice without looking further, and those from which on.

The definitions are those of `cemag.metrics.required` under two rules, and so are the sums, to the last bit.
That function answers for all rules and both biases at once. Here one rule is counted: the fewest that suffice
(`signed`, `shared`, `first`), where an instance leaves as soon as it is decided, which takes N x C x k; and
the largest that no later one overturns (`magnitude`, `shared`, `stable`), which takes N x C x d.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cemag.metrics.truncation import first_or_stable, rank_ces, running_sum

__all__ = ["first_sufficient", "stable_from"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
CHUNK_BYTES = 3 << 17  # of leads over all rivals: two such arrays stay in the second cache of a core
FIRST_CHUNK = 8  # features between two looks at which rows are decided and leave
LOOK_AHEAD = 64  # most are decided by so many: only the others have all of their CEs sorted


def first_sufficient(
    ces: Array,
    ahead: Array,
    features: Array | None = None,
    labels: Index | None = None,
    by_feature: Array | None = None,
) -> Index:
    """Smallest k whose largest contributions give the prediction (n,), from 0; d where none does.

    Parameters
    ----------
    ces : ndarray of shape (n, d)
        CEs towards what is predicted.
    ahead : ndarray of shape (n, C), or (n, 1) where one sum decides
        What each rival starts with; minus infinity for the class itself.
    features, labels, by_feature : ndarray of shape (n, d), (n,) and (d, C)
        Features, index of the predicted class, and weights in memory order, columns as in `ces`. Left
        out where one sum decides.

    Examples
    --------
    >>> first_sufficient(np.array([[3.0, -4.0, 2.0]]), np.array([[4.0]]))
    array([2])
    """
    d = ces.shape[1]
    found = np.full(len(ces), d, dtype=np.intp)
    decided = (ahead < 0).all(axis=1)
    found[decided] = 0
    rows = np.flatnonzero(~decided)
    for n_first in (LOOK_AHEAD, d) if d > 2 * LOOK_AHEAD else (d,):
        if len(rows) == 0:
            break
        order, known = _largest_first(ces[rows], n_first)
        if by_feature is None:
            k = _first_of_one_sum(np.take_along_axis(ces[rows], order, axis=1), ahead[rows])
        else:
            assert features is not None
            assert labels is not None
            k = _first_of_many_sums(by_feature, features, labels, rows, order, ahead)
        settled = known & (k > 0)
        found[rows[settled]] = k[settled]
        rows = rows[~settled]
    return found


def stable_from(
    ces: Array,
    features: Array | None = None,
    labels: Index | None = None,
    by_feature: Array | None = None,
) -> Index:
    """Smallest k from which on the k largest magnitudes give the prediction without a bias (n,), from 1 to d.

    Parameters are those of `first_sufficient`.

    Examples
    --------
    >>> stable_from(np.array([[3.0, -4.0, 2.0], [5.0, 2.0, -3.0]]))
    array([3, 1])
    """
    if by_feature is None:
        kept = running_sum(rank_ces(ces, with_order=False)["magnitude"].values) > 0
        kept[:, -1] = True
        return first_or_stable(kept, "stable")
    assert features is not None
    assert labels is not None
    order = rank_ces(ces, with_order=True)["magnitude"].order
    assert order is not None
    found = np.empty(len(ces), dtype=np.intp)
    at_once = max(1, CHUNK_BYTES // (8 * by_feature.shape[1]))
    for start in range(0, len(ces), at_once):
        part = slice(start, start + at_once)
        found[part] = _last_overturned(by_feature, features[part], labels[part], order[part]) + 1
    return found


def _last_overturned(by_feature: Array, features: Array, labels: Index, order: Index) -> Index:
    """Largest k below d whose first CEs do not give the prediction (m,)."""
    m, d = order.shape
    rows = np.arange(m)
    values = np.take_along_axis(features, order, axis=1)
    own = by_feature[order, labels[:, None]]
    found = np.zeros(m, dtype=np.intp)
    lead = np.zeros((m, by_feature.shape[1]))
    spare = np.empty_like(lead)
    lead[rows, labels] = np.inf
    # from the last feature of the block that is not zero on, no lead changes
    last = int(np.flatnonzero(values.any(axis=0))[-1]) + 1 if values.any() else 0
    for place in range(last):
        np.take(by_feature, order[:, place], axis=0, out=spare, mode="clip")
        np.subtract(own[:, place, None], spare, out=spare)
        spare *= values[:, place, None]
        lead += spare
        found[lead.min(axis=1) <= 0] = place + 1
    found[found == last] = d - 1  # it is behind to the end, but for rounding
    return np.minimum(found, d - 1)


def _largest_first(ces: Array, n_first: int) -> tuple[Index, NDArray[np.bool_]]:
    """The `n_first` first features of each row in order, and whether no tie at their end leaves them open."""
    if n_first >= ces.shape[1]:
        return np.argsort(-ces, axis=1, kind="stable"), np.ones(len(ces), dtype=bool)
    chosen = np.sort(np.argpartition(-ces, n_first, axis=1)[:, :n_first], axis=1)
    values = np.take_along_axis(ces, chosen, axis=1)
    known = (ces >= values.min(axis=1)[:, None]).sum(axis=1) == n_first
    return np.take_along_axis(chosen, np.argsort(-values, axis=1, kind="stable"), axis=1), known


def _first_of_one_sum(in_order: Array, ahead: Array) -> Index:
    """First k >= 1 whose sum suffices, or -1."""
    kept = running_sum(in_order) > ahead
    kept[:, 0] = False
    return np.where(kept.any(axis=1), kept.argmax(axis=1), -1)


def _first_of_many_sums(
    by_feature: Array, features: Array, labels: Index, rows: Index, order: Index, ahead: Array
) -> Index:
    """First k >= 1 of the order of some rows that leads over all rivals, or -1; few rows at a time."""
    found = np.empty(len(rows), dtype=np.intp)
    at_once = max(1, CHUNK_BYTES // (8 * by_feature.shape[1]))
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        found[part] = _until_it_leads(
            by_feature, features[rows[part]], labels[rows[part]], order[part], ahead[rows[part]]
        )
    return found


def _until_it_leads(by_feature: Array, features: Array, labels: Index, order: Index, ahead: Array) -> Index:
    found = np.full(features.shape[0], -1, dtype=np.intp)
    rows = np.arange(len(found))
    lead, spare = np.zeros_like(ahead), np.empty_like(ahead)
    for start in range(0, order.shape[1], FIRST_CHUNK):
        chosen = order[:, start : start + FIRST_CHUNK]
        own, values = by_feature[chosen, labels[rows, None]], features[rows[:, None], chosen]
        k = _advance(by_feature, chosen, own, values, lead, ahead, spare[: len(rows)])
        here = k >= 0
        found[rows[here]] = start + k[here] + 1
        if here.any():
            rows, order, lead, ahead = rows[~here], order[~here], lead[~here], ahead[~here]
        if len(rows) == 0:
            break
    return found


def _advance(
    by_feature: Array, chosen: Index, own: Array, values: Array, lead: Array, ahead: Array, spare: Array
) -> Index:
    """Move the leads (m, C) on by some features a row (m, K); first place that suffices, or -1."""
    found = np.full(len(lead), -1, dtype=np.intp)
    # a feature at a time, all rivals of all rows at once: nothing leaves the cache between the passes
    for place in range(chosen.shape[1]):
        np.take(by_feature, chosen[:, place], axis=0, out=spare, mode="clip")
        np.subtract(own[:, place, None], spare, out=spare)
        spare *= values[:, place, None]
        lead += spare
        found[(lead > ahead).all(axis=1) & (found < 0)] = place
    return found
