"""Thirteen faults that a check found in earlier verdicts, each as a study in which it would mislead."""

import math

import numpy as np
import pytest
from scipy import stats

from cemag.reproduction.claims.answers import answer
from cemag.reproduction.claims.contrasts import PlannedRuns, required_changes
from cemag.reproduction.claims.inference import of_repetitions
from cemag.reproduction.claims.plan import PLAN
from cemag.reproduction.claims.sentences import needed_in_words, sentence


def row_of(frames, claim, family="cnn"):
    return answer(claim, PlannedRuns(family, frames.classes, frames.instances))


def test_v1_a_correlation_that_a_model_without_learning_has_too_does_not_hold(made):
    made.set("c5a", lambda now: np.random.default_rng(1).normal(0.9, 0.01, len(now)), family="cnn")
    row = row_of(made, "C5a")
    assert row.quantity.mean == pytest.approx(0.9, abs=0.01)  # far above 0, which is no null
    assert row.plain.word == "holds"
    assert row.verdict.word not in ("holds", "mostly holds")


def test_v2_what_standardising_alone_does_is_in_the_null_too(made):
    made.set("c5b", lambda now: np.random.default_rng(1).normal(-0.65, 0.01, len(now)), family="logistic")
    row = row_of(made, "C5b", "logistic")
    assert row.plain.word == "fails"
    assert row.verdict.word not in ("fails", "mostly fails")


def test_v3_the_count_is_without_the_bias_which_is_told_apart(made):
    assert PLAN.counting.rule["bias"] == "without"
    made.set("by_bias", 0.9, family="logistic")
    assert row_of(made, "C1", "logistic").by_bias == pytest.approx(0.9)


def test_v4_a_handful_of_instances_decides_nothing(made):
    for column in ("n_correct", "n_counted", "n_common"):
        made.set(column, 3, family="svm", source="model", role="minority")
    row = row_of(made, "C2", "svm")
    decisions = {case.decision for case in row.cases if case.role == "minority"}
    assert decisions == {"not measurable"}
    assert row.verdict.n == 5
    for column in ("n_correct", "n_counted", "n_common"):
        made.set(column, 3, family="svm", source="model")
    assert row_of(made, "C2", "svm").verdict.word == "not measurable"


def test_v5_augmentation_is_judged_on_the_same_instances_of_the_same_classes(made):
    # half of the instances are recognised only with augmentation, and require ten times as many CEs
    hard = (made.instances["instance"] % 2 == 0) & (made.instances["family"] == "cnn")
    made.instances.loc[hard & (made.instances["augmenter"] == "none"), "correct"] = False
    made.instances.loc[hard, "required"] *= 10
    row = row_of(made, "C4b")
    assert math.exp(row.pooled["minority"].mean) == pytest.approx(1.0, abs=0.05)
    assert row.verdict.word == "holds"


def test_v6_what_no_case_shows_alone_the_declared_pooled_contrast_shows(make):
    frames = make(spread=1e-9)
    rng = np.random.default_rng(5)
    keep = frames.rows(family="cnn", source="model")
    frames.classes.loc[keep, "top_share"] = 0.45 + 0.03 + rng.normal(0, 0.06, keep.sum())
    row = row_of(frames, "C3")
    assert row.pooled["both roles"].p_above(0) < 0.01
    assert sum(case.decision == "holds" for case in row.cases) < len(row.cases)


@pytest.mark.parametrize(
    ("n_holds", "n_fails", "word"), [(1, 7, "mixed"), (9, 0, "mostly holds"), (0, 9, "mostly fails")]
)
def test_v7_one_hold_beside_seven_fails_has_another_word_than_nine_holds(made, n_holds, n_fails, word):
    cases = [(d, r) for d in PLAN.sets("logistic") for r in ("majority", "minority")]
    rng = np.random.default_rng(0)
    for i, (dataset, role) in enumerate(cases):
        chosen = {"family": "logistic", "dataset": dataset, "role": role, "source": "model"}
        value = 0.65 if i < n_holds else 0.25 if i < n_holds + n_fails else 0.45
        spread = 0.05 if value == 0.45 else 0.002
        made.set("top_share", lambda now, v=value, s=spread: v + rng.normal(0, s, len(now)), **chosen)
    assert row_of(made, "C3", "logistic").verdict.word == word


