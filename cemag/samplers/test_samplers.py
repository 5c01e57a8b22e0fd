"""Remix and RebalancedMixup: the libraries' own estimator checks, and what the methods promise."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    estimator_checks_generator,
)
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks as sklearn_checks

from cemag.samplers import RebalancedMixup, Remix, rebalanced_label_factor

SAMPLERS = [Remix(random_state=0), RebalancedMixup(random_state=0)]
SEEDS = st.integers(0, 2**32 - 1)


# What imblearn's parametrize_with_checks runs; that one hands pytest a generator, which pytest 10 refuses.
IMBLEARN_CHECKS = [pair for sampler in SAMPLERS for pair in estimator_checks_generator(sampler)]


@pytest.mark.parametrize(
    ("estimator", "check"),
    IMBLEARN_CHECKS,
    ids=lambda part: part.func.__name__ if hasattr(part, "func") else repr(part),
)
def test_imbalanced_learn_checks(estimator, check):
    check(estimator)


@sklearn_checks(SAMPLERS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
@pytest.mark.parametrize("check", [check_param_validation, check_dataframe_column_names_consistency])
def test_checks_that_imbalanced_learn_runs_by_name(sampler, check):
    check(type(sampler).__name__, sampler)


@st.composite
def imbalanced(draw):
    sizes = draw(st.lists(st.integers(1, 30), min_size=2, max_size=4))
    y = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(SEEDS))
    return rng.normal(size=(len(y), 3)), rng.permutation(y)


@pytest.mark.parametrize("make", [Remix, RebalancedMixup])
@settings(max_examples=40)
@given(data=imbalanced(), seed=SEEDS, alpha=st.sampled_from([0.0, 0.2, 1.0]))
def test_mixtures_lie_between_their_pair_and_labels_are_distributions(make, data, seed, alpha):
    X, y = data
    sampler = make(alpha=alpha, random_state=seed)
    mixed, soft = sampler.fit_resample_soft(X, y)
    first, second = X[sampler.pairs_[:, 0]], X[sampler.pairs_[:, 1]]
    assert (mixed >= np.minimum(first, second) - 1e-12).all()
    assert (mixed <= np.maximum(first, second) + 1e-12).all()
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    assert (soft >= 0).all()
    again, soft_again = make(alpha=alpha, random_state=seed).fit_resample_soft(X, y)
    np.testing.assert_array_equal(mixed, again)
    np.testing.assert_array_equal(soft, soft_again)


@settings(max_examples=40)
@given(data=imbalanced(), seed=SEEDS)
def test_remix_is_mixup_of_a_balanced_set(data, seed):
    X, y = data
    sampler = Remix(random_state=seed)
    _, soft = sampler.fit_resample_soft(X, y)
    counts = np.bincount(y)
    first, second, lam = y[sampler.pairs_[:, 0]], y[sampler.pairs_[:, 1]], sampler.mixing_factors_
    assert np.bincount(first).tolist() == [counts.max()] * len(counts)
    assert sorted(sampler.pairs_[:, 0]) == sorted(sampler.pairs_[:, 1])
    one_hot = np.eye(len(counts))
    np.testing.assert_allclose(soft, lam[:, None] * one_hot[first] + (1 - lam[:, None]) * one_hot[second])


@settings(max_examples=40)
@given(data=imbalanced(), seed=SEEDS, kappa=st.integers(1, 5), tau=st.floats(0, 1))
def test_rebalanced_mixup_follows_the_label_factor(data, seed, kappa, tau):
    X, y = data
    sampler = RebalancedMixup(kappa=kappa, tau=tau, random_state=seed)
    mixed, soft = sampler.fit_resample_soft(X, y)
    assert mixed.shape == X.shape
    assert sampler.pairs_[:, 0].tolist() == list(range(len(y)))
    first, second = y[sampler.pairs_[:, 0]], y[sampler.pairs_[:, 1]]
    counts = np.bincount(y)
    lam = rebalanced_label_factor(sampler.mixing_factors_, counts[first], counts[second], kappa, tau)[:, None]
    one_hot = np.eye(len(counts))
    np.testing.assert_allclose(soft, lam * one_hot[first] + (1 - lam) * one_hot[second])


def test_rebalancing_moves_label_mass_to_the_rare_class():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 2)), np.repeat(["common", "rare"], [1800, 200])
    _, soft = RebalancedMixup(random_state=0).fit_resample_soft(X, y)
    _, plain = RebalancedMixup(random_state=0, tau=0.0).fit_resample_soft(X, y)
    # of a mixed pair the rare class gets E[s; s < 1/2] + P(s >= 1/2) = 0.625 in place of 0.5
    assert plain[:, 1].sum() == pytest.approx(200, rel=0.1)
    assert soft[:, 1].sum() / plain[:, 1].sum() == pytest.approx(1 + 0.9 * 0.25, abs=0.05)


@pytest.mark.parametrize("make", [Remix, RebalancedMixup])
def test_hard_labels_are_the_dominant_class(make):
    X, y = np.arange(20.0).reshape(10, 2), np.array(list("aaaaaaabbc"))
    sampler = make(random_state=3, alpha=1.0)
    _, hard = sampler.fit_resample(X, y)
    assert sampler.classes_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(hard, sampler.classes_[sampler.soft_labels_.argmax(axis=1)])


def test_remix_without_mixing_is_random_over_sampling():
    X, y = np.arange(12.0).reshape(6, 2), np.array([0, 0, 0, 0, 1, 1])
    mixed, hard = Remix(alpha=0.0, random_state=0).fit_resample(X, y)
    assert np.bincount(hard).tolist() == [4, 4]
    np.testing.assert_array_equal(mixed[:6], X)
    assert {tuple(row) for row in mixed[6:]} <= {tuple(row) for row in X[4:]}


def test_remix_takes_a_sampling_strategy():
    X, y = np.zeros((12, 1)), np.repeat([0, 1], [10, 2])
    sampler = Remix(sampling_strategy=0.5, random_state=0).fit(X, y)
    assert dict(sampler.sampling_strategy_) == {1: 3}
    assert len(sampler.fit_resample(X, y)[0]) == 15


def test_whole_numbers_are_not_truncated():
    X, y = np.array([[0], [1], [0], [1], [0], [1]]), np.array([0, 0, 0, 0, 1, 1])
    mixed, _ = Remix(alpha=1.0, random_state=0).fit_resample(X, y)
    assert mixed.dtype == np.float64
    assert ((mixed > 0) & (mixed < 1)).any()


def test_data_frames_keep_their_columns():
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 1.0, 1.0, 1.0]})
    mixed, soft = Remix(random_state=0).fit_resample_soft(frame, pd.Series([0, 0, 0, 1], name="class"))
    assert list(mixed.columns) == ["a", "b"]
    assert (mixed["b"] == 1.0).all()
    assert soft.shape == (6, 2)


def test_samplers_work_in_a_pipeline():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.repeat([0, 1], [50, 10])
    fitted = make_pipeline(Remix(random_state=0), LogisticRegression()).fit(X, y)
    assert fitted.predict(X).shape == (60,)


def test_importing_the_room_loads_neither_imbalanced_learn_nor_torch():
    code = (
        "import sys, cemag.samplers as s\n"
        "assert not {'imblearn', 'sklearn', 'torch'} & set(sys.modules)\n"
        "s.Remix, s.RebalancedMixup\n"
        "assert 'imblearn' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
