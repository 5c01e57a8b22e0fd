"""EOS and EmbeddingSMOTE: the libraries' estimator checks, a literal loop, and what the methods promise."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    estimator_checks_generator,
)
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks as sklearn_checks

from cemag.errors import DataError
from cemag.samplers import EOS, EmbeddingSMOTE

# scikit-learn's checks fit ten points, of which ten have no ten neighbours
SAMPLERS = [
    EOS(n_neighbors=5, random_state=0),
    EOS(n_neighbors=5, variant="published_code", random_state=0),
    EmbeddingSMOTE(random_state=0),
]
SEEDS = st.integers(0, 2**32 - 1)
quiet = pytest.mark.filterwarnings("ignore:no point of:UserWarning")

# What imblearn's parametrize_with_checks runs; that one hands pytest a generator, which pytest 10 refuses.
IMBLEARN_CHECKS = [pair for sampler in SAMPLERS for pair in estimator_checks_generator(sampler)]


@quiet
@pytest.mark.parametrize(
    ("estimator", "check"),
    IMBLEARN_CHECKS,
    ids=lambda part: part.func.__name__ if hasattr(part, "func") else repr(part),
)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


@quiet
@sklearn_checks(SAMPLERS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@quiet
@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
def test_checks_that_imbalanced_learn_runs_by_name(sampler, check):
    check(type(sampler).__name__, sampler)


def literal_places(X, y, c, k):
    """Row by row, as the paper says it: each base of class c, its neighbours, and which are enemies."""
    found = {}
    for i in range(len(X)):
        if y[i] != c:
            continue
        distance = [((X[i] - X[j]) ** 2).sum() for j in range(len(X))]
        near = sorted((j for j in range(len(X)) if j != i), key=lambda j: distance[j])[:k]
        enemies = [place for place, j in enumerate(near) if y[j] != c]
        if enemies:
            found[i] = (near, enemies)
    return found


@st.composite
def imbalanced(draw):
    sizes = draw(st.lists(st.integers(1, 25), min_size=2, max_size=4))
    k = draw(st.integers(1, min(12, sum(sizes) - 1)))
    rng = np.random.default_rng(draw(SEEDS))
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    apart = draw(st.sampled_from([0.0, 1.0, 20.0]))
    return rng.normal(size=(len(y), 3)) + apart * y[:, None], y, k


@quiet
@settings(max_examples=60, deadline=None)
@given(data=imbalanced(), seed=SEEDS)
def test_points_lie_between_a_base_and_one_of_its_enemies(data, seed):
    X, y, k = data
    sampler = EOS(n_neighbors=k, random_state=seed)
    X_new, y_new = sampler.fit_resample(X, y)
    n, counts = len(y), np.bincount(y)
    np.testing.assert_array_equal(X_new[:n], X)
    np.testing.assert_array_equal(y_new[:n], y)
    assert np.bincount(y_new).tolist() == [counts.max()] * len(counts)
    base, enemy = sampler.pairs_.T
    np.testing.assert_array_equal(y[base], y_new[n:])
    assert (y[enemy] != y[base]).all()
    assert ((sampler.steps_ >= 0) & (sampler.steps_ < 1)).all()
    np.testing.assert_allclose(X_new[n:] - X[base], sampler.steps_[:, None] * (X[enemy] - X[base]), atol=1e-9)
    for c in np.flatnonzero(counts < counts.max()):
        literal = literal_places(X, y, c, k)
        assert sampler.n_bases_[c] == len(literal)
        assert (c in sampler.fallback_classes_) == (not literal)
        for i, j in sampler.pairs_[y[base] == c]:
            if literal:
                assert j in [literal[i][0][place] for place in literal[i][1]]
            else:
                ahead = ((X[y != c] - X[i]) ** 2).sum(axis=1) < ((X[j] - X[i]) ** 2).sum()
                assert ahead.sum() < k
    again, _ = EOS(n_neighbors=k, random_state=seed).fit_resample(X, y)
    np.testing.assert_array_equal(X_new, again)


@quiet
@settings(max_examples=40, deadline=None)
@given(data=imbalanced(), seed=SEEDS)
def test_the_published_code_is_one_place_off(data, seed):
    X, y, k = data
    right = EOS(n_neighbors=k, random_state=seed)
    shifted = EOS(n_neighbors=k, variant="published_code", random_state=seed)
    for sampler in (right, shifted):
        sampler.fit_resample(X, y)
    np.testing.assert_array_equal(right.pairs_[:, 0], shifted.pairs_[:, 0])
    np.testing.assert_array_equal(right.steps_, shifted.steps_)
    for c in np.flatnonzero(np.bincount(y) < np.bincount(y).max()):
        literal = literal_places(X, y, c, k)
        of_class = y[right.pairs_[:, 0]] == c
        for (i, enemy), (_, end) in zip(right.pairs_[of_class], shifted.pairs_[of_class], strict=True):
            if literal:
                near = [i, *literal[i][0]]
                assert end == near[near.index(enemy) - 1]
            else:
                assert end == enemy


# a row of points: the base at 0, then a friend at 1, an enemy at 2; k = 2, so one enemy in the second place
LINE, SIDES = np.array([[0.0], [1.0], [2.0], [30.0], [40.0], [50.0]]), np.array([1, 1, 0, 0, 0, 0])


def test_hand_case():
    sampler = EOS(n_neighbors=2, sampling_strategy={1: 400}, random_state=0)
    X_new, _ = sampler.fit_resample(LINE, SIDES)
    assert sampler.n_bases_ == {1: 2}
    assert {tuple(pair) for pair in sampler.pairs_} == {(0, 2), (1, 2)}
    made, base = X_new[6:, 0], sampler.pairs_[:, 0]
    assert made[base == 0].min() < 0.1 < 1.9 < made[base == 0].max() < 2
    assert (made[base == 1] >= 1).all()
    assert np.bincount(base).tolist() == pytest.approx([200, 200], abs=40)


def test_hand_case_of_the_published_code():
    sampler = EOS(n_neighbors=2, variant="published_code", sampling_strategy={1: 400}, random_state=0)
    X_new, _ = sampler.fit_resample(LINE, SIDES)
    # of base 0 the enemy is second: its friend in the first place is taken. Of base 1, both neighbours are
    # at the same distance: the enemy is first or second, and the base itself or its friend is taken
    assert {tuple(pair) for pair in sampler.pairs_} in ({(0, 1), (1, 1)}, {(0, 1), (1, 0)})
    assert (X_new[6:] <= 1).all()  # nothing is made towards the enemies


def test_what_the_shift_changes():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [300, 100, 30])
    X = rng.normal(size=(430, 8)) + 1.2 * rng.normal(size=(3, 8))[y]
    ends = {}
    for variant in ("paper", "published_code"):
        sampler = EOS(variant=variant, random_state=0)
        sampler.fit_resample(X, y)
        base, end = sampler.pairs_.T
        ends[variant] = [(y[base] != y[end]).mean(), ((y[base] == y[end]) & (base != end)).mean()]
        ends[variant].append((base == end).mean())
    assert ends["paper"] == [1, 0, 0]
    enemy, friend, itself = ends["published_code"]
    assert 0.05 < enemy < 0.95
    assert friend > 0.05
    assert itself > 0.03


def test_enemies_are_drawn_alike_whatever_their_distance():
    X, y = np.array([[0.0], [1.0], [5.0], [6.0], [20.0]]), np.array([1, 0, 0, 0, 0])
    sampler = EOS(n_neighbors=3, sampling_strategy={1: 3000}, random_state=0)
    sampler.fit_resample(X, y)
    share = np.bincount(sampler.pairs_[:, 1], minlength=5) / 3000
    np.testing.assert_allclose(share, [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.05)


@pytest.mark.parametrize("variant", ["paper", "published_code"])
def test_a_class_without_enemies_falls_back_with_a_warning(variant):
    X = np.concatenate([np.arange(20.0), 1000 + np.arange(8.0)])[:, None]
    y = np.repeat(["near", "far"], [20, 8])
    sampler = EOS(n_neighbors=3, variant=variant, random_state=0)
    with pytest.warns(UserWarning, match=r"no point of class far \(8 points\) has .* its 3 nearest"):
        _, y_new = sampler.fit_resample(X, y)
    assert sampler.fallback_classes_.tolist() == ["far"]
    assert sampler.n_bases_ == {"far": 0}
    assert (y_new == "far").sum() == 20
    assert set(sampler.pairs_[:, 1]) <= {17, 18, 19}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(EOS(n_neighbors=8, random_state=0).fit(X, y).fit_resample(X, y)[0]) == 40


def test_fewer_enemies_than_neighbours_in_the_fall_back():
    X, y = np.array([[0.0], [1.0], [2.0], [3.0], [90.0]]), np.array([0, 0, 0, 0, 1])
    sampler = EOS(sampling_strategy={0: 9}, n_neighbors=3, random_state=0)
    with pytest.warns(UserWarning, match="class 0"):
        sampler.fit_resample(X, y)
    assert set(sampler.pairs_[:, 1]) == {4}


def test_too_few_points_name_classes_and_counts():
    X, y = np.zeros((10, 2)), np.repeat(["a", "b", "c"], [6, 3, 1])
    with pytest.raises(
        DataError, match=r"10 points .* class b \(3 points\), class c \(1 point\); at least 11"
    ):
        EOS().fit_resample(X, y)
    assert len(EOS(n_neighbors=9, random_state=0).fit_resample(X, y)[0]) == 18


def test_equal_points_are_neighbours_but_never_of_themselves():
    X, y = np.zeros((30, 2)), np.repeat([0, 1], [25, 5])
    sampler = EOS(n_neighbors=29, random_state=0)
    X_new, _ = sampler.fit_resample(X, y)
    assert (y[sampler.pairs_[:, 1]] == 0).all()
    assert not X_new.any()


def test_a_balanced_set_is_returned_as_it_is():
    X, y = np.arange(24.0).reshape(12, 2), np.repeat([0, 1], 6)
    X_new, y_new = EOS(random_state=0).fit_resample(X, y)
    np.testing.assert_array_equal(X_new, X)
    np.testing.assert_array_equal(y_new, y)


def test_sparse_rows_give_what_dense_rows_give():
    rng = np.random.default_rng(0)
    X, y = np.maximum(rng.normal(size=(60, 4)), 0), np.repeat([0, 1], [45, 15])
    dense, _ = EOS(n_neighbors=20, random_state=0).fit_resample(X, y)
    thin, _ = EOS(n_neighbors=20, random_state=0).fit_resample(sparse.csr_matrix(X), y)
    np.testing.assert_allclose(thin.toarray(), dense)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept_and_whole_numbers_not_truncated(dtype):
    X, y = np.arange(40).reshape(20, 2), np.repeat([0, 1], [15, 5])
    assert EOS(random_state=0).fit_resample(X.astype(dtype), y)[0].dtype == dtype
    made = EOS(random_state=0).fit_resample(X, y)[0][20:]
    assert (made != np.round(made)).any()


def test_data_frames_keep_their_columns_and_a_pipeline_works():
    rng = np.random.default_rng(0)
    frame, y = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"]), np.repeat(["x", "y"], [50, 10])
    assert list(EOS(random_state=0).fit_resample(frame, y)[0].columns) == ["a", "b"]
    fitted = make_pipeline(EOS(random_state=0), LogisticRegression()).fit(frame, y)
    assert fitted.predict(frame).shape == (60,)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(7, 30), min_size=2, max_size=4), seed=SEEDS)
def test_embedding_smote_is_imbalanced_learns_smote(sizes, seed):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(y), 3)).astype(np.float32)
    ours, theirs = (make(random_state=seed).fit_resample(X, y) for make in (EmbeddingSMOTE, SMOTE))
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(own, other)
    assert len(set(np.bincount(ours[1]))) == 1


def test_embedding_smote_names_every_class_that_is_too_small():
    X, y = np.zeros((30, 2)), np.repeat(["a", "b", "c", "d"], [18, 6, 5, 1])
    with pytest.raises(DataError, match=r"class c \(5 points\), class d \(1 point\) need more than 5 points"):
        EmbeddingSMOTE().fit_resample(X, y)
    some = partial(EmbeddingSMOTE, sampling_strategy={"b": 9}, random_state=0)
    assert len(some().fit_resample(X, y)[0]) == 33