def test_v8_statistics_of_the_weights_have_a_wider_interval_than_test_losses(made):
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    test, weights = (of_repetitions(values, PLAN.fold_factor(of)) for of in ("test", "weights"))
    assert test.variance == pytest.approx((1 / 5 + 1 / 4) * np.var(values, ddof=1))  # Nadeau and Bengio's
    assert weights.variance == pytest.approx((1 / 5 + 1.25) * np.var(values, ddof=1))
    case = row_of(made, "C3", "logistic").cases[0]
    assert case.estimate.variance / case.estimate.n > 0


def test_v9_the_pooled_interval_over_fixed_sets_covers(make):
    rng = np.random.default_rng(0)
    from cemag.reproduction.claims.inference import pooled

    covered = 0
    for _ in range(1000):
        centres = rng.normal(0, 3, 3)  # sets differ by far more than repetitions do
        low, high = pooled([of_repetitions(c + rng.normal(size=12)) for c in centres]).interval()
        covered += low <= centres.mean() <= high
    assert 0.93 <= covered / 1000 <= 0.97


def test_v10_no_change_is_a_ratio_with_a_margin_on_both_sides(made):
    assert PLAN.claims["C4b"].bound == pytest.approx(math.log(1.25))
    augmented = (made.instances["family"] == "cnn") & (made.instances["augmenter"] != "none")
    made.instances.loc[augmented, "required"] *= 0.5
    row = row_of(made, "C4b")
    assert row.verdict.word == "holds"  # it does not increase ...
    assert row.equivalent == 0  # ... and is far from no change
    # from 2 % to 4 % of the CEs is 2 points, and twice as many
    made.instances.loc[augmented, "required"] *= 4
    made.instances.loc[made.instances["family"] == "cnn", "required"] *= 0.02 * 64 / 10
    row = row_of(made, "C4b")
    assert row.verdict.word == "fails"
    assert row.other["bound"]["10 points in place of a ratio of 1.25"] == "holds"


def test_v11_shares_are_of_distinct_ces(made):
    # with twice the support vectors, all of them copies, the share of the distinct ones has not changed
    runs = PlannedRuns("svm", made.classes, made.instances)
    points = required_changes(runs)["log ratio"]
    assert np.mean([point.value for point in points]) == pytest.approx(0, abs=0.01)
    assert "distinct" in PLAN.counting.support_vectors


def test_v12_augmentation_is_held_against_a_moved_threshold(made):
    augmenters = ["ros", "smote", "adasyn", "remix", "class_weight", "dsm", "eos"]
    made.set("recall", lambda now: 0.7 + (now - 0.75), augmenter=augmenters, role="minority")
    made.set("balanced_accuracy", lambda now: 0.825 + (now - 0.85), augmenter=augmenters)
    row = row_of(made, "C4a", "logistic")
    assert row.verdict.word == "holds"
    low, high = row.beside["balanced accuracy beyond a moved threshold"].interval()
    assert low < 0 < high
    assert row.other["score"]["balanced accuracy beyond a moved threshold"] == "open"
    text = sentence(row)
    assert "A moved threshold alone gives +20 points of recall" in text
    assert "balanced accuracy" in text


def test_v13_what_was_fixed_after_data_were_seen_is_listed_with_its_date():
    listed = {change.what: change for change in PLAN.changed_after_data}
    assert "bounds 20, 50 and 5" in listed
    assert all(change.fixed and change.note for change in listed.values())
    assert set(PLAN.units.images.sets["miniplaces"].seeds).isdisjoint({0, 1, 2})  # which had been seen


def test_lost_folds_do_not_narrow_the_interval():
    # the planned number of folds gives the factor, whatever number of them has a value
    whole, four = ([0.1, 0.2, 0.3, 0.4, 0.25][:n] for n in (5, 4))
    factor = PLAN.fold_factor("test")
    assert factor == 1 / (PLAN.repetitions("logistic") - 1)
    found = of_repetitions(four, factor)
    assert found.variance == pytest.approx((1 / 4 + 1 / 4) * np.var(four, ddof=1))
    assert of_repetitions(whole, factor).df == 4


def test_how_many_runs_would_decide_is_a_range(make):
    frames = make(spread=0.4)
    row = row_of(frames, "C5a")
    low, high = row.needed
    assert 12 < low < high
    assert "to" in needed_in_words(row)


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [0.2, -0.1, 0.5, 0.9, 0.3]])
def test_one_case_is_scipys_one_sided_test(values):
    found = of_repetitions(values)
    for bound in (-0.5, 0.0, 1.0):
        above = stats.ttest_1samp(values, bound, alternative="greater").pvalue
        assert found.p_above(bound) == pytest.approx(above)
        assert found.p_below(bound) == pytest.approx(1 - above)
    peer = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.interval() == pytest.approx((peer.low, peer.high))
