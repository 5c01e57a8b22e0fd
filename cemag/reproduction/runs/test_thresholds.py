"""Moved thresholds: what they change, and that no CE is among it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import concentration
from cemag.metrics.concentration import of_magnitudes
from cemag.reproduction.runs import RunSpec
from cemag.reproduction.runs.tabular import fit_table
from cemag.reproduction.runs.thresholds import best_threshold, logit_adjusted, tau_normalised


def balanced_accuracy(scores, y, threshold):
    return np.mean([(scores[y == 1] > threshold).mean(), (scores[y == 0] <= threshold).mean()])


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better_than_the_best(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 40)
    scores = np.round(rng.normal(size=40) + y, 1)  # with ties
    best = balanced_accuracy(scores, y, best_threshold(scores, y))
    tried = [balanced_accuracy(scores, y, t) for t in np.linspace(-4, 5, 1801)]
    assert best == pytest.approx(max(tried))


def test_a_single_sum_moves_as_its_two_logits_would():
    counts, sums = [90, 10], np.linspace(-5, 5, 101)
    one = sums + logit_adjusted([0.3], counts)[0] > 0
    two = np.column_stack([np.zeros(101), sums]) + logit_adjusted([0.0, 0.3], counts)
    np.testing.assert_array_equal(one, two.argmax(axis=1) == 1)
    np.testing.assert_array_equal(logit_adjusted([1.0, 2.0], counts, strength=0), [1.0, 2.0])


def test_norms_of_weights_change_no_share_of_a_class():
    rng = np.random.default_rng(0)
    weights, features = rng.normal(size=(4, 9)), rng.gamma(1.0, size=(30, 9))
    for label in range(4):
        plain, normed = (
            concentration(ClassificationEmbeddings(features, w[[label, label]])).top_share
            for w in (weights, tau_normalised(weights, np.zeros(4))[0])
        )
        np.testing.assert_allclose(plain, normed)
    normed, bias = tau_normalised(weights, np.ones(4))
    np.testing.assert_allclose(np.linalg.norm(normed, axis=1), 1)
    np.testing.assert_allclose(bias[:, None] * weights, normed)  # the whole row has one factor


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 2))
def test_t6_a_factor_on_a_row_leaves_its_class_every_share(seed, tau):
    rng = np.random.default_rng(seed)
    ce = ClassificationEmbeddings(rng.gamma(1.0, size=(20, 12)), rng.normal(size=(5, 12)), rng.normal(size=5))
    scaled = ClassificationEmbeddings(ce.features, *tau_normalised(ce.weights, ce.bias, tau))
    before, after = (np.linalg.norm(one.weights, axis=1) for one in (ce, scaled))
    np.testing.assert_allclose(after, before ** (1 - tau))
    for label in range(5):
        mine, its = (of_magnitudes(np.abs(one.of_class(slice(None), label))) for one in (ce, scaled))
        np.testing.assert_allclose(its.top_share, mine.top_share)
        np.testing.assert_allclose(its.participation_ratio, mine.participation_ratio)


def test_t6_a_moved_bias_moves_log_odds_and_recall_and_no_share():
    rng = np.random.default_rng(9)
    features, counts = np.abs(rng.normal(size=(400, 30))), [1000, 300, 100, 30, 10]
    ce = ClassificationEmbeddings(features, rng.normal(size=(5, 30)), rng.normal(size=5))
    moved = replace(ce, bias=logit_adjusted(ce.bias, counts))
    change = moved.logits() - ce.logits()
    np.testing.assert_allclose(change[:, 4] - change[:, 0], np.log(1000 / 10))
    assert (moved.predictions == 4).sum() > (ce.predictions == 4).sum()
    same = moved.predictions == ce.predictions
    np.testing.assert_allclose(concentration(moved).top_share[same], concentration(ce).top_share[same])
    assert logit_adjusted([0.5], [80, 20])[0] == pytest.approx(0.5 + np.log(4))


@pytest.mark.parametrize("model", ["logistic", "svm"])
def test_a_moved_threshold_leaves_every_ce_and_recognises_more_of_the_minority(model):
    spec = RunSpec(dataset="breast_cancer", model=model, imbalance_ratio=12)
    plain, moved = fit_table(spec), fit_table(spec.with_(augmenter="threshold"))
    np.testing.assert_array_equal(plain.ce.weights, moved.ce.weights)
    rows = np.arange(plain.ce.n_instances)
    np.testing.assert_array_equal(plain.ce.features[rows], moved.ce.features[rows])
    assert moved.ce.bias > plain.ce.bias  # towards the minority
    minority = plain.split.y_test == 1
    assert moved.ce.predictions[minority].sum() >= plain.ce.predictions[minority].sum()
