"""Intervals cover what they should: by simulation, by exact enumeration, and where few instances are."""

from itertools import combinations

import numpy as np
import pytest

from cemag.errors import DataError
from cemag.metrics import bootstrap_means, percentiles, unions, wilson


@pytest.mark.parametrize(("n", "least"), [(10, 0.88), (50, 0.91)])
def test_intervals_of_means_cover_the_mean_of_skewed_counts(n, least):
    rng = np.random.default_rng(0)
    drawn = 1 + rng.geometric(0.3, size=(n, 400)).astype(float)  # a column is a sample of n
    low, high = percentiles(bootstrap_means(drawn, n_resamples=500))
    covered = ((low <= 1 + 1 / 0.3) & (high >= 1 + 1 / 0.3)).mean()
    assert least <= covered <= 0.99


def test_intervals_agree_with_students_t_where_values_are_normal():
    values = np.random.default_rng(1).normal(size=(12, 300))
    low, high = percentiles(bootstrap_means(values, n_resamples=2000))
    half = 2.201 * values.std(axis=0, ddof=1) / np.sqrt(12)
    assert ((high - low) / (2 * half)).mean() == pytest.approx(1, abs=0.03)
    covered = ((low <= 0) & (high >= 0)).mean()
    assert 0.91 <= covered <= 0.99


def test_what_is_not_known_is_left_out_of_its_own_column():
    values = np.random.default_rng(2).normal(5, 1, size=(40, 2))
    holes = values.copy()
    holes[::2, 1] = np.nan
    one, other = (percentiles(bootstrap_means(v, n_resamples=2000)) for v in (values, holes))
    np.testing.assert_array_equal(one[:, 0], other[:, 0])
    alone = percentiles(bootstrap_means(values[1::2, 1:], n_resamples=2000))
    np.testing.assert_allclose(other[:, 1], alone[:, 0], atol=0.05)


def test_one_instance_has_no_interval():
    assert np.isnan(bootstrap_means(np.ones((1, 3)), n_resamples=100)).all()
    assert np.isnan(bootstrap_means([[1.0, np.nan], [2.0, 4.0]], n_resamples=100)[:, 1]).all()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_intervals_of_shares_cover_them_also_near_the_ends(share):
    k = np.random.default_rng(3).binomial(30, share, size=4000)
    low, high = wilson(k, np.full(4000, 30))
    assert 0.91 <= ((low <= share) & (share <= high)).mean() <= 0.99
    assert (high - low).min() > 0


def test_no_instances_have_no_share():
    assert np.isnan(wilson([0], [0])).all()


def test_unions_of_a_stated_number_are_what_all_draws_give():
    sets = np.random.default_rng(4).random((6, 10)) < 0.3
    every = [sets[list(chosen)].any(axis=0).sum() for chosen in combinations(range(6), 3)]
    drawn = unions(sets, 3, n_resamples=4000)
    assert set(drawn.astype(int)) == set(every)
    assert drawn.mean() == pytest.approx(np.mean(every), abs=0.05)
    assert np.isnan(unions(sets, 4)).all()


def test_levels_that_are_none_are_refused():
    with pytest.raises(DataError, match="confidence is 95"):
        percentiles(np.zeros((3, 1)), 95)
    with pytest.raises(DataError, match="n is 0"):
        unions(np.eye(2, dtype=bool), 0)
