"""Where the rows of a feature matrix come from: an array, a narrower array, or a kernel, on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cemag.errors import DataError

__all__ = ["FeatureRows", "KernelFeatures", "NarrowFeatures", "finite"]

Array = NDArray[np.float64]
CHECKED_AT_ONCE = 1 << 20  # values tested for NaN at a time: a large array gets no mask of its own size


class FeatureRows(Protocol):
    """Anything with the shape of a feature matrix that gives float64 rows for a slice or an index."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, d)."""

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array: ...


def finite(name: str, values: ArrayLike, ndim: int) -> Array:
    """Return `values` as a float64 array of `ndim` dimensions, refusing NaN and infinity.

    Raises
    ------
    DataError
        If the number of dimensions is another, or any value is NaN or infinite (counted).
    """
    array = np.asarray(values, dtype=np.float64)
    _refuse_unfit(name, array, ndim)
    return array


def _refuse_unfit(name: str, array: NDArray[np.floating], ndim: int) -> None:
    if array.ndim != ndim:
        raise DataError(f"{name} has shape {array.shape}: {ndim} dimension(s) are needed")
    step = max(1, CHECKED_AT_ONCE * len(array) // max(1, array.size))
    finite_values = sum(
        np.count_nonzero(np.isfinite(array[start : start + step])) for start in range(0, len(array), step)
    )
    if bad := array.size - finite_values:
        raise DataError(f"{name} has {bad} NaN or infinite value(s) out of {array.size}: all must be finite")


@dataclass(frozen=True)
class NarrowFeatures:
    """Rows of an array of float32 or float16, made float64 when asked for.

    The array is kept as it is given, in memory or mapped from a file: as float64 it would take two or
    four times the room, and every number computed from its rows is the same.

    Parameters
    ----------
    values : ndarray of shape (N, d), float32 or float16

    Raises
    ------
    DataError
        If `values` has another type or number of dimensions, or a value is NaN or infinite.

    Examples
    --------
    >>> NarrowFeatures(np.array([[0.5, 1.0]], dtype=np.float32))[0:1].dtype
    dtype('float64')
    """

    values: NDArray[np.floating]

    def __post_init__(self) -> None:
        if not self.fits(self.values):
            kind = getattr(self.values, "dtype", type(self.values).__name__)
            raise DataError(f"values is {kind}: an array of float32 or float16 is needed")
        _refuse_unfit("features", self.values, 2)

    @staticmethod
    def fits(values: object) -> bool:
        """Whether values are an array that every float64 computation can take a block at a time."""
        return isinstance(values, np.ndarray) and values.dtype in (np.float32, np.float16)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, d)."""
        return self.values.shape

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        return np.asarray(self.values[rows], dtype=np.float64)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)


@dataclass(frozen=True)
class KernelFeatures:
    r"""Rows :math:`K(s_i, x_n) = \exp(-\gamma \lVert s_i - x_n \rVert^2)`, computed when asked for.

    Only the factors are held: ``X`` (N, p), ``support_vectors`` (m, p) and their squared norms. The
    kernel matrix (N, m) exists a block of rows at a time.

    Parameters
    ----------
    X : array_like of shape (N, p)
        Instances.
    support_vectors : array_like of shape (m, p)
        Support vectors.
    gamma : float
        Width of the RBF kernel, above 0.

    Raises
    ------
    DataError
        If the shapes do not fit, `gamma` is not above 0, or a value is NaN or infinite.

    Examples
    --------
    >>> KernelFeatures([[0.0], [1.0]], [[0.0]], gamma=1.0)[0:2].round(3)
    array([[1.   ],
           [0.368]])
    """

    X: Array
    support_vectors: Array
    gamma: float
    _squared_norms: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "X", finite("X", self.X, 2))
        object.__setattr__(self, "support_vectors", finite("support_vectors", self.support_vectors, 2))
        if self.X.shape[1] != self.support_vectors.shape[1]:
            raise DataError(
                f"X has shape {self.X.shape} and support_vectors {self.support_vectors.shape}: "
                "the number of columns must be the same"
            )
        if not self.gamma > 0:
            raise DataError(f"gamma is {self.gamma}: it must be above 0")
        object.__setattr__(self, "_squared_norms", np.einsum("ij,ij->i", *[self.support_vectors] * 2))

    @property
    def shape(self) -> tuple[int, int]:
        """(N, m): instances and support vectors."""
        return self.X.shape[0], self.support_vectors.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        X = self.X[rows]
        distances = X @ self.support_vectors.T
        distances *= -2
        distances += self._squared_norms
        distances += np.einsum("ij,ij->i", X, X)[:, None]
        np.maximum(distances, 0, out=distances)
        distances *= -self.gamma
        return np.exp(distances, out=distances)
