"""Making data imbalanced: how many points each class keeps, and which. Touches nothing."""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError, SpecError, check_known

__all__ = ["MIN_MINORITY", "PROFILES", "class_counts", "make_imbalanced"]

PROFILES = ("exp", "step")
MIN_MINORITY = 10  # five folds then train on eight, enough for the five neighbours of SMOTE

_BELOW_AN_INTEGER = 1e-9  # 357 / (357 / 212) is 211.99999999999997


def class_counts(
    n_max: int, n_classes: int, imbalance_ratio: float, profile: Literal["exp", "step"] = "exp"
) -> tuple[int, ...]:
    """Points that each class keeps, the largest first, by the formula of LDAM-DRW.

    Counts are rounded down, as there; a value that misses an integer only by floating-point error
    counts as that integer.

    Parameters
    ----------
    n_max : int
        Points of the largest class.
    n_classes : int
        At least 2.
    imbalance_ratio : float
        Largest class over smallest, at least 1.
    profile : {"exp", "step"}
        ``"exp"`` falls geometrically from class to class; ``"step"`` keeps the first half of the classes
        whole (the larger half, if their number is odd) and thins the others to the smallest count.

    Returns
    -------
    tuple of int
        One count a class.

    Raises
    ------
    UnknownNameError
        If there is no such profile.
    SpecError
        If a number is out of its range.
    DataError
        If the smallest class would be left with no point.

    References
    ----------
    .. [1] K. Cao, C. Wei, A. Gaidon, N. Arechiga, T. Ma. Learning imbalanced datasets with
       label-distribution-aware margin loss. NeurIPS 2019.

    Examples
    --------
    >>> class_counts(5000, 10, 100)
    (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)
    """
    check_known("profile", profile, PROFILES)
    ratio = _checked_ratio(imbalance_ratio)
    if n_classes < 2:
        raise SpecError(f"n_classes is {n_classes}: it must be at least 2")
    if n_max < 1:
        raise SpecError(f"n_max is {n_max}: it must be at least 1")
    if profile == "exp":
        shares = [(1 / ratio) ** (i / (n_classes - 1)) for i in range(n_classes)]
    else:
        n_small = n_classes // 2
        shares = [1.0] * (n_classes - n_small) + [1 / ratio] * n_small
    counts = tuple(int(n_max * share + _BELOW_AN_INTEGER) for share in shares)
    if counts[-1] < 1:
        raise DataError(
            f"imbalance_ratio is {ratio:g}: it must be at most {n_max}, the size of the largest class, "
            "or the smallest class has no point"
        )
    return counts


def make_imbalanced(
    y: ArrayLike, imbalance_ratio: float, *, random_state: int, min_minority: int = MIN_MINORITY
) -> NDArray[np.intp]:
    """Choose the rows to keep so that the majority is `imbalance_ratio` times the minority.

    The majority (class 0) is kept whole; of the minority (class 1) a random subset is kept. With the
    same `random_state` a higher ratio keeps a subset of what a lower one keeps.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels 0 and 1, both present.
    imbalance_ratio : float
        Majority over minority, at least the natural ratio.
    random_state : int
        Seeds a generator of its own.
    min_minority : int, default=10
        Fewest minority points that may be left.

    Returns
    -------
    ndarray of shape (n_kept,), intp
        Row numbers, ascending.

    Raises
    ------
    SpecError
        If the ratio is not a number of at least 1.
    DataError
        If the ratio is below the natural one, or leaves too few minority points.

    Examples
    --------
    >>> kept = make_imbalanced([0] * 120 + [1] * 40, 10, random_state=0)
    >>> len(kept), int((kept >= 120).sum())
    (132, 12)
    """
    ratio = _checked_ratio(imbalance_ratio)
    labels = np.asarray(y)
    majority, minority = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    n_major, n_minor = len(majority), len(minority)
    if n_major + n_minor != labels.size or not n_major or not n_minor:
        raise DataError("labels must be 0 and 1, with both present")
    n_kept = int(n_major / ratio + _BELOW_AN_INTEGER)
    if n_kept > n_minor:
        raise DataError(
            f"imbalance_ratio is {ratio:g}: it must be at least {n_major / n_minor:.4g}, the natural ratio "
            f"({n_major} to {n_minor}), since only minority points are dropped"
        )
    if n_kept < min_minority:
        raise DataError(
            f"imbalance_ratio is {ratio:g}: it must be at most {n_major / min_minority:g}, or fewer than "
            f"{min_minority} minority points are left (of {n_minor}, against {n_major})"
        )
    order = np.random.default_rng(random_state).permutation(minority)
    return np.sort(np.concatenate([majority, order[:n_kept]]))


def _checked_ratio(ratio: float) -> float:
    if isinstance(ratio, bool) or not isinstance(ratio, Real):
        raise SpecError(f"imbalance_ratio is {ratio!r}: it must be a number of at least 1")
    if not math.isfinite(ratio) or ratio < 1:
        raise SpecError(f"imbalance_ratio is {ratio!r}: it must be a finite number of at least 1")
    return float(ratio)
