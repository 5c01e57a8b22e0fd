"""Counts follow LDAM-DRW's formula; thinning keeps the majority and draws from the minority."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cemag.errors import DataError, SpecError, UnknownNameError
from cemag.reproduction.datasets import class_counts, make_imbalanced

CIFAR10_LT = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)


def test_golden_counts() -> None:
    assert class_counts(5000, 10, 100, "exp") == CIFAR10_LT
    assert class_counts(5000, 10, 10, "step") == (5000,) * 5 + (500,) * 5
    assert class_counts(7, 3, 7, "step") == (7, 7, 1)
    assert class_counts(5000, 2, 1) == (5000, 5000)


@pytest.mark.parametrize("ratio", [10, 20, 50, 100, 200])
@pytest.mark.parametrize(("n_max", "n_classes"), [(5000, 10), (500, 100)])
def test_counts_are_those_of_the_published_code(n_max: int, n_classes: int, ratio: float) -> None:
    literal = [int(n_max * (1 / ratio) ** (i / (n_classes - 1.0))) for i in range(n_classes)]
    assert list(class_counts(n_max, n_classes, ratio)) == literal


@given(st.integers(1, 2000), st.integers(2, 30), st.data())
def test_counts_fall_from_n_max_to_n_max_over_ratio(n_max: int, n_classes: int, data: st.DataObject) -> None:
    ratio = data.draw(st.floats(1, n_max))
    for profile in ("exp", "step"):
        counts = class_counts(n_max, n_classes, ratio, profile)
        assert counts[0] == n_max
        assert list(counts) == sorted(counts, reverse=True)
        assert counts[-1] in (int(n_max / ratio), round(n_max / ratio))


@given(st.integers(1, 5000))
def test_an_integer_count_is_not_lost_to_rounding_error(n_max: int) -> None:
    assert class_counts(n_max, 2, n_max)[-1] == 1


def test_counts_refuse_what_has_no_meaning() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'exp'"):
        class_counts(10, 2, 2, "expo")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="n_classes is 1"):
        class_counts(10, 1, 2)
    with pytest.raises(SpecError, match="n_max is 0"):
        class_counts(0, 2, 2)
    with pytest.raises(DataError, match="at most 10, the size of the largest class"):
        class_counts(10, 2, 11)


@given(st.integers(20, 300), st.integers(10, 100), st.integers(0, 2**32 - 1), st.data())
def test_thinning(n_major: int, n_minor: int, seed: int, data: st.DataObject) -> None:
    n_minor = min(n_minor, n_major)
    y = np.random.default_rng(seed).permutation(np.repeat([0, 1], [n_major, n_minor]))
    natural = n_major / n_minor
    ratio = data.draw(st.floats(natural, max(natural, n_major / 10)))
    kept = make_imbalanced(y, ratio, random_state=seed)
    assert np.array_equal(kept, np.unique(kept))
    assert (y[kept] == 0).sum() == n_major
    n_kept = int((y[kept] == 1).sum())
    assert 10 <= n_kept <= n_minor
    assert n_kept in (int(n_major / ratio), round(n_major / ratio))
    assert np.array_equal(kept, make_imbalanced(y, ratio, random_state=seed))


def test_a_higher_ratio_keeps_a_subset() -> None:
    y = np.repeat([0, 1], [1000, 300])
    wide, narrow = (set(make_imbalanced(y, ratio, random_state=3)) for ratio in (5, 50))
    assert narrow < wide


def test_the_natural_ratio_keeps_everything() -> None:
    y = np.repeat([0, 1], [357, 212])
    assert len(make_imbalanced(y, 357 / 212, random_state=0)) == 569


def test_seeds_differ_and_the_global_generator_is_left_alone() -> None:
    y = np.repeat([0, 1], [1000, 300])
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    first, second = (make_imbalanced(y, 10, random_state=seed) for seed in (0, 1))
    assert not np.array_equal(first, second)
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("ratio", [0.5, float("nan"), float("inf"), -3, "10", None, True])
def test_a_ratio_that_is_none(ratio: object) -> None:
    with pytest.raises(SpecError, match="imbalance_ratio is"):
        make_imbalanced([0] * 30 + [1] * 20, ratio, random_state=0)  # type: ignore[arg-type]


def test_a_ratio_out_of_reach() -> None:
    y = [0] * 1844 + [1] * 150
    with pytest.raises(
        DataError, match=r"is 5: it must be at least 12\.29, the natural ratio \(1844 to 150\)"
    ):
        make_imbalanced(y, 5, random_state=0)
    with pytest.raises(
        DataError, match=r"is 500: it must be at most 184\.4, or fewer than 10 minority points"
    ):
        make_imbalanced(y, 500, random_state=0)


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1], [], [0, 1, 2], [-1, 1]])
def test_labels_other_than_0_and_1(y: list[int]) -> None:
    with pytest.raises(DataError, match="labels must be 0 and 1"):
        make_imbalanced(y, 2, random_state=0)
