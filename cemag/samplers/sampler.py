"""What the two methods called REMIX share: draw pairs of rows, mix them, keep the soft labels."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from cemag.errors import extra
from cemag.samplers.mixing import mix_labels, mix_rows, mixing_factors

with extra("samplers"):
    from imblearn.base import BaseSampler

__all__ = ["MixingSampler"]


class MixingSampler(BaseSampler):
    """Base of the samplers that replace a training set by mixtures of its rows.

    A subclass says which rows are mixed (`_pool`) and what the label gets (`_label_factor`). It has
    the parameters `alpha` and `random_state`.

    Derived from imbalanced-learn's ``BaseSampler`` and not from its ``BaseOverSampler``: that class
    promises that every class ends up with at least as many hard labels as the largest had, and
    that the original rows are kept. Mixing keeps neither promise.
    """

    def fit_resample_soft(self, X: Any, y: Any) -> tuple[Any, NDArray[np.float64]]:
        """Return the mixtures with their soft labels.

        Parameters
        ----------
        X : {array-like, dataframe, sparse matrix} of shape (N, d)
            Training rows.
        y : array-like of shape (N,)
            Their classes.

        Returns
        -------
        X_resampled : {array-like, dataframe, sparse matrix} of shape (n, d)
            Mixtures.
        soft : ndarray of shape (n, C)
            Their labels; columns follow `classes_`.
        """
        X_resampled, _ = self.fit_resample(X, y)
        return X_resampled, self.soft_labels_

    def _fit_resample(self, X: Any, y: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        self.classes_, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        own = self._pool(y, rng)
        partner = own[rng.permutation(len(own))]
        lam = mixing_factors(rng, len(own), self.alpha)
        label_lam = self._label_factor(lam, counts[codes[own]], counts[codes[partner]])

        self.pairs_ = np.column_stack([own, partner])
        self.mixing_factors_ = lam
        self.soft_labels_ = mix_labels(codes[own], codes[partner], label_lam, len(self.classes_))
        if not np.issubdtype(X.dtype, np.floating):
            X = X.astype(np.float64)  # a mixture of whole numbers is not a whole number
        return mix_rows(X, own, partner, lam), self.classes_[self.soft_labels_.argmax(axis=1)]

    @abstractmethod
    def _pool(self, y: NDArray[Any], rng: np.random.Generator) -> NDArray[np.intp]:
        """Row numbers (n,) that are mixed with a permutation of themselves."""

    @abstractmethod
    def _label_factor(
        self, lam: NDArray[np.float64], n_own: NDArray[np.intp], n_partner: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Weight (n,) of the first row's label, given its weight among the features."""
