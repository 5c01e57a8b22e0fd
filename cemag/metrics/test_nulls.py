"""Nulls: weights are only dealt anew, and what is counted beside them is what a literal reading counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import (
    Rule,
    concentration_against,
    measure,
    permuted_weights,
    required_against,
    rules_for,
)

# whole numbers, so that ties are exact and sums do not round
WHOLE = st.integers(-3, 3)


@st.composite
def embeddings(draw):
    n, d, rows = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 4))

    def array(*shape):
        flat = draw(st.lists(WHOLE, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flat, dtype=float).reshape(shape)

    return ClassificationEmbeddings(array(n, d), array(rows, d), array(rows))


def model_of(rng, n=40, d=12, n_classes=3):
    return ClassificationEmbeddings(
        np.maximum(rng.normal(size=(n, d)), 0), rng.normal(size=(n_classes, d)), rng.normal(size=n_classes)
    )


def decided(sums):
    """Class that sums decide for, or None where two are equal."""
    if len(sums) == 1:
        return None if sums[0] == 0 else int(sums[0] > 0)
    best = max(sums)
    return None if sums.count(best) > 1 else sums.index(best)


def literal_count(ce, n, rule):
    """CEs required for the model's own prediction: keep k of them, then one more, until it is made."""
    features, weights, d = ce.features[n], ce.weights, ce.n_features
    bias = ce.bias if rule.bias else 0 * ce.bias
    whole = [sum(w[j] * features[j] for j in range(d)) + b for w, b in zip(weights, bias, strict=True)]
    own = int(whole[0] > 0) if len(whole) == 1 else whole.index(max(whole))
    sign = 1 if len(whole) > 1 or own == 1 else -1
    ces = [sign * weights[own if len(whole) > 1 else 0][j] * features[j] for j in range(d)]
    order = sorted(range(d), key=lambda j: (-ces[j], j))
    if rule.ranking == "magnitude":
        order = sorted(order, key=lambda j: -abs(ces[j]))
    kept = []
    for k in range(d + 1):
        sums = [
            sum(w[j] * features[j] for j in order[:k]) + b
            if c == own or rule.sufficiency == "shared"
            else all_
            for c, (w, b, all_) in enumerate(zip(weights, bias, whole, strict=True))
        ]
        if len(whole) == 1:
            sums = [sum(weights[0][j] * features[j] for j in order[:k]) + bias[0]]
        kept.append(k == d or decided(sums) == own)
    if rule.stability == "first":
        return kept.index(True)
    return next(k for k in range(d + 1) if all(kept[k:]))


@settings(max_examples=150, deadline=None)
@given(embeddings(), st.integers(0, 2**32 - 1))
def test_each_class_keeps_its_weights_and_nothing_else_is_touched(ce, seed):
    weights = ce.weights.copy()
    dealt = permuted_weights(ce, random_state=seed)
    np.testing.assert_array_equal(np.sort(dealt.weights, axis=1), np.sort(weights, axis=1))
    np.testing.assert_array_equal(dealt.features, ce.features)
    np.testing.assert_array_equal(dealt.bias, ce.bias)
    np.testing.assert_array_equal(ce.weights, weights)
    np.testing.assert_array_equal(permuted_weights(ce, random_state=seed).weights, dealt.weights)
    sums = dealt.features @ dealt.weights.T + dealt.bias  # it predicts by the weights that were dealt
    expected = sums.argmax(axis=1) if len(weights) > 1 else sums[:, 0] > 0
    np.testing.assert_array_equal(dealt.predictions, expected)


def test_classes_are_dealt_apart_and_another_seed_deals_in_another_way():
    same_rows = ClassificationEmbeddings(np.ones((1, 50)), np.tile(np.arange(50.0), (2, 1)))
    dealt = permuted_weights(same_rows).weights
    assert not np.array_equal(dealt[0], dealt[1])
    assert not np.array_equal(dealt, permuted_weights(same_rows, random_state=1).weights)


def test_every_place_is_as_likely_as_any_other():
    ce = ClassificationEmbeddings([[1.0] * 4], [[0.0, 1.0, 2.0, 3.0]])
    places = [int(permuted_weights(ce, random_state=seed).weights[0].argmax()) for seed in range(800)]
    assert stats.chisquare(np.bincount(places, minlength=4)).pvalue > 0.001


