"""Counts are LDAM-DRW's, draws are nested and local, and an impossible request names its class."""

import numpy as np
import pytest

from cemag.errors import DataError, SpecError, UnknownNameError
from cemag.reproduction.datasets import load_images, subsample_images

CIFAR10 = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 5000))
CIFAR10_LT = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
TAXA = np.repeat(np.arange(5), (1300, 500, 350, 200, 100))


def kept_of(y: np.ndarray, **how) -> list[int]:
    return np.bincount(y[subsample_images(y, subset_seed=how.pop("subset_seed", 0), **how)]).tolist()


def test_golden_counts() -> None:
    assert kept_of(CIFAR10, profile="exp", imbalance_ratio=100, n_max=5000) == CIFAR10_LT
    assert kept_of(CIFAR10, profile="exp", imbalance_ratio=100) == CIFAR10_LT
    assert kept_of(CIFAR10, profile="step", imbalance_ratio=10) == [5000] * 5 + [500] * 5
    assert kept_of(CIFAR10, profile="exp", imbalance_ratio=100, n_max=1500)[::9] == [1500, 15]


def test_natural_proportions_are_kept_or_scaled() -> None:
    assert kept_of(TAXA, profile="natural") == [1300, 500, 350, 200, 100]
    assert kept_of(TAXA, profile="natural", n_max=130) == [130, 50, 35, 20, 10]


def test_the_largest_that_all_classes_can_supply_is_the_default() -> None:
    largest = kept_of(TAXA, profile="exp", imbalance_ratio=10)
    assert largest == [890, 500, 281, 158, 89]
    with pytest.raises(DataError, match="class 1: 501 images asked, 500 available"):
        kept_of(TAXA, profile="exp", imbalance_ratio=10, n_max=891)
    y = load_images("digits_images").y_train
    assert kept_of(y, profile="exp", imbalance_ratio=1) == [139] * 10
    assert kept_of(y, profile="exp", imbalance_ratio=10)[0] == 142


def test_draws_are_nested_local_and_follow_the_seed_alone() -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    large = subsample_images(CIFAR10, profile="exp", imbalance_ratio=10, subset_seed=3)
    small = subsample_images(CIFAR10, profile="step", imbalance_ratio=200, n_max=2000, subset_seed=3)
    few = subsample_images(CIFAR10, profile="exp", imbalance_ratio=100, subset_seed=3)
    other = subsample_images(CIFAR10, profile="exp", imbalance_ratio=100, subset_seed=4)
    assert set(few) <= set(large)
    assert set(small[CIFAR10[small] > 4]) <= set(few)
    assert (np.diff(few) > 0).all()
    assert len(set(few) & set(other)) < len(few)
    again = subsample_images(CIFAR10, profile="exp", imbalance_ratio=100, subset_seed=3)
    np.testing.assert_array_equal(few, again)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (
            {"profile": "exp", "imbalance_ratio": 200, "n_max": 100},
            r"class 4 \(e\): 0 images asked, 100 available: imbalance_ratio is 200 and must be at most 100",
        ),
        (
            {"profile": "step", "imbalance_ratio": 200, "n_max": 100},
            r"class 3 \(d\): 0 images asked, 200 available",
        ),
        (
            {"profile": "exp", "imbalance_ratio": 10, "n_max": 1300},
            r"class 1 \(b\): 731 images asked, 500 available: lower n_max",
        ),
        (
            {"profile": "natural", "n_max": 1301},
            r"class 0 \(a\): 1301 images asked, 1300 available",
        ),
        (
            {"profile": "natural", "n_max": 12},
            r"class 4 \(e\): 0 images asked, 100 available: n_max is 12 and must be at least 13",
        ),
    ],
)
def test_what_a_class_cannot_give_is_named(how: dict, says: str) -> None:
    with pytest.raises(DataError, match=says):
        subsample_images(TAXA, subset_seed=0, class_names="abcde", **how)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"profile": "exp"}, "imbalance_ratio is missing"),
        ({"profile": "natural", "imbalance_ratio": 10}, "natural profile keeps the set's own"),
        ({"profile": "exp", "imbalance_ratio": 0.5}, "at least 1"),
        ({"profile": "exp", "imbalance_ratio": 10, "n_max": 0}, "n_max is 0"),
        ({"profile": "exp", "imbalance_ratio": 10, "subset_seed": -1}, "subset_seed is -1"),
        ({"profile": "exp", "imbalance_ratio": 10, "subset_seed": 1.5}, "subset_seed is 1.5"),
    ],
)
def test_numbers_out_of_range(how: dict, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        kept_of(TAXA, **how)


def test_strange_labels_and_profiles() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'step'"):
        kept_of(TAXA, profile="steps", imbalance_ratio=10)
    for y, says in (
        ([0, 2], "class 1: 0 images available"),
        ([0, 0], "1 class"),
        ([0.0, 1.0], "integers"),
        ([-1, 0], "integers"),
        ([], "integers"),
    ):
        with pytest.raises(DataError, match=says):
            subsample_images(y, profile="natural", subset_seed=0)
