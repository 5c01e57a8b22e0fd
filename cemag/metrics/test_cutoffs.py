"""Other cut-offs of "the top": what they say is what brute force says, and at 10 % what `measure` says."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.metrics import TrainingView, cutoffs, measure


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(3, 40))
    test, train = (ClassificationEmbeddings(rng.gamma(1, size=(n, 40)), weights) for n in (60, 90))
    return test, test.predictions, TrainingView(train, rng.integers(0, 3, 90))


def values(table):
    return {(r["class"], r["share"], r["quantity"]): r["value"] for r in table.to_pylist()}


def test_values_are_those_of_brute_force(case):
    ce, y, train = case
    found = values(cutoffs(ce, y, train=train, shares=[0.2]))
    for label in range(3):
        shares = []
        for i in np.flatnonzero(y == label):
            sizes = sorted(np.abs(ce.features[i] * ce.weights[label]), reverse=True)
            shares.append(sum(sizes[:8]) / sum(sizes))
        assert found[str(label), 0.2, "top_share"] == pytest.approx(np.mean(shares))
        sizes = np.abs(train.ce.features[train.y == label] * train.ce.weights[label])
        often = [(np.argsort(-row).argsort() < 8) for row in sizes]
        expected = spearmanr(np.mean(often, axis=0), sizes.mean(axis=0)).statistic
        assert found[str(label), 0.2, "top_frequency"] == pytest.approx(expected)


def test_at_ten_per_cent_it_says_what_measure_says(case):
    ce, y, train = case
    found, tables = values(cutoffs(ce, y, train=train, shares=[0.1])), measure(ce, y, train=train)
    for row in tables["concentration"].to_pylist():
        if (row["quantity"], row["source"]) == ("top_share", "model"):
            assert found[row["class"], 0.1, "top_share"] == pytest.approx(row["mean"])
    for row in tables["relation"].to_pylist():
        if (row["relation"], row["statistic"]) == ("top_frequency", "spearman"):
            assert found[row["class"], 0.1, "top_frequency"] == pytest.approx(row["estimate"], abs=1e-6)


def test_a_class_that_is_never_predicted_correctly_has_no_top_share(case):
    ce, y, train = case
    found = values(cutoffs(ce, np.where(y == 0, 1, y), train=train))
    assert np.isnan(found["0", 0.05, "top_share"])
    with pytest.raises(DataError, match=r"share is 0.0: it must be above 0"):
        cutoffs(ce, y, train=train, shares=[0.0])
