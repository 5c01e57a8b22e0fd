"""Concentration, frequency and relation agree with literal formulas and independent libraries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError
from cemag.metrics import (
    concentration,
    frequency,
    half_normal_null,
    measure,
    n_top,
    permuted_weights_null,
    relation,
)
from cemag.metrics.concentration import of_magnitudes
from cemag.metrics.relation import _correlate

MAGNITUDES = hnp.arrays(
    float,
    st.tuples(st.integers(1, 4), st.integers(2, 30)),
    elements=st.floats(0, 100).map(lambda v: round(v, 3)),
)


@settings(max_examples=100, deadline=None)
@given(MAGNITUDES)
def test_concentration_is_the_literal_one(magnitudes):
    found = of_magnitudes(magnitudes)
    d = magnitudes.shape[1]
    for n, row in enumerate(magnitudes):
        total = sum(row)
        if total == 0:
            assert np.isnan([found.top_share[n], found.gini[n], found.participation_ratio[n]]).all()
            continue
        assert found.top_share[n] == pytest.approx(sum(sorted(row)[-n_top(d) :]) / total)
        assert found.participation_ratio[n] == pytest.approx(total**2 / sum(v * v for v in row))
        pairs = sum(abs(a - b) for a in row for b in row)
        assert found.gini[n] == pytest.approx(pairs / (2 * d * total), abs=1e-9)
        assert found.entropy[n] == pytest.approx(stats.entropy(row) / np.log(d), abs=1e-9)


def test_extremes_of_concentration():
    equal, single = of_magnitudes(np.array([[1.0] * 10, [5.0] + [0.0] * 9])).__dict__.values(), None
    top, ratio, gini, entropy = equal
    assert top.tolist() == pytest.approx([0.1, 1.0])
    assert ratio.tolist() == pytest.approx([10, 1])
    assert gini.tolist() == pytest.approx([0.0, 0.9])
    assert entropy.tolist() == pytest.approx([1.0, 0.0])
    assert single is None


@pytest.mark.parametrize(("d", "share", "expected"), [(64, 0.1, 7), (30, 0.1, 3), (1, 0.1, 1), (10, 1.0, 10)])
def test_top_tenth_is_rounded_up(d, share, expected):
    assert n_top(d, share) == expected


def test_half_normal_null_is_the_one_of_theory():
    found = half_normal_null(5000)
    assert found["top_share"] == pytest.approx(np.exp(-(stats.norm.ppf(0.95) ** 2) / 2), abs=0.003)
    assert found["participation_ratio"] / 5000 == pytest.approx(2 / np.pi, abs=0.003)
    assert found["gini"] == pytest.approx(np.sqrt(2) - 1, abs=0.003)


def test_permuting_equal_weights_changes_nothing():
    rng = np.random.default_rng(1)
    ce = ClassificationEmbeddings(rng.random((20, 9)), np.ones((1, 9)))
    np.testing.assert_allclose(permuted_weights_null(ce).gini, concentration(ce).gini)


def test_frequency_is_the_literal_one():
    rng = np.random.default_rng(2)
    ce = ClassificationEmbeddings(np.maximum(rng.normal(size=(60, 25)), 0), rng.normal(size=(3, 25)))
    y = rng.integers(0, 2, 60)  # class 2 has no instance
    found = frequency(ce, y)
    assert np.isnan(found.top_frequency[2]).all()
    for c in (0, 1):
        ces = np.abs(ce.weights[c] * ce.features[np.flatnonzero(y == c)])
        top = [set(np.argsort(-row)[:3]) for row in ces]
        expected = [sum(j in t for t in top) / len(top) for j in range(25)]
        np.testing.assert_allclose(found.top_frequency[c], expected)
        np.testing.assert_allclose(found.activation_frequency[c], (ces > 0).mean(axis=0))
        active_mean = [row[row > 0].mean() for row in ces.T]
        np.testing.assert_allclose(found.mean_magnitude_active[c], active_mean)
        np.testing.assert_allclose(found.mean_magnitude[c], ces.mean(axis=0))


def test_activity_is_measured_from_the_baseline():
    ce = ClassificationEmbeddings([[1.0, 5.0], [1.0, 4.0]], [[1.0, 1.0]])
    found = frequency(ce, [1, 1], baseline=[1.0, 5.0])
    assert found.activation_frequency[1].tolist() == [0.0, 0.5]
    assert np.isnan(found.mean_magnitude_active[1][0])
    with pytest.raises(DataError, match="tolerance is -1"):
        frequency(ce, [1, 1], tolerance=-1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 5)), min_size=3, max_size=25))
def test_correlations_are_scipys_also_within_a_resample(pairs):
    x, y = np.array(pairs, dtype=float).T
    counts = np.random.default_rng(0).multinomial(len(x), np.full(len(x), 1 / len(x)), size=5)
    for statistic, peer in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        found = relation(x, y, statistic=statistic, n_resamples=50)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            assert np.isnan(found.estimate)
            continue
        assert found.estimate == pytest.approx(peer(x, y).statistic, abs=1e-9)
        for drawn, r in zip(counts, _correlate(x, y, counts.astype(float), statistic), strict=True):
            u, v = np.repeat(x, drawn), np.repeat(y, drawn)
            if np.ptp(u) > 0 and np.ptp(v) > 0:
                assert r == pytest.approx(peer(u, v).statistic, abs=1e-6)


def test_bootstrap_interval_agrees_with_scipys():
    rng = np.random.default_rng(3)
    x = rng.normal(size=80)
    y = x + rng.normal(size=80)
    found = relation(x, y, statistic="spearman", n_resamples=4000)
    peer = stats.bootstrap(
        (x, y), lambda a, b: stats.spearmanr(a, b).statistic, paired=True, n_resamples=1000,
        vectorized=False, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert found.low == pytest.approx(peer.low, abs=0.04)
    assert found.high == pytest.approx(peer.high, abs=0.04)


def test_relations_that_do_not_exist_are_nan_not_zero():
    assert np.isnan(relation([1, 1, 1, 1], [1, 2, 3, 4]).estimate)
    assert relation([1, np.nan, 2], [1, 2, 3]).n == 2
    with pytest.raises(DataError, match="one pair a feature"):
        relation([1, 2], [1, 2, 3])


def test_measure_states_what_a_class_without_correct_predictions_has():
    ce = ClassificationEmbeddings(np.ones((4, 3)), [[1.0, 2.0, 3.0]])  # predicts class 1 throughout
    tables = measure(ce, [0, 0, 1, 1])
    required = tables["required"].to_pandas().query("`class` == '0'")
    assert (required["n"] == 0).all()
    assert required[["mean", "union", "common_subset"]].isna().all(axis=None)
    assert tables["per_class"].to_pandas()["recall"].tolist() == [0.0, 1.0]


def test_measure_keeps_ranks_evenly_spaced_where_features_are_many():
    rng = np.random.default_rng(4)
    ce = ClassificationEmbeddings(rng.random((10, 600)), rng.normal(size=(1, 600)))
    features = measure(ce, ce.predictions)["features"].to_pandas()
    counts = features.groupby("class").size()
    assert (counts <= 256).all()
    assert not features.duplicated(["class", "feature"]).any()
