"""The promise of every way from a model to its CEs: their sums are the model's own output.

Agreement of predictions is not enough: a wrong bias may change no prediction and every count. Pure arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.errors import CemagError

__all__ = ["relative_tolerance", "settle"]

Array = NDArray[np.float64]
FEWEST_ROWS = 3  # a constant or a factor found in fewer different rows would be checked by nothing


def relative_tolerance(values: NDArray[Any]) -> float:
    """How far rounding may move values, as a share of their size: 1e-6, in float32 1e-4, in float16 1e-2."""
    return {2: 1e-2, 4: 1e-4}.get(values.dtype.itemsize, 1e-6) if values.dtype.kind == "f" else 1e-6


def settle(
    name: str, own: NDArray[Any], sums: Array, doubt: Array | float = 0.0, tolerance: float | None = None
) -> tuple[float, Array]:
    """Hold sums against a model's own output; return the factor and the constants that the sums lack.

    With two or more columns one number per row is free, as a softmax does not see it, and so is one
    factor common to all, as a temperature is; a constant per column is the bias's. A single column must
    be the output itself, up to one constant.

    Parameters
    ----------
    name : str
        Of the model, for the message.
    own : ndarray of shape (N, C)
        The model's output; not finite where it is not known.
    sums : ndarray of shape (N, C)
        Sums of the CEs and bias.
    doubt : ndarray of shape (N, C), default=0
        How far `own` may be off by the way that it was obtained.
    tolerance : float, optional
        As a share of the values' size; `relative_tolerance` of `own` when not given.

    Returns
    -------
    factor : float
        1 where the sums need none.
    shift : ndarray of shape (C,)
        To be added after it; all 0 where the bias is right already.

    Raises
    ------
    CemagError
        If the sums are not the model's, or nothing is known to hold them against.

    Examples
    --------
    >>> sums = np.array([[1.0], [2.0], [4.0]])
    >>> settle("a model", sums + 0.5, sums)
    (1.0, array([0.5]))
    >>> settle("a model", np.sqrt(sums), sums)
    Traceback (most recent call last):
    ...
    cemag.errors.CemagError: a model does not decide by its CEs: its output is off their sums by up to 1.41
    """
    if own.shape != sums.shape:
        raise CemagError(f"{name} has output of shape {own.shape}, its CEs have sums of shape {sums.shape}")
    known = np.isfinite(own)
    if sums.shape[1] > 1:
        known &= known.sum(axis=1, keepdims=True) > 1  # one number of a row says nothing
    if not known.any():
        raise CemagError(
            f"{name} gives probabilities of 0 and 1 alone: its sums cannot be held against its CEs; "
            "give instances of which it is less sure"
        )
    own = np.where(known, own, 0.0)
    share = relative_tolerance(own) if tolerance is None else tolerance
    size = np.abs(own).max(axis=1, keepdims=True)
    spread = np.median(np.abs(own - np.median(own, axis=0)))
    allowed = share * np.maximum(size, spread) + doubt + 1e-14 * np.abs(sums).max()

    def fits(factor: float, shift: Array) -> bool:
        return bool((_leftover(own - factor * sums - shift, known) <= allowed)[known].all())

    nothing = np.zeros(sums.shape[1])
    if fits(1.0, nothing):
        return 1.0, nothing
    single = sums.shape[1] == 1
    different = len(np.unique(sums[known.any(axis=1)], axis=0)) if len(sums) < 1000 else FEWEST_ROWS
    best = _constants(own - sums, known)
    if different >= FEWEST_ROWS:
        if fits(1.0, best):
            return 1.0, best
        factor = 0.0 if single else _factor(own, sums, known)
        if factor > 0:
            shift = _constants(own - factor * sums, known)
            shift = nothing if fits(factor, nothing) else shift
            if fits(factor, shift):
                return factor, shift
    off = _leftover(own - sums - (best if different >= FEWEST_ROWS else 0), known)[known].max()
    few = f" ({different} different rows are too few to find a constant)" if different < FEWEST_ROWS else ""
    raise CemagError(
        f"{name} does not decide by its CEs: its output is off their sums by up to {off:.3g}{few}"
    )


def _leftover(difference: Array, known: NDArray[np.bool_]) -> Array:
    """Size of what is left of a difference when each row with several columns is freed of one number."""
    if difference.shape[1] == 1:
        return np.abs(difference)
    return np.abs(difference - _row_means(difference, known))


def _row_means(values: Array, known: NDArray[np.bool_]) -> Array:
    weights = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return (weights * values).sum(axis=1, keepdims=True)


def _constants(difference: Array, known: NDArray[np.bool_]) -> Array:
    """Constant of each column that fits a difference best, rows freed of one number: least squares."""
    if difference.shape[1] == 1:
        return np.array([np.median(difference[known])])
    weights = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    normal = np.diag(known.sum(axis=0).astype(float)) - weights.T @ known
    free = np.where(known, difference - _row_means(difference, known), 0.0).sum(axis=0)
    return np.linalg.pinv(normal, hermitian=True) @ free


def _factor(own: Array, sums: Array, known: NDArray[np.bool_]) -> float:
    """Factor that brings sums to the output best, both freed of rows' and columns' constants."""

    def bare(values: Array) -> Array:
        moved = values - _constants(values, known)
        return np.where(known, moved - _row_means(moved, known), 0.0)

    theirs = bare(sums)
    return float((bare(own) * theirs).sum() / max(float((theirs**2).sum()), np.finfo(float).tiny))
