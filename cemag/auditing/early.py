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
CHUNK_BYTES = 1 << 21  # of leads over all rivals at a time: what stays in the cache of a core
FIRST_CHUNK = 4


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
    if len(rows) == 0:
        return found
    order = np.argsort(-ces[rows], axis=1, kind="stable")
    lead = np.zeros((len(rows), len(ce.weights)))
    start, step = 0, FIRST_CHUNK
    while len(rows) and start < d:
        stop = min(d, start + step)
        k = _advance(ce, features, labels, by_feature, rows, order[:, start:stop], lead, ahead)
        here = k >= 0
        found[rows[here]] = start + k[here] + 1
        rows, order, lead = rows[~here], order[~here], lead[~here]
        start, step = stop, 2 * step
    return found


def _first_of_one_sum(ces: Array, bias: Array) -> Index:
    kept = running_sum(-np.sort(-ces, axis=1)) > -bias[:, None]
    kept[:, -1] = True
    return kept.argmax(axis=1)


def _advance(
    ce: ClassificationEmbeddings,
    features: Array,
    labels: Index,
    by_feature: Array,
    rows: Index,
    order: Index,
    lead: Array,
    ahead: Array,
) -> Index:
    """Move the leads (m, C) over all rivals on by (m, K) features; first place that suffices, or -1."""
    found = np.full(len(rows), -1, dtype=np.intp)
    n_more, n_classes = order.shape[1], len(ce.weights)
    at_once = max(1, CHUNK_BYTES // (8 * n_more * n_classes))
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        here, chosen = rows[part], order[part]
        leads = by_feature[chosen]  # (m, K, C)
        own = leads[np.arange(len(here)), :, labels[here]]
        np.subtract(own[:, :, None], leads, out=leads)
        leads *= np.take_along_axis(features[here], chosen, axis=1)[:, :, None]
        leads[:, 0] += lead[part]
        np.cumsum(leads, axis=1, out=leads)
        lead[part] = leads[:, -1]
        enough: NDArray[np.bool_] = np.all(leads > ahead[here][:, None, :], axis=2)
        found[part] = np.where(enough.any(axis=1), enough.argmax(axis=1), -1)
    return found
