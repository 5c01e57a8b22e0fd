"""Where the rows of a feature matrix come from: arrays, wide, narrow or sparse, or a kernel, on demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from cemag.errors import DataError

__all__ = ["FeatureRows", "KernelFeatures", "NarrowFeatures", "SparseFeatures", "finite"]

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

    def take(self, rows: slice | NDArray[np.intp]) -> NarrowFeatures:
        """Return some of the rows."""
        return NarrowFeatures(self.values[rows])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)


@dataclass(frozen=True)
class KernelFeatures:
    r"""Rows :math:`K(s_i, x_n) = \exp(-\gamma \lVert s_i - x_n \rVert^2)`, computed when asked for.

    Only the factors are held: ``X`` (N, p), ``support_vectors`` (m, p) and their squared norms. The
    kernel matrix (N, m) exists a block of rows at a time, unless it is held.

    Parameters
    ----------
    X : array_like of shape (N, p)
        Instances.
    support_vectors : array_like of shape (m, p)
        Support vectors.
    gamma : float
        Width of the RBF kernel, above 0.
    kept : ndarray of shape (N, m), optional
        The matrix itself, where there is room for it: see `held`.

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
    kept: Array | None = field(default=None, repr=False, compare=False)
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

    def held(self) -> KernelFeatures:
        """Return the same with the whole matrix in memory."""
        return replace(self, kept=self[:])

    def take(self, rows: slice | NDArray[np.intp]) -> KernelFeatures:
        """Return some of the rows."""
        return replace(self, X=self.X[rows], kept=None if self.kept is None else self.kept[rows])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self[:], dtype=dtype)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        if self.kept is not None:
            return self.kept[rows]
        X = self.X[rows]
        distances = X @ self.support_vectors.T
        distances *= -2
        distances += self._squared_norms
        distances += np.einsum("ij,ij->i", X, X)[:, None]
        np.maximum(distances, 0, out=distances)
        distances *= -self.gamma
        return np.exp(distances, out=distances)


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Rows of a sparse matrix, made dense when asked for, and in their active columns alone where that does.

    Parameters
    ----------
    values : scipy sparse matrix or array of shape (N, d)
        In any format.

    Raises
    ------
    DataError
        If a value is NaN, infinite or no real number.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows = SparseFeatures(csr_array([[0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]))
    >>> rows[0:1], rows.active([0, 1])
    (array([[0., 2., 0.]]), array([1]))
    """

    values: Any

    def __post_init__(self) -> None:
        from scipy.sparse import csr_array

        if getattr(self.values, "dtype", np.dtype(object)).kind not in "fiub":
            raise DataError(f"features is sparse of dtype {self.values.dtype}: real numbers are needed")
        rows = csr_array(self.values, dtype=np.float64)
        if not rows.has_canonical_format:
            rows = rows.copy()  # the one given may share its arrays
            rows.sum_duplicates()
        if bad := len(rows.data) - np.count_nonzero(np.isfinite(rows.data)):
            raise DataError(f"features has {bad} NaN or infinite value(s): all must be finite")
        object.__setattr__(self, "values", rows)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, d)."""
        return self.values.shape

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        return self.values[rows].toarray()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.values.toarray(), dtype=dtype)

    def take(self, rows: slice | NDArray[np.intp]) -> SparseFeatures:
        """Return some of the rows, sparse."""
        return SparseFeatures(self.values[rows])

    def active(self, rows: slice | NDArray[np.intp]) -> NDArray[np.intp]:
        """Columns in which any of some rows is stored, in order."""
        stored = np.sort(self.values[rows].indices).astype(np.intp)
        return stored[np.diff(stored, prepend=-1) > 0]  # as np.unique, which hashes, and ten times as fast

    def dense(self, rows: slice | NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
        """Some rows in some columns, which must include all those in which they are active: (n, m)."""
        from scipy.sparse import csr_array

        some = self.values[rows]
        places = np.searchsorted(columns, some.indices)
        return csr_array((some.data, places, some.indptr), shape=(some.shape[0], len(columns))).toarray()

    def centred(self, point: Array) -> SparseFeatures:
        """Rows measured from a point (d,): still zero where both they and the point are."""
        from scipy.sparse import csr_array

        columns = np.union1d(self.active(slice(None)), np.flatnonzero(point))
        moved = self.dense(slice(None), columns) - point[columns]
        ends = np.arange(len(moved) + 1) * len(columns)
        return SparseFeatures(csr_array((moved.ravel(), np.tile(columns, len(moved)), ends), self.shape))

    def runs(self, rows: NDArray[np.intp], n_values: int, n_also: int = 0) -> Iterator[NDArray[np.intp]]:
        """Split rows into runs of at most about so many values, in their active and `n_also` more columns."""
        stored = np.diff(self.values.indptr)[rows]
        start, width = 0, n_also
        for place, more in enumerate(stored):
            wider = min(width + int(more), self.shape[1])
            if place > start and (place + 1 - start) * wider > n_values:
                yield rows[start:place]
                start, wider = place, min(n_also + int(more), self.shape[1])
            width = wider
        if start < len(rows):
            yield rows[start:]
