"""CEs required, exactly, without looking at those that come after: for many classes and many features.

The definition is that of `cemag.metrics.required` under ``Rule("signed", "shared", "first", bias=True)``,
and so are the sums, to the last bit. That function looks at every k and every rival, which is N x C x d
numbers; here an instance leaves as soon as it is decided, which takes N x C x k.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics.truncation import running_sum

__all__ = ["first_sufficient"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
CHUNK_BYTES = 3 << 17  # of leads over all rivals: two such arrays stay in the second cache of a core
FIRST_CHUNK = 8  # features between two looks at which rows are decided and leave


def first_sufficient(
    ce: ClassificationEmbeddings, features: Array, labels: Index, by_feature: Array | None = None
) -> Index:
    """Smallest k whose first CEs, by contribution, give the prediction (n,); for one block of rows.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        The model.
    features : ndarray of shape (n, d)
        Rows of its features.
    labels : ndarray of shape (n,)
        What it predicts for them.
    by_feature : ndarray of shape (d, C), optional
        ``ce.weights.T`` in memory order, so that it is copied once for many blocks.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 1.0, 1.0]], [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]], bias=[0.0, 1.5])
    >>> first_sufficient(ce, ce.features[:], ce.predictions)
    array([2])
    """
    ces = ce.weigh(features, labels)
    if ce.single_sum:
        return _first_of_one_sum(ces, np.where(labels == 1, 1.0, -1.0) * ce.bias[0])
    by_feature = np.ascontiguousarray(ce.weights.T) if by_feature is None else by_feature
    n, d = features.shape
    found = np.full(n, d, dtype=np.intp)
    ahead = ce.bias[None, :] - ce.bias[labels, None]  # what a rival starts with (n, C)
    ahead[np.arange(n), labels] = -np.inf
    decided = (ahead < 0).all(axis=1)
    found[decided] = 0
    rows = np.flatnonzero(~decided)
    order = np.argsort(-ces[rows], axis=1, kind="stable")
    at_once = max(1, CHUNK_BYTES // (8 * len(ce.weights)))
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        found[part] = _first_of_many_sums(
            by_feature, features[part], labels[part], order[start : start + at_once], ahead[part]
        )
    return found


def _first_of_one_sum(ces: Array, bias: Array) -> Index:
    kept = running_sum(-np.sort(-ces, axis=1)) > -bias[:, None]
    kept[:, -1] = True
    return kept.argmax(axis=1)


def _first_of_many_sums(
    by_feature: Array, features: Array, labels: Index, order: Index, ahead: Array
) -> Index:
    """Take the features of each row in order (m, d) until it leads over all rivals; d where it never does."""
    found = np.full(features.shape[0], order.shape[1], dtype=np.intp)
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
