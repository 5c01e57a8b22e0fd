"""Which images of each class a run trains on: long-tailed, stepped or as nature has it. Touches nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from numbers import Integral
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.errors import DataError, SpecError, check_known
from cemag.reproduction.datasets.imbalance import class_counts

__all__ = ["IMAGE_PROFILES", "subsample_images"]

IMAGE_PROFILES = ("exp", "step", "natural")

_BELOW_AN_INTEGER = 1e-9  # as in class_counts


def subsample_images(
    y: ArrayLike,
    *,
    profile: Literal["exp", "step", "natural"],
    imbalance_ratio: float | None = None,
    n_max: int | None = None,
    subset_seed: int,
    class_names: Sequence[str] | None = None,
) -> NDArray[np.intp]:
    """Choose the images to train on, class by class, with a generator of its own for each class.

    With the same seed a smaller count of a class is a subset of a larger one, whatever profile, ratio or
    `n_max` asked for it.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels 0..k-1, each present.
    profile : {"exp", "step", "natural"}
        ``"exp"`` and ``"step"``: counts of `class_counts`, the first class the largest. ``"natural"``: the
        proportions that the set comes with.
    imbalance_ratio : float, optional
        Largest class over smallest; needed for ``"exp"`` and ``"step"``, refused for ``"natural"``.
    n_max : int, optional
        Images of the largest class. By default as many as the classes can supply in these proportions.
    subset_seed : int
        At least 0. Says which images, and nothing of how a network is trained on them.
    class_names : sequence of str, optional
        For the wording of errors.

    Returns
    -------
    ndarray of shape (n_kept,), intp
        Row numbers, ascending.

    Raises
    ------
    UnknownNameError
        If there is no such profile.
    SpecError
        If a number is missing, not wanted or out of its range.
    DataError
        If a class would be left empty, or has fewer images than are asked of it: names the class, what is
        asked and what there is.

    Examples
    --------
    >>> y = np.repeat(np.arange(10), 5000)
    >>> kept = subsample_images(y, profile="exp", imbalance_ratio=100, n_max=5000, subset_seed=0)
    >>> np.bincount(y[kept]).tolist()
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    check_known("profile", profile, IMAGE_PROFILES)
    _check_integer("subset_seed", subset_seed, 0)
    if n_max is not None:
        _check_integer("n_max", n_max, 1)
    labels = np.asarray(y)
    available = _available(labels, class_names)
    if profile == "natural":
        if imbalance_ratio is not None:
            raise SpecError(
                f"imbalance_ratio is {imbalance_ratio!r}: the natural profile keeps the set's own, give none"
            )
        asked = _natural(available, n_max, class_names)
    elif imbalance_ratio is None:
        raise SpecError(f"imbalance_ratio is missing: the {profile} profile needs one, at least 1")
    else:
        n_largest = _feasible(available, imbalance_ratio, profile) if n_max is None else n_max
        asked = _counts(n_largest, available, imbalance_ratio, profile, class_names)
    for label, (wanted, there) in enumerate(zip(asked, available, strict=True)):
        if wanted > there:
            raise DataError(
                f"{_named(label, class_names)}: {wanted} images asked, {there} available: lower n_max, raise "
                "imbalance_ratio or put a larger class in its place"
            )
    rows = [_drawn(labels, label, count, subset_seed) for label, count in enumerate(asked)]
    return np.sort(np.concatenate(rows))


def _drawn(labels: NDArray[np.int64], label: int, count: int, seed: int) -> NDArray[np.intp]:
    rng = np.random.default_rng([seed, label])
    return rng.permutation(np.flatnonzero(labels == label))[:count]


def _available(labels: NDArray[np.int64], class_names: Sequence[str] | None) -> list[int]:
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError("labels must be integers 0..k-1 in one dimension, at least one of them")
    counts = np.bincount(labels, minlength=len(class_names or ())).tolist()
    if class_names is not None and len(counts) > len(class_names):
        raise DataError(f"labels go up to {len(counts) - 1}, but {len(class_names)} classes are named")
    if len(counts) < 2:
        raise DataError("labels hold 1 class: at least 2 are needed")
    for label, count in enumerate(counts):
        if not count:
            raise DataError(f"{_named(label, class_names)}: 0 images available: every class must be present")
    return counts


def _counts(
    n_max: int,
    available: list[int],
    ratio: float,
    profile: Literal["exp", "step"],
    class_names: Sequence[str] | None,
) -> list[int]:
    try:
        return list(class_counts(n_max, len(available), ratio, profile))
    except DataError as error:
        k = len(available)
        empty = k - 1 if profile == "exp" else k - k // 2
        if profile == "exp":  # the first class of which the formula leaves nothing
            shares = ((1 / ratio) ** (i / (k - 1)) for i in range(k))
            empty = next(i for i, share in enumerate(shares) if n_max * share + _BELOW_AN_INTEGER < 1)
        raise DataError(
            f"{_named(empty, class_names)}: 0 images asked, {available[empty]} available: imbalance_ratio is "
            f"{ratio:g} and must be at most {n_max}, the size of the largest class"
        ) from error


def _feasible(available: list[int], ratio: float, profile: Literal["exp", "step"]) -> int:
    """Largest size of the first class that every class can keep up with; at least 1."""

    def too_large(n_max: int) -> bool:
        try:
            counts = class_counts(n_max, len(available), ratio, profile)
        except DataError:  # so small that a class is empty
            return False
        return any(wanted > there for wanted, there in zip(counts, available, strict=True))

    return bisect_left(range(1, available[0] + 1), True, key=too_large) or 1


def _natural(available: list[int], n_max: int | None, class_names: Sequence[str] | None) -> list[int]:
    largest = max(available)
    if n_max is None:
        return available
    if n_max > largest:
        label = available.index(largest)
        raise DataError(
            f"{_named(label, class_names)}: {n_max} images asked, {largest} available: lower n_max"
        )
    asked = [int(n * n_max / largest + _BELOW_AN_INTEGER) for n in available]
    if 0 in asked:
        label = asked.index(0)
        raise DataError(
            f"{_named(label, class_names)}: 0 images asked, {available[label]} available: n_max is {n_max} "
            f"and must be at least {-(-largest // min(available))}, or the natural proportions leave it empty"
        )
    return asked


def _check_integer(what: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise SpecError(f"{what} is {value!r}: it must be an integer of at least {least}")


def _named(label: int, class_names: Sequence[str] | None) -> str:
    return f"class {label}" if class_names is None else f"class {label} ({class_names[label]})"
