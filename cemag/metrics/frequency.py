"""How frequent each feature is in a class, and how large its CEs are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.metrics.concentration import TOP_SHARE, n_top

__all__ = ["WITHIN_ONE_LENGTH", "Frequency", "frequency"]

Array = NDArray[np.float64]
WITHIN_ONE_LENGTH = float(np.exp(-1))  # an RBF kernel above this is active: closer than one length scale


@dataclass(frozen=True)
class Frequency:
    """Frequency and magnitude of every feature in every class, each an ndarray of shape (C, d).

    A class without instances has NaN throughout, a feature that is never active a NaN mean when active.

    Attributes
    ----------
    top_frequency
        Share of the class's instances in which the feature is among the top 10 % by magnitude.
        Circular against the mean magnitude: a feature that is often large has a large mean.
    activation_frequency
        Share of the class's instances in which the feature is active at all.
    mean_magnitude
        Mean ``|CE|`` towards the class over its instances.
    mean_magnitude_active
        The same over the instances in which the feature is active: not circular against
        `activation_frequency`, since how often it is active does not enter.
    """

    top_frequency: Array
    activation_frequency: Array
    mean_magnitude: Array
    mean_magnitude_active: Array


def frequency(
    ce: ClassificationEmbeddings,
    y: ArrayLike,
    *,
    baseline: ArrayLike = 0.0,
    tolerance: float = 0.0,
    share: float = TOP_SHARE,
) -> Frequency:
    """Frequency and magnitude of the CEs towards each instance's own class.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        CEs of N instances.
    y : array_like of shape (N,)
        True labels.
    baseline : float or array_like of shape (d,), default=0
        Value at which a feature is inactive: 0 for what a ReLU leaves; for a standardised table the
        value of each column's most common entry.
    tolerance : float, default=0
        A feature is active when it lies further than this from the baseline.
    share : float, default=0.1
        Share of the features that counts as the top.

    Notes
    -----
    Ties at the edge of the top 10 % all count in; features whose CE is zero never do.

    References
    ----------
    .. [1] arXiv:2407.10165, the claim that magnitude follows frequency in the training set.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 0.0], [2.0, 1.0]], [[1.0, 1.0], [1.0, -1.0]])
    >>> frequency(ce, [0, 0]).activation_frequency[0]
    array([1. , 0.5])
    """
    labels = ce.label_indices(y)
    baseline = np.broadcast_to(np.asarray(baseline, dtype=float), (ce.n_features,))
    if tolerance < 0:
        raise DataError(f"tolerance is {tolerance}: it must be at least 0")
    edge = ce.n_features - n_top(ce.n_features, share)
    shape = (len(ce.classes), ce.n_features)
    n_in_top, n_active, total, total_active = (np.zeros(shape) for _ in range(4))
    for label in range(len(ce.classes)):
        for rows in ce.blocks(np.flatnonzero(labels == label)):
            features = ce.features[rows]
            magnitudes = np.abs(ce.weigh(features, label))
            active = np.abs(features - baseline) > tolerance
            cut = np.partition(magnitudes, edge, axis=1)[:, edge, None]
            n_in_top[label] += ((magnitudes >= cut) & (magnitudes > 0)).sum(axis=0)
            n_active[label] += active.sum(axis=0)
            total[label] += magnitudes.sum(axis=0)
            total_active[label] += np.where(active, magnitudes, 0).sum(axis=0)
    n = np.bincount(labels, minlength=len(ce.classes))[:, None]
    with np.errstate(invalid="ignore"):
        return Frequency(n_in_top / n, n_active / n, total / n, total_active / n_active)
