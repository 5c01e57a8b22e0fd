"""How concentrated the magnitude of an instance's CEs is, and what noise of the same size would give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError

__all__ = ["Concentration", "concentration", "half_normal_null", "n_top", "permuted_weights_null"]

Array = NDArray[np.float64]
TOP_SHARE = 0.10  # the paper's "top 10 %"


@dataclass(frozen=True)
class Concentration:
    """Concentration of the CE magnitudes of N instances, each field an ndarray of shape (N,).

    An instance whose CEs are all zero has no concentration: NaN.

    Attributes
    ----------
    top_share : share of ``sum |CE|`` in the largest 10 % of the CEs (rounded up), from 0.1 to 1.
    participation_ratio : ``(sum |CE|)^2 / sum CE^2``, the effective number of CEs, from 1 to d.
    gini : Gini coefficient of the magnitudes, 0 (all equal) to 1 - 1/d (a single one).
    entropy : entropy of the magnitudes as shares, over log d: 1 (all equal) to 0 (a single one).
    """

    top_share: Array
    participation_ratio: Array
    gini: Array
    entropy: Array


CONCENTRATION_NAMES = tuple(field.name for field in fields(Concentration))


def n_top(n_features: int, share: float = TOP_SHARE) -> int:
    """Number of features in the top `share` of them, rounded up and at least 1.

    Examples
    --------
    >>> n_top(64), n_top(5)
    (7, 1)
    """
    if not 0 < share <= 1:
        raise DataError(f"share is {share}: it must be above 0 and at most 1")
    return max(1, int(np.ceil(round(share * n_features, 9))))


def concentration(ce: ClassificationEmbeddings, share: float = TOP_SHARE) -> Concentration:
    """Concentration of each instance's CEs towards its predicted class.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        CEs of N instances, d features; the bias takes no part.
    share : float, default=0.1
        Share of the features that counts as the top.

    References
    ----------
    .. [1] arXiv:2407.10165, the claim that the top 10 % of the CEs carry most of the sum.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[1.0, 1.0]], [[3.0, 1.0]])
    >>> found = concentration(ce)
    >>> found.top_share, found.participation_ratio
    (array([0.75]), array([1.6]))
    """
    return _in_blocks(ce, ce.of_prediction, share)


def _in_blocks(
    ce: ClassificationEmbeddings, ces_of: Callable[[NDArray[np.intp]], Array], share: float = TOP_SHARE
) -> Concentration:
    out = Concentration(*(np.empty(ce.n_instances) for _ in CONCENTRATION_NAMES))
    for rows in ce.blocks():
        block = of_magnitudes(np.abs(ces_of(rows)), share)
        for name in CONCENTRATION_NAMES:
            getattr(out, name)[rows] = getattr(block, name)
    return out


def of_magnitudes(magnitudes: Array, share: float = TOP_SHARE) -> Concentration:
    """Concentration of each row of magnitudes (n, d), all at least 0."""
    d = magnitudes.shape[1]
    ascending = np.sort(magnitudes, axis=1)
    total = ascending.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = ascending / total[:, None]
        rank_weights = (2 * np.arange(1, d + 1) - d - 1) / d
        return Concentration(
            top_share=shares[:, d - n_top(d, share) :].sum(axis=1),
            participation_ratio=1 / np.einsum("ij,ij->i", shares, shares),
            gini=shares @ rank_weights,
            entropy=-xlogy(shares, shares).sum(axis=1) / np.log(d) if d > 1 else total / total,
        )


def half_normal_null(n_features: int, *, n_draws: int = 1000, random_state: int = 0) -> dict[str, float]:
    """Mean concentration of `n_features` magnitudes of pure normal noise, by simulation.

    Examples
    --------
    >>> round(half_normal_null(1000)["top_share"], 2)  # exp(-z^2 / 2) at the 95 % point of the normal
    0.26
    """
    rng = np.random.default_rng(random_state)
    # for many features a few draws suffice: the spread of a draw's mean falls with their number
    n_draws = max(1, min(n_draws, 400_000 // n_features))
    found = of_magnitudes(np.abs(rng.standard_normal((n_draws, n_features))))
    return {name: float(getattr(found, name).mean()) for name in CONCENTRATION_NAMES}


def permuted_weights_null(ce: ClassificationEmbeddings, *, random_state: int = 0) -> Concentration:
    """Concentration when each class's weights are dealt to the features at random.

    The same weights and the same features, in no relation to one another; towards the class that
    the unpermuted model predicts.
    """
    permuted = np.random.default_rng(random_state).permuted(ce.weights, axis=1)
    shuffled = replace(ce, weights=permuted)
    return _in_blocks(ce, lambda rows: shuffled.of_class(rows, ce.predictions[rows]))
