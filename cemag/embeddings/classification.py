"""ClassificationEmbeddings: the factors of every CE of a model, and the sums that it decides from."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.embeddings.features import FeatureRows, KernelFeatures, NarrowFeatures, SparseFeatures, finite
from cemag.embeddings.margins import Margins
from cemag.errors import DataError

__all__ = ["ClassificationEmbeddings"]

Array = NDArray[np.float64]
BLOCK_BYTES = 4 << 20  # a block of CEs that stays in the processor's cache
SPARSE_ABOVE = 16 << 20  # a sparse matrix that is smaller when dense is made so: that is quicker
WIDE_IN_MEMORY = 256 << 20  # float32 features below this are made float64 once; above it, block by block


@dataclass(frozen=True)
class ClassificationEmbeddings:
    r"""The classification embeddings (CEs) of N instances, held as factors.

    The CE of instance n, class c and feature j is ``weights[c, j] * features[n, j]``, and the model
    decides from ``logits[n, c] = sum_j CE + bias[c]``. The whole N x C x d array is never made: a
    block of rows of one class is, on demand.

    A binary model with a single sum (logistic regression, SVM) has one row of weights and is
    decided by the sign of that sum: positive for ``classes[1]``, otherwise ``classes[0]``. Its CEs
    towards ``classes[0]`` are the negative of those towards ``classes[1]``.

    Parameters
    ----------
    features : array_like or sparse matrix of shape (N, d), or KernelFeatures
        Feature embeddings: the input of the model's last linear step. A large float32 or float16 array,
        or a large sparse matrix, is kept as it is and made a dense float64 array a block at a time.
    weights : array_like of shape (C, d), or (1, d) for a single-sum binary model
        Weights of the last linear step.
    bias : array_like of shape (C,) or (1,), optional
        Zero when not given.
    classes : array_like of shape (C,), optional
        Labels in the order of the rows of `weights`; 0, 1, ... when not given.

    Attributes
    ----------
    predictions : ndarray of shape (N,)
        Index into `classes` of the class that the model predicts.

    Raises
    ------
    DataError
        If shapes do not fit together, or a value is NaN or infinite.

    References
    ----------
    .. [1] D. A. Dablain and N. V. Chawla, "The Hidden Influence of Latent Feature Magnitude When
       Learning with Imbalanced Data", arXiv:2407.10165, 2024.

    Examples
    --------
    >>> ce = ClassificationEmbeddings([[2.0, 1.0]], [[1.0, 0.0], [0.5, 3.0]], bias=[0.0, -1.0])
    >>> ce.logits()
    array([[2., 3.]])
    >>> ce.of_class(slice(0, 1), 1)
    array([[1., 3.]])
    """

    features: FeatureRows
    weights: Array
    bias: Array = None  # type: ignore[assignment]  # filled in __post_init__
    classes: NDArray[Any] = None  # type: ignore[assignment]
    predictions: NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        features = _rows_of(self.features)
        weights = finite("weights", self.weights, 2)
        if features.shape[1] != weights.shape[1]:
            raise DataError(
                f"features has shape {features.shape} and weights {weights.shape}: "
                "the number of columns must be the same"
            )
        if weights.shape[1] == 0:
            raise DataError(f"weights has shape {weights.shape}: at least one feature is needed")
        bias = np.zeros(len(weights)) if self.bias is None else finite("bias", self.bias, 1)
        if bias.shape != weights.shape[:1]:
            raise DataError(f"bias has shape {bias.shape} and weights {weights.shape}: one bias per row")
        n_classes = max(2, len(weights))
        classes = np.arange(n_classes) if self.classes is None else np.asarray(self.classes)
        if classes.shape != (n_classes,):
            raise DataError(f"classes has shape {classes.shape}: ({n_classes},) is needed")
        fields = {"features": features, "weights": weights, "bias": bias, "classes": classes}
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        predictions = np.empty(self.n_instances, dtype=np.intp)
        for rows in self.compact_blocks():  # never all logits: with many classes they outgrow the features
            predictions[rows] = decide(self._logits_of(rows))
        object.__setattr__(self, "predictions", predictions)

    # ------------------------------------------------------------------ shape

    @property
    def n_instances(self) -> int:
        """N."""
        return self.features.shape[0]

    @property
    def n_features(self) -> int:
        """Number d of features, which is the number of CEs per class."""
        return self.features.shape[1]

    @property
    def single_sum(self) -> bool:
        """Whether the model is binary and decides by the sign of one sum."""
        return len(self.weights) == 1

    # ------------------------------------------------------------------ values

    def blocks(self, rows: NDArray[np.intp] | None = None) -> Iterator[NDArray[np.intp]]:
        """Split rows (all, when not given) into runs whose (n, d) float64 arrays fit in the cache."""
        rows = np.arange(self.n_instances) if rows is None else rows
        step = self.rows_at_once
        return (rows[start : start + step] for start in range(0, len(rows), step))

    def compact_blocks(
        self, rows: NDArray[np.intp] | None = None, also: ArrayLike = ()
    ) -> Iterator[NDArray[np.intp]]:
        """Split rows as `blocks` does, sparse ones into runs that are that small in what `compact` keeps."""
        rows = np.arange(self.n_instances) if rows is None else rows
        if isinstance(self.features, SparseFeatures):
            return self.features.runs(rows, BLOCK_BYTES // 8, np.size(also))
        return self.blocks(rows)

    def compact(
        self, rows: NDArray[np.intp], also: ArrayLike = ()
    ) -> tuple[ClassificationEmbeddings, NDArray[np.intp]]:
        """Return some rows in the columns where any of them is active, dense; and those columns.

        A CE of a feature that is zero is zero, so that what is left out changes no sum. It counts: among
        the d CEs of an instance are ``d - len(columns)`` zeros more than the block shows.

        Parameters
        ----------
        rows : integer array
            The instances.
        also : array_like of int
            Columns to keep beside the active ones, in order.

        Returns
        -------
        block : ClassificationEmbeddings
            The rows' predictions are those of the whole model.
        columns : ndarray of shape (m,)
            Of the features, in order; all of them where features are not sparse.

        Examples
        --------
        >>> from scipy.sparse import csr_array
        >>> features = SparseFeatures(csr_array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]))
        >>> block, columns = ClassificationEmbeddings(features, [[1.0, 2.0, 3.0]]).compact(np.array([0]))
        >>> block.features, block.weights, columns
        (array([[2.]]), array([[2.]]), array([1]))
        """
        if isinstance(self.features, SparseFeatures):
            columns = np.union1d(self.features.active(rows), np.asarray(also, dtype=np.intp))
            features, weights = self.features.dense(rows, columns), self.weights[:, columns]
        else:
            columns, weights = np.arange(self.n_features), self.weights
            features = self.features[rows]
        block = copy(self)  # what is checked already is not checked again
        fields = {"features": features, "weights": weights, "predictions": self.predictions[rows]}
        for name, value in fields.items():
            object.__setattr__(block, name, value)
        return block, columns

    @property
    def rows_at_once(self) -> int:
        """How many dense rows make a block that stays in the processor's cache."""
        return max(1, BLOCK_BYTES // (8 * self.n_features))

    def logits(self) -> Array:
        """Sum of the CEs plus bias: (N, C), or (N, 1) for a single-sum binary model."""
        out = np.empty((self.n_instances, len(self.weights)))
        for rows in self.compact_blocks():
            out[rows] = self._logits_of(rows)
        return out

    def _logits_of(self, rows: NDArray[np.intp]) -> Array:
        if isinstance(self.features, SparseFeatures):
            return self.features.values[rows] @ self.weights.T + self.bias
        return self.features[rows] @ self.weights.T + self.bias

    def of_class(self, rows: slice | NDArray[np.intp], labels: int | NDArray[np.intp]) -> Array:
        """CEs of some rows towards a class each: (n, d).

        Parameters
        ----------
        rows : slice or integer array
            The instances.
        labels : int or ndarray of shape (n,)
            Index into `classes`, one for all rows or one a row.
        """
        return self.weigh(self.features[rows], labels)

    def weigh(self, features: Array, labels: int | NDArray[np.intp]) -> Array:
        """CEs towards a class each of rows of features already in hand: (n, d)."""
        if self.single_sum:
            return np.where(np.asarray(labels) == 1, 1.0, -1.0)[..., None] * (self.weights[0] * features)
        return self.weights[labels] * features

    def of_prediction(self, rows: slice | NDArray[np.intp]) -> Array:
        """CEs of some rows towards the class that the model predicts for each: (n, d)."""
        return self.of_class(rows, self.predictions[rows])

    def margins(self, centre: ArrayLike | None = None, y: ArrayLike | None = None) -> Margins:
        """Margin CEs: the lead of the predicted class over the runner-up, feature by feature.

        Unlike CEs they do not change when one vector is added to every class's weights, nor when the
        origin of the features moves; they are the linear Shapley values of the margin.

        Parameters
        ----------
        centre : array_like of shape (d,), optional
            The point that features are measured from, best `class_mean` of the training rows. When not
            given, `class_mean` of these instances.
        y : array_like of shape (N,), optional
            True labels of these instances, for that mean; the predictions stand in when not given.

        References
        ----------
        .. [1] S. M. Lundberg and S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
           NeurIPS 2017, for linear Shapley values.

        Examples
        --------
        >>> ce = ClassificationEmbeddings([[2.0, 1.0]], [[1.0, 0.0], [0.5, 3.0]], bias=[0.0, -1.0])
        >>> margins = ce.margins(centre=[1.0, 1.0])
        >>> margins.of_prediction(slice(None)), margins.bias, margins.rivals
        (array([[-0.5,  0. ]]), array([1.5]), array([0]))
        """
        point = self.class_mean(y) if centre is None else finite("centre", centre, 1)
        if point.shape != (self.n_features,):
            raise DataError(f"centre has shape {point.shape}: ({self.n_features},) is needed")
        at_centre = self.weights @ point + self.bias
        if self.single_sum:
            rivals = 1 - self.predictions
            bias = np.where(self.predictions == 1, 1.0, -1.0) * at_centre
        else:
            rivals = np.empty(self.n_instances, dtype=np.intp)
            for rows in self.compact_blocks():
                logits = self._logits_of(rows)
                logits[np.arange(len(rows)), self.predictions[rows]] = -np.inf
                rivals[rows] = logits.argmax(axis=1)
            bias = at_centre[self.predictions] - at_centre[rivals]
        return Margins(self, point, rivals, bias)

    def class_mean(self, y: ArrayLike | None = None) -> Array:
        """Mean of the classes' mean features, each class counting alike: (d,).

        Parameters
        ----------
        y : array_like of shape (N,), optional
            Labels; the predictions stand in when not given. A class without an instance is left out.

        Examples
        --------
        >>> ClassificationEmbeddings([[0.0], [2.0], [7.0]], [[1.0]]).class_mean([0, 0, 1])
        array([4.])
        """
        labels = self.predictions if y is None else self.label_indices(y)
        sizes = np.bincount(labels, minlength=len(self.classes))
        share = 1 / (sizes[labels] * np.count_nonzero(sizes))
        mean = np.zeros(self.n_features)
        for rows in self.compact_blocks():
            block, columns = self.compact(rows)
            mean[columns] += share[rows] @ block.features[:]
        return mean

    def take(self, indices: NDArray[np.intp]) -> ClassificationEmbeddings:
        """Return the same model's CEs of some of the instances."""
        if isinstance(self.features, KernelFeatures | NarrowFeatures | SparseFeatures):
            return replace(self, features=self.features.take(indices))
        return replace(self, features=self.features[indices])

    def merged(self) -> ClassificationEmbeddings:
        """Join the CEs of equal support vectors into one each, as over-sampling repeats a point.

        Kernel columns of one and the same point are equal, so that their weights add up; sums stay as
        they are up to rounding. CEs of other models, and of support vectors that all differ, are
        returned as they are.

        Examples
        --------
        >>> kernel = KernelFeatures([[0.0]], [[1.0], [2.0], [1.0]], gamma=1.0)
        >>> ClassificationEmbeddings(kernel, [[1.0, 5.0, 2.0]]).merged().weights
        array([[3., 5.]])
        """
        if not isinstance(self.features, KernelFeatures):
            return self
        vectors = self.features.support_vectors
        _, first, group = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
        if len(first) == len(vectors):
            return self
        place = np.argsort(np.argsort(first))[group.ravel()]  # in the order of their first occurrence
        weights = np.zeros((len(self.weights), len(first)))
        np.add.at(weights.T, place, self.weights.T)
        order, kept = np.sort(first), self.features.kept
        features = replace(
            self.features,
            support_vectors=vectors[order],
            kept=None if kept is None else kept[:, order],
        )
        return replace(self, features=features, weights=weights)

    def without_bias(self) -> ClassificationEmbeddings:
        """Return the same CEs without the bias: a model that decides from the sum of the CEs alone."""
        return replace(self, bias=np.zeros_like(self.bias))

    def label_indices(self, y: ArrayLike) -> NDArray[np.intp]:
        """Map labels (N,) to indices into `classes`.

        Raises
        ------
        DataError
            If the number of labels is not N, or a label is not among `classes`.
        """
        y = np.asarray(y)
        if y.shape != (self.n_instances,):
            raise DataError(f"y has shape {y.shape}: ({self.n_instances},) is needed, one label an instance")
        order = np.argsort(self.classes)
        found = order[np.searchsorted(self.classes, y, sorter=order).clip(max=len(self.classes) - 1)]
        if (wrong := self.classes[found] != y).any():
            raise DataError(
                f"y holds {y[wrong][0].item()!r}, which is not one of the classes {self.classes.tolist()}"
            )
        return found


def _rows_of(features: FeatureRows | ArrayLike) -> FeatureRows:
    if isinstance(features, KernelFeatures | NarrowFeatures | SparseFeatures):
        return features
    if callable(getattr(features, "tocsr", None)):
        sparse = SparseFeatures(features)
        return sparse if 8 * sparse.shape[0] * sparse.shape[1] > SPARSE_ABOVE else sparse[:]
    if NarrowFeatures.fits(features) and 8 * np.size(features) > WIDE_IN_MEMORY:  # type: ignore[arg-type]
        return NarrowFeatures(features)  # type: ignore[arg-type]
    return finite("features", features, 2)  # type: ignore[arg-type]


def decide(logits: Array) -> NDArray[np.intp]:
    """Index of the predicted class per row of logits (N, C) or (N, 1), as scikit-learn and argmax do."""
    if logits.shape[1] == 1:
        return (logits[:, 0] > 0).astype(np.intp)
    return logits.argmax(axis=1)
