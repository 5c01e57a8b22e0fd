"""REMIX of Bellinger, Corizzo and Japkowicz: balance, mix, keep soft labels."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from cemag.errors import extra
from cemag.samplers.sampler import MixingSampler

with extra("samplers"):
    from imblearn.over_sampling.base import BaseOverSampler

__all__ = ["Remix"]


class Remix(MixingSampler):
    """Balance the classes by random over-sampling, then mix every row with another one.

    The method of [1]_: batches are re-sampled until they are balanced, each instance of a batch is
    mixed with a random partner in it, ``lam * x_i + (1 - lam) * x_j`` with lam ~ Beta(alpha, alpha),
    and the label is mixed by the same factor. Only mixtures are trained on. The details are those of
    the authors' code [2]_.

    Parameters
    ----------
    sampling_strategy : float, str, dict or callable, default="auto"
        How many rows of each class to mix, as in imbalanced-learn's over-samplers; ``"auto"`` brings
        each class to the size of the largest.
    alpha : float, default=0.2
        Parameter of the symmetric Beta distribution.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Attributes
    ----------
    sampling_strategy_ : dict
        How many rows were drawn of each class, on top of its own.
    classes_ : ndarray of shape (C,)
        Class labels, sorted.
    soft_labels_ : ndarray of shape (n, C)
        Label of each mixture; rows sum to 1, columns sum to about the same.
    pairs_ : ndarray of shape (n, 2)
        Numbers of the two rows that were mixed.
    mixing_factors_ : ndarray of shape (n,)
        Weight of the first of them.

    See Also
    --------
    RebalancedMixup : The other method called Remix.

    Notes
    -----
    [1]_ augments batches of a network in training, anew in each epoch. A classifier that is fitted
    once needs one fixed set, which the method does not define. Chosen here:

    - *The batch is the whole set.* Classes are brought to the size of the largest and no row is
      dropped; the authors' batches keep their size, but over the epochs show every row. The size is
      then that of random over-sampling and SMOTE.
    - *One factor a row.* The authors' code draws one a batch of 32 or 64. One for a whole set would
      make the outcome hang on a single draw.
    - *alpha = 0.2*, the default in the authors' code; its experiments on tabular data set 0.1.
    - *Partners are a permutation of the balanced set*, as there: half the pairs of two classes are of
      one class, and a row may meet itself.

    `fit_resample` returns the class with the larger share as a hard label (the first in `classes_`
    if equal). That throws away what the soft label says; use `fit_resample_soft`, or
    `cemag.samplers.harden`, to keep it.

    Integer features become floating-point ones, except in a data frame: there imbalanced-learn
    restores the column types, and so truncates the mixtures, as it does for SMOTE.

    References
    ----------
    .. [1] C. Bellinger, R. Corizzo, N. Japkowicz, "ReMix: Calibrated Resampling for Class Imbalance
       in Deep learning", arXiv:2012.02312, 2020.
    .. [2] https://github.com/cbellinger27/remix

    Examples
    --------
    >>> import numpy as np
    >>> from cemag.samplers import Remix
    >>> X, y = np.arange(12.0).reshape(6, 2), np.array([0, 0, 0, 0, 1, 1])
    >>> X_mixed, soft = Remix(random_state=0).fit_resample_soft(X, y)
    >>> X_mixed.shape, soft.shape, float(soft.sum())
    ((8, 2), (8, 2), 8.0)
    """

    _sampling_type = "over-sampling"
    _parameter_constraints: dict = {  # noqa: RUF012
        **BaseOverSampler._parameter_constraints,
        "alpha": [Interval(numbers.Real, 0, None, closed="left")],
    }

    def __init__(
        self, *, sampling_strategy: Any = "auto", alpha: float = 0.2, random_state: Any = None
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.alpha = alpha
        self.random_state = random_state

    def _pool(self, y: NDArray[Any], rng: np.random.Generator) -> NDArray[np.intp]:
        drawn = [rng.choice(np.flatnonzero(y == c), n) for c, n in self.sampling_strategy_.items()]
        return np.concatenate([np.arange(len(y)), *drawn])

    def _label_factor(
        self, lam: NDArray[np.float64], n_own: NDArray[np.intp], n_partner: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        return lam
