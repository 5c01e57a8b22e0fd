"""Inference: oracles from scipy and statsmodels, brute force where few cases allow it, simulated levels."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from cemag.reproduction.claims.inference import (
    ALPHA,
    Estimate,
    at_least,
    of_repetitions,
    pooled,
    power,
    runs_range,
)


def test_two_pooled_sets_are_welchs_test():
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 1, 12), rng.normal(2, 1.5, 5)
    both = pooled([of_repetitions(one), of_repetitions(other)])
    # Welch's t of one against minus the other: the same variance and degrees of freedom
    peer = stats.ttest_ind(one, -other, equal_var=False)
    assert both.mean == pytest.approx((one.mean() + other.mean()) / 2)
    assert both.df == pytest.approx(peer.df)
    assert both.p_above(0) == pytest.approx(stats.t.sf(peer.statistic, peer.df))


def test_no_spread_is_taken_at_its_word_and_one_repetition_decides_nothing():
    flat = of_repetitions([1.0, 1.0, 1.0])
    assert (flat.p_above(0), flat.p_above(1), flat.p_below(2)) == (0.0, 1.0, 0.0)
    alone = of_repetitions([9.0])
    assert np.isnan([alone.p_above(0), alone.p_below(0), *alone.interval()]).all()
    assert np.isnan(of_repetitions([]).mean)
    assert np.isnan(pooled([]).mean)


def literally(p, alpha=ALPHA):
    """The largest u for which every u - 1 cases left out leave one that Bonferroni rejects."""
    n = len(p)
    found = 0
    for u in range(1, n + 1):
        rest = combinations(p, n - u + 1)  # if fewer than u hold, all of some such set do not
        if all(len(part) * min(part) <= alpha for part in rest):
            found = u
    return found


@settings(max_examples=200)
@given(st.lists(st.sampled_from([0.001, 0.004, 0.01, 0.02, 0.05, 0.3, 0.9]), min_size=1, max_size=6))
def test_partial_conjunctions_are_those_of_trying_every_subset(p):
    assert at_least(p) == literally(p)


@pytest.mark.parametrize("n_true", [0, 1, 3])
def test_too_many_cases_are_said_to_hold_in_no_more_than_the_level(n_true):
    rng = np.random.default_rng(n_true)
    shared = rng.normal(size=(4000, 1))  # positively dependent: the cases share their reference
    z = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=(4000, 6))
    z[:, :n_true] += 9
    p = stats.norm.sf(z)
    wrong = np.mean([at_least(row) > n_true for row in p])
    assert wrong <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 4000)


@pytest.mark.parametrize(("effect", "n"), [(2.0, 3), (0.8, 12), (1.0, 5)])
def test_power_is_statsmodels(effect, n):
    assert power(effect, n) == pytest.approx(TTestPower().power(effect, n, ALPHA, alternative="larger"))


def test_power_under_shared_rows_is_that_of_simulation():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, np.sqrt(0.25), (4000, 1))
    values = 2.0 + rng.normal(size=(4000, 5)) + shared
    found = np.mean([of_repetitions(row, 0.25).p_above(0) <= ALPHA for row in values])
    assert found == pytest.approx(power(2.0, 5, 0.25), abs=0.03)


def test_the_runs_said_to_be_needed_reach_the_power_and_one_fewer_does_not():
    case = of_repetitions([0.5, 1.5, -0.2, 0.9, 0.4, 0.1])
    few, many = runs_range(case, 0.0)
    spread = np.sqrt(case.variance * case.n)
    ends = [abs(end) / spread for end in case.interval(0.8)]
    for effect, n in ((max(ends), few), (min(ends), many)):
        assert power(effect, int(n)) >= 0.8
        assert n == case.n + 1 or power(effect, int(n) - 1) < 0.8
    assert few <= many
    assert runs_range(of_repetitions([-1.0, 1.0, 0.1]), 0.0)[1] == np.inf  # it may be no effect at all
    assert np.isnan(runs_range(Estimate(1.0, 0.0, 2.0, 3), 0.0)).all()
