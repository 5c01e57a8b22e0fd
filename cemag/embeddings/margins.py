"""Margin CEs: what each feature adds to the lead of the predicted class over the runner-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cemag.embeddings.classification import ClassificationEmbeddings

__all__ = ["Margins"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Margins:
    r"""Margin CEs ``(w_p - w_r)_j (f_j - m_j)`` of N instances, held as factors; made by `margins` of CEs.

    Here p is the class that is predicted, r the runner-up of the model's full output, and m one point of
    the feature space. Adding one vector to every class's weights, or moving the origin of the features
    with the bias following, changes every CE and no prediction; it changes no margin CE. A model with a
    single sum has them already: they are its CEs towards the prediction, centred.

    Parameters
    ----------
    ce : ClassificationEmbeddings
        The model and its instances.
    centre : ndarray of shape (d,)
        The point m.
    rivals : ndarray of shape (N,)
        Index of the runner-up of each instance.
    bias : ndarray of shape (N,)
        What the margin has beside the margin CEs: the margin at the point m.
    """

    ce: ClassificationEmbeddings
    centre: Array
    rivals: NDArray[np.intp]
    bias: Array

    @property
    def predictions(self) -> NDArray[np.intp]:
        """Index of the predicted class of each instance: (N,)."""
        return self.ce.predictions

    @property
    def n_instances(self) -> int:
        """N."""
        return self.ce.n_instances

    @property
    def n_features(self) -> int:
        """Number d of margin CEs of an instance."""
        return self.ce.n_features

    def compact_blocks(self, rows: NDArray[np.intp] | None = None) -> Iterator[NDArray[np.intp]]:
        """Split rows as those of CEs are split, by the columns that `compact` keeps."""
        return self.ce.compact_blocks(rows, np.flatnonzero(self.centre))

    def compact(self, rows: NDArray[np.intp]) -> tuple[Margins, NDArray[np.intp]]:
        """Return some rows in the columns where a margin CE may be other than zero, and those columns."""
        block, columns = self.ce.compact(rows, np.flatnonzero(self.centre))
        return Margins(block, self.centre[columns], self.rivals[rows], self.bias[rows]), columns

    def of_prediction(self, rows: slice | NDArray[np.intp]) -> Array:
        """Margin CEs of some rows, towards what is predicted for each: (n, d).

        With `bias` they sum to the margin, which is above 0.
        """
        centred = self.ce.features[rows] - self.centre
        own = self.ce.weigh(centred, self.predictions[rows])
        return own if self.ce.single_sum else own - self.ce.weigh(centred, self.rivals[rows])
