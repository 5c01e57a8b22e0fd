"""Inference: levels and power by simulation, oracles from scipy and statsmodels, brute force for the rest."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from cemag.reproduction.claims import over_repeats
from cemag.reproduction.claims.old_inference import (
    ALPHA,
    decide_cases,
    equivalence,
    hierarchical_interval,
    power,
    runs_needed,
)

N_STUDIES = 1000
SLACK = 3 * np.sqrt(ALPHA * (1 - ALPHA) / N_STUDIES)  # of a share in as many simulated studies


def simulated(rng, mean, n_cases, n, design="seeds"):
    """Cases of many studies at once: (N_STUDIES * n_cases) rows as `over_repeats` gives them."""
    values = rng.normal(mean, 1.0, (N_STUDIES, n_cases, n))
    study, case, split = np.meshgrid(*(range(k) for k in values.shape), indexing="ij")
    frame = pd.DataFrame(
        {"study": study.ravel(), "case": case.ravel(), "split": split.ravel(), "x": values.ravel()}
    )
    return over_repeats(frame.assign(design=design), "x", ["study", "case"])


def decisions(cases, bound=0.0, direction="above"):
    return [
        decide_cases(of_study, bound, direction)["decision"].to_numpy()
        for _, of_study in cases.groupby("study")
    ]


@pytest.mark.parametrize(("n_cases", "n", "design"), [(1, 3, "seeds"), (8, 3, "seeds"), (10, 5, "folds")])
def test_at_no_effect_false_decisions_stay_under_the_level(n_cases, n, design):
    found = decisions(simulated(np.random.default_rng(n_cases + n), 0.0, n_cases, n, design))
    for wrong in ("holds", "fails"):
        share = np.mean([(of_study == wrong).any() for of_study in found])
        assert share <= ALPHA + SLACK, (wrong, share)


def correlated(rng, mean, n):
    """Folds whose mean varies as that of folds which share training rows: by 1/n + 1/(n-1)."""
    shared = rng.normal(0, np.sqrt(1 / (n - 1)), (N_STUDIES, 1))
    values = rng.normal(mean, 1.0, (N_STUDIES, n)) + shared
    study, split = np.meshgrid(range(N_STUDIES), range(n), indexing="ij")
    frame = {"study": study.ravel(), "case": 0, "split": split.ravel(), "x": values.ravel()}
    return over_repeats(pd.DataFrame(frame).assign(design="folds"), "x", ["study", "case"])


@pytest.mark.parametrize(
    ("effect", "n", "design"), [(2.0, 3, "seeds"), (1.0, 5, "seeds"), (3.0, 3, "seeds"), (2.0, 5, "folds")]
)
def test_at_an_effect_power_is_as_stated(effect, n, design):
    rng = np.random.default_rng(int(10 * effect) + n)
    cases = simulated(rng, effect, 1, n) if design == "seeds" else correlated(rng, effect, n)
    share = np.mean([of_study[0] == "holds" for of_study in decisions(cases)])
    stated = power(effect, n, folds=design == "folds")
    assert share == pytest.approx(stated, abs=3 * np.sqrt(stated * (1 - stated) / N_STUDIES))


def test_the_runs_said_to_be_needed_are_the_fewest_that_reach_the_power():
    for effect, alpha, folds in product((0.3, 0.8, 1.5, 4.0), (ALPHA, ALPHA / 12), (False, True)):
        n = int(runs_needed(effect, alpha, folds))
        assert power(effect, n, alpha, folds) >= 0.8
        assert n == 2 or power(effect, n - 1, alpha, folds) < 0.8
    assert runs_needed(9.0, above=5) == 6  # five did not decide
    assert runs_needed(1.0) == TTestPower().solve_power(1.0, None, ALPHA, 0.8, "larger").__ceil__()
    assert runs_needed(0.0) == np.inf
    assert np.isnan(runs_needed(float("nan")))


@given(
    st.lists(st.floats(-50, 50), min_size=3, max_size=8).filter(lambda v: np.ptp(v) > 1e-2),
    st.floats(-10, 10),
)
def test_one_case_is_scipys_one_sided_test(values, bound):
    frame = pd.DataFrame({"case": 0, "x": values, "design": "seeds"})
    row = decide_cases(over_repeats(frame, "x", ["case"]), bound, "above").iloc[0]
    assert row["p_holds"] == pytest.approx(stats.ttest_1samp(values, bound, alternative="greater").pvalue)
    assert row["p_fails"] == pytest.approx(stats.ttest_1samp(values, bound, alternative="less").pvalue)
    other = decide_cases(over_repeats(frame, "x", ["case"]), bound, "below").iloc[0]
    assert (other["p_holds"], other["p_fails"]) == pytest.approx((row["p_fails"], row["p_holds"]))


@settings(max_examples=25)
@given(st.lists(st.floats(-6, 6), min_size=1, max_size=12))
def test_the_correction_is_statsmodels_holm(means):
    cases = pd.DataFrame({"mean": means, "sd": 1.0, "n": 4, "se": 0.5, "df": 3})
    alone = stats.t.sf(np.array(means) / 0.5, 3)
    expected = multipletests(alone, method="holm")[1]
    np.testing.assert_allclose(decide_cases(cases, 0, "above")["p_holds"], expected)


def test_spread_of_zero_is_taken_at_its_word_and_one_run_decides_nothing():
    cases = pd.DataFrame(
        {"mean": [1.0, -1.0, 0.0, 9.0], "sd": [0, 0, 0, np.nan], "n": [3, 3, 3, 1], "df": [2, 2, 2, np.nan]}
    )
    cases["se"] = cases["sd"]
    found = decide_cases(cases, 0.0, "above")
    assert found["decision"].tolist() == ["holds", "fails", "fails", "undecided"]
    assert np.isnan(found["p_holds"].iloc[3])


@given(
    st.lists(st.floats(-9, 9), min_size=3, max_size=9).filter(lambda v: np.ptp(v) > 1e-2), st.floats(0.1, 9)
)
def test_equivalence_is_statsmodels_two_one_sided_tests(values, margin):
    p = ttost_paired(np.array(values), np.zeros(len(values)), -margin, margin)[0]
    n = len(values)
    found = equivalence(np.mean(values), np.std(values, ddof=1) / np.sqrt(n), n - 1, margin)
    assert found == pytest.approx(p, abs=1e-9)
    assert equivalence(0.0, 0.0, 2, margin) == 0.0
    assert equivalence(margin, 0.0, 2, margin) == 1.0


def test_a_hierarchical_interval_draws_whole_repetitions():
    rows = product(["a"], ["majority", "minority"], range(3))
    frame = pd.DataFrame(rows, columns=["dataset", "class", "seed"])
    frame["x"] = np.where(frame["class"] == "minority", 20.0, 10.0)
    assert hierarchical_interval(frame, "x") == (15.0, 15.0)  # roles are not drawn


def test_a_hierarchical_interval_covers_where_cases_share_their_repetition():
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(product("a", range(5), range(12)), columns=["dataset", "augmenter", "seed"])
    covered = 0
    for _ in range(200):
        effect = rng.normal(0, 1, 12)[frame["seed"]]  # what a seed does to all augmenters alike
        low, high = hierarchical_interval(frame.assign(x=effect), "x", n_resamples=400)
        covered += low <= 0 <= high
    assert covered / 200 > 0.85  # a percentile bootstrap of twelve: a little below 95 %


def test_a_hierarchical_interval_is_the_literal_bootstraps():
    rng = np.random.default_rng(3)
    sizes = {"a": 5, "b": 3, "c": 7, "d": 4}
    frame = pd.concat(
        pd.DataFrame({"dataset": name, "x": rng.normal(i, 1 + i / 2, n)})
        for i, (name, n) in enumerate(sizes.items())
    )
    literal = []
    for _ in range(4000):
        chosen = rng.choice(list(sizes), len(sizes))
        literal.append(
            np.mean([rng.choice(frame["x"][frame["dataset"] == c], sizes[c]).mean() for c in chosen])
        )
    found = hierarchical_interval(frame, "x")
    np.testing.assert_allclose(found, np.quantile(literal, [0.025, 0.975]), atol=0.12)
    assert hierarchical_interval(frame, "x") == found
    assert np.isnan(hierarchical_interval(frame.iloc[:0], "x")).all()
