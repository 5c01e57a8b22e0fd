"""Moved thresholds: what they change, and that no CE is among it."""

import numpy as np
import pytest

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import concentration
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
