"""Rebalanced Mixup of Chou et al., also called Remix: mixup whose label favours the rarer class."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from cemag.samplers.mixing import rebalanced_label_factor
from cemag.samplers.sampler import MixingSampler

__all__ = ["RebalancedMixup"]


class RebalancedMixup(MixingSampler):
    """Mix each row with another one, and give the rarer class more of the label than of the features.

    The method of [1]_: ``lam * x_i + (1 - lam) * x_j`` with lam ~ Beta(alpha, alpha); the label's
    factor is `lam` too, unless one class is at least `kappa` times as frequent as the other and has
    less than `tau` of the features: then the rarer class takes the whole label.

    Parameters
    ----------
    alpha : float, default=1.0
        Parameter of the symmetric Beta distribution.
    kappa : float, default=3.0
        How many times more frequent a class must be before it yields its label; at least 1.
    tau : float, default=0.5
        Below which share of the features it does.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Attributes
    ----------
    sampling_strategy_ : str
        Part of imbalanced-learn's interface, without a meaning here: rows are mixed, not re-sampled.
    classes_ : ndarray of shape (C,)
        Class labels, sorted.
    soft_labels_ : ndarray of shape (N, C)
        Label of each mixture; rows sum to 1.
    pairs_ : ndarray of shape (N, 2)
        Numbers of the two rows that were mixed.
    mixing_factors_ : ndarray of shape (N,)
        Weight of the first of them among the features.

    See Also
    --------
    Remix : The other method called REMIX, and this package's default.

    Notes
    -----
    [1]_ mixes batches of a network in training, anew in each epoch. For one fixed training set is
    chosen here: the batch is the whole set, each row is mixed once, with a factor of its own (common
    implementations draw one a batch), and partners are a permutation of the rows. So as many rows
    come out as go in, and the majority still dominates; only labels are shifted. The sampler is
    therefore of imbalanced-learn's type ``"bypass"``, which has no `sampling_strategy`.

    On hard labels and on integers in a data frame see `Remix`: the same holds.

    References
    ----------
    .. [1] H.-P. Chou, S.-C. Chang, J.-Y. Pan, W. Wei, D.-C. Juan, "Remix: Rebalanced Mixup",
       arXiv:2007.03943, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from cemag.samplers import RebalancedMixup
    >>> X, y = np.arange(16.0).reshape(8, 2), np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> X_mixed, soft = RebalancedMixup(random_state=0).fit_resample_soft(X, y)
    >>> X_mixed.shape, soft.shape, float(soft.sum())
    ((8, 2), (8, 2), 8.0)
    """

    _sampling_type = "bypass"
    _parameter_constraints: dict = {  # noqa: RUF012
        "alpha": [Interval(numbers.Real, 0, None, closed="left")],
        "kappa": [Interval(numbers.Real, 1, None, closed="left")],
        "tau": [Interval(numbers.Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
    }

    def __init__(
        self, *, alpha: float = 1.0, kappa: float = 3.0, tau: float = 0.5, random_state: Any = None
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.kappa = kappa
        self.tau = tau
        self.random_state = random_state

    def _pool(self, y: NDArray[Any], rng: np.random.Generator) -> NDArray[np.intp]:
        return np.arange(len(y))

    def _label_factor(
        self, lam: NDArray[np.float64], n_own: NDArray[np.intp], n_partner: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        return rebalanced_label_factor(lam, n_own, n_partner, self.kappa, self.tau)