@settings(max_examples=100, deadline=None)
@given(embeddings())
def test_counts_are_those_of_literal_truncation_right_or_wrong(ce):
    rows = required_against({"model": ce}).to_pylist()
    assert len(rows) == len(rules_for(ce))
    for row in rows:
        rule = Rule(*(row[name] for name in ("ranking", "sufficiency", "stability", "bias")))
        counts = [literal_count(ce, n, rule) for n in range(ce.n_instances)]
        assert (row["source"], row["n"], row["n_ces"]) == ("model", len(counts), ce.n_features)
        assert row["mean"] == pytest.approx(np.mean(counts)), rule.name
        assert row["median"] == pytest.approx(np.median(counts)), rule.name
        sd = np.std(counts, ddof=1) if len(counts) > 1 else np.nan
        assert row["sd"] == pytest.approx(sd, nan_ok=True), rule.name


def test_each_model_is_judged_as_if_alone_and_by_the_rules_asked_for():
    ce = model_of(np.random.default_rng(0))
    null = permuted_weights(ce)
    rules = [Rule(), Rule("magnitude", "shared", "stable")]
    both = required_against({"model": ce, "null": null}, rules).to_pylist()
    assert both == [
        *required_against({"model": ce}, rules).to_pylist(),
        *required_against({"null": null}, rules).to_pylist(),
    ]
    assert [row["source"] for row in both] == ["model", "model", "null", "null"]
    assert len(required_against({"model": ce, "null": null})) == 2 * len(rules_for(ce))


def test_where_all_predictions_are_right_the_count_is_the_one_of_measure():
    ce = model_of(np.random.default_rng(1))
    rules = [rule for rule in rules_for(ce) if rule.bias]  # without it other predictions are right
    found = required_against({"model": ce}, rules).to_pandas()
    by_class = measure(ce, ce.predictions, rules=rules)["required"].to_pandas().query("n > 0")
    keys = ["ranking", "sufficiency", "stability"]
    totals = by_class.assign(mean=by_class["mean"] * by_class["n"]).groupby(keys)[["mean", "n"]].sum()
    expected = found.set_index(keys)["mean"]
    for key, row in totals.iterrows():
        assert row["n"] == ce.n_instances
        assert row["mean"] / row["n"] == pytest.approx(expected[key])


@settings(max_examples=100, deadline=None)
@given(embeddings())
def test_concentration_is_the_formula_of_the_book(ce):
    rows = {row["quantity"]: row for row in concentration_against({"model": ce}).to_pylist()}
    sums = ce.features @ ce.weights.T + ce.bias
    own = sums.argmax(axis=1) if len(ce.weights) > 1 else np.zeros(len(sums), dtype=int)
    sizes = np.abs(ce.weights[own] * ce.features)
    sizes = sizes[sizes.sum(axis=1) > 0]  # one whose CEs are all zero has no concentration
    d = ce.n_features
    p = sizes / sizes.sum(axis=1, keepdims=True)
    expected = {
        "top_share": np.sort(p, axis=1)[:, d - int(np.ceil(d / 10)) :].sum(axis=1),
        "participation_ratio": sizes.sum(axis=1) ** 2 / (sizes**2).sum(axis=1),
        "gini": np.abs(p[:, :, None] - p[:, None, :]).sum(axis=(1, 2)) / (2 * d),
        "entropy": stats.entropy(p, axis=1) / np.log(d) if d > 1 else np.ones(len(p)),
    }
    assert set(rows) == set(expected)
    for quantity, values in expected.items():
        row = rows[quantity]
        assert row["n"] == len(values)
        mean = values.mean() if len(values) else np.nan
        sd = values.std(ddof=1) if len(values) > 1 else np.nan
        assert row["mean"] == pytest.approx(mean, abs=1e-9, nan_ok=True), quantity
        assert row["sd"] == pytest.approx(sd, abs=1e-6, nan_ok=True), quantity


def test_a_model_that_relies_on_few_is_more_concentrated_than_its_null():
    rng = np.random.default_rng(2)
    features = rng.random((60, 40)) * np.where(np.arange(40) < 4, 10, 0.1)
    weights = rng.normal(size=(3, 40)) * np.where(np.arange(40) < 4, 1, 0.1)
    ce = ClassificationEmbeddings(features, weights)
    table = concentration_against({"model": ce, "null": permuted_weights(ce)}).to_pandas()
    means = table.set_index(["source", "quantity"])["mean"]
    assert means["model", "top_share"] > 0.9
    assert means["null", "top_share"] < means["model", "top_share"]
