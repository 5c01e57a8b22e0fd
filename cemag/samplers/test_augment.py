"""augment and the registry: every name on a small set, and every complaint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from cemag.errors import CemagError, DataError, SpecError, UnknownNameError
from cemag.samplers import AUGMENTERS, Remix, augment, get_augmenter, harden

ORDER = ["none", "ros", "smote", "adasyn", "remix", "rebalanced_mixup", "class_weight", "threshold"]


def overlapping(sizes=(60, 12), seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    return rng.normal(size=(len(y), 3)) + 0.5 * y[:, None], y


def test_the_registry_is_in_the_papers_order_and_cannot_be_changed():
    assert list(AUGMENTERS) == ORDER
    assert all(AUGMENTERS[name].name == name and AUGMENTERS[name].description for name in ORDER)
    assert all(
        (AUGMENTERS[name].factory is not None) == (AUGMENTERS[name].kind == "sampler") for name in ORDER
    )
    with pytest.raises(TypeError):
        AUGMENTERS["other"] = AUGMENTERS["none"]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown augmenter 'smoet': did you mean 'smote'"):
        get_augmenter("smoet")
    with pytest.raises(UnknownNameError):
        augment("smoet", [[0.0], [1.0]], [0, 1], random_state=0)


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("sizes", [(60, 12), (30, 20, 8)])
def test_every_augmenter_feeds_both_classifiers(name, sizes):
    X, y = overlapping(sizes)
    X_before, y_before = X.copy(), y.copy()
    data = augment(name, X, y, random_state=0)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    assert data.n_original == len(y)
    assert len(data.X) == len(data.y)
    assert set(data.y) == set(y)
    if data.sample_weight is not None:
        assert data.sample_weight.shape == data.y.shape
    again = augment(name, X, y, random_state=0)
    np.testing.assert_array_equal(data.X, again.X)
    np.testing.assert_array_equal(data.y, again.y)
    for classifier in (LogisticRegression(), SVC()):
        classifier.fit(data.X, data.y, sample_weight=data.sample_weight)


@pytest.mark.parametrize("name", ["ros", "smote", "adasyn", "remix", "rebalanced_mixup"])
def test_the_seed_matters(name):
    X, y = overlapping()
    first, second = (augment(name, X, y, random_state=seed) for seed in (0, 1))
    assert first.X.shape != second.X.shape or not np.array_equal(first.X, second.X)


def test_none_changes_nothing():
    X, y = overlapping()
    data = augment("none", X, y, random_state=0)
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, y)
    assert (data.sample_weight, data.n_synthetic, data.note) == (None, 0, "")


def test_class_weights_are_balanced():
    data = augment("class_weight", [[0.0]] * 4, ["a", "a", "a", "b"], random_state=0)
    np.testing.assert_allclose(data.sample_weight, [2 / 3, 2 / 3, 2 / 3, 2.0])
    assert data.n_synthetic == 0


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("ros", RandomOverSampler(random_state=7)),
        ("smote", SMOTE(random_state=7, k_neighbors=3)),
        ("adasyn", ADASYN(random_state=7, n_neighbors=3)),
    ],
)
@pytest.mark.parametrize("sizes", [(60, 12), (30, 20, 8), (20, 20, 8)])
def test_over_samplers_are_those_of_imbalanced_learn(name, sampler, sizes):
    X, y = overlapping(sizes)
    data = augment(name, X, y, random_state=7, k_neighbors=3)
    X_expected, y_expected = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(data.X, X_expected)
    np.testing.assert_array_equal(data.y, y_expected)
    assert (data.sample_weight, data.n_synthetic, data.note) == (None, len(y_expected) - len(y), "")


def test_remix_keeps_its_soft_labels():
    X, y = overlapping()
    data = augment("remix", X, y, random_state=5)
    sampler = Remix(random_state=5)
    mixed, soft = sampler.fit_resample_soft(X, y)
    for given_array, expected in zip(
        (data.X, data.y, data.sample_weight), harden(mixed, soft, [0, 1]), strict=True
    ):
        np.testing.assert_array_equal(given_array, expected)
    assert data.n_synthetic == 120
    assert data.note == "the 120 mixtures replace the 72 original rows"


@settings(max_examples=40)
@given(
    st.sampled_from(["remix", "rebalanced_mixup"]),
    st.lists(st.integers(1, 20), min_size=2, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_weights_of_mixtures_sum_to_their_number(name, sizes, seed):
    X, y = overlapping(sizes)
    data = augment(name, X, y, random_state=seed)
    assert data.sample_weight is not None
    assert data.n_synthetic == (len(sizes) * max(sizes) if name == "remix" else sum(sizes))
    assert data.sample_weight.sum() == pytest.approx(data.n_synthetic)


def test_adasyn_leaves_a_class_with_no_foreign_neighbour_as_it_is():
    X, y = overlapping((30, 8))
    X[y == 1] += 1000
    data = augment("adasyn", X, y, random_state=0)
    np.testing.assert_array_equal(data.X, X)
    assert data.n_synthetic == 0
    assert data.note == "ADASYN made no points of class 1"


def test_adasyn_leaves_a_class_whose_shares_round_to_zero_as_it_is():
    X, y = overlapping((13, 12))
    data = augment("adasyn", X, y, random_state=0)  # one missing point, spread over twelve
    assert (data.n_synthetic, data.note) == (0, "ADASYN made no points of class 1")


def test_adasyn_still_serves_the_other_classes():
    X, y = overlapping((40, 12, 12))
    X[y == 1] += 1000
    data = augment("adasyn", X, y, random_state=0)
    assert data.note == "ADASYN made no points of class 1"
    assert np.sum(data.y == 1) == 12
    assert np.sum(data.y == 2) > 12


@pytest.mark.parametrize("name", ["smote", "adasyn"])
def test_a_class_too_small_for_its_neighbours_is_named(name):
    X, y = overlapping((30, 20, 5))
    title = AUGMENTERS[name].title
    with pytest.raises(
        DataError, match=f"class 2 has 5 training rows: {title} with k_neighbors=5 needs at least 6"
    ):
        augment(name, X, y, random_state=0)
    assert augment(name, X, y, random_state=0, k_neighbors=4).n_original == 55


@pytest.mark.parametrize("name", ["smote", "adasyn"])
def test_small_classes_of_equal_size_need_no_neighbours(name):
    X, y = overlapping((3, 3))
    assert augment(name, X, y, random_state=0).n_synthetic == 0


@pytest.mark.parametrize("k_neighbors", [0, -1, 2.5, True, "5"])
def test_a_bad_number_of_neighbours_is_refused(k_neighbors):
    X, y = overlapping()
    with pytest.raises(SpecError, match="k_neighbors is"):
        augment("smote", X, y, random_state=0, k_neighbors=k_neighbors)


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[0.0], [1.0]], [1, 1], r"labels are of 1 class \(1\): two are needed"),
        ([[0.0, 1.0], [1.0, np.nan]], [0, 1], "1 NaN or infinite values, the first in row 1, column 1"),
        ([[np.inf], [1.0]], [0, 1], "NaN or infinite"),
        ([[0.0], [1.0]], [0.0, np.nan], "labels hold NaN or infinite values, the first in row 1"),
        ([[0.0], [1.0]], ["a", None], "labels are"),
        ([[0.0], [1.0]], [0.25, 0.75], "labels are continuous"),
        ([["a"], ["b"]], [0, 1], "features are not a table of numbers"),
        ([[0.0], [1.0, 2.0]], [0, 1], "features are not a table of numbers"),
        ([0.0, 1.0], [0, 1], r"features have shape \(2,\)"),
        ([[0.0], [1.0]], [0, 1, 1], r"labels \(3,\)"),
        ([[0.0], [1.0]], [[0], [1]], r"labels \(2, 1\)"),
        ([[], []], [0, 1], r"features have shape \(2, 0\)"),
        (np.zeros((0, 2)), [], "labels are"),
    ],
)
def test_bad_data_is_named_in_one_line(name, X, y, message):
    with pytest.raises(CemagError, match=message) as caught:
        augment(name, X, y, random_state=0)
    assert "\n" not in str(caught.value)
