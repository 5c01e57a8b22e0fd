"""The vectorised counts agree with a literal reading of each rule, instance by instance."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import CemagError, DataError
from cemag.metrics import Rule, ces_required, common_subset, required, rules_for

# whole numbers, so that ties are exact and sums do not round
WHOLE = st.integers(-3, 3)


@st.composite
def embeddings(draw):
    n, d, rows = draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(1, 4))

    def array(*shape):
        flat = draw(st.lists(WHOLE, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flat, dtype=float).reshape(shape)

    ce = ClassificationEmbeddings(array(n, d), array(rows, d), array(rows))
    y = np.array(draw(st.lists(st.integers(0, max(1, rows - 1)), min_size=n, max_size=n)))
    return ce, y


def keeps(ce, n, features, sufficiency, bias):
    """Whether the chosen features alone give the prediction, in plain Python."""
    b = ce.bias if bias else np.zeros_like(ce.bias)
    F, W = ce.features[np.array([n])][0], ce.weights
    whole = [sum(w * f for w, f in zip(row, F, strict=True)) + b[c] for c, row in enumerate(W)]
    part = [sum(row[j] * F[j] for j in features) + b[c] for c, row in enumerate(W)]
    if len(features) == len(F):
        return True
    if len(W) == 1:
        return part[0] > 0 if whole[0] > 0 else part[0] < 0
    own = int(np.argmax(whole))
    rivals = part if sufficiency == "shared" else whole
    return all(part[own] > rivals[c] for c in range(len(W)) if c != own)


def predicted(ce, bias):
    return (ce if bias else ce.without_bias()).predictions


def literal_order(ce, n, rule):
    label = predicted(ce, rule.bias)[n]
    ces = ce.of_class(np.array([n]), label)[0]
    # as stated: by contribution with ties by feature; among equal magnitudes those for the class first
    signed = sorted(range(len(ces)), key=lambda j: (-ces[j], j))
    if rule.ranking == "signed":
        return signed
    return sorted(signed, key=lambda j: -abs(ces[j]))


def literal_k(flags, stability):
    if stability == "first":
        return next(k for k, kept in enumerate(flags) if kept)
    return next(k for k in range(len(flags)) if all(flags[k:]))


def literal_count(ce, n, rule):
    order = literal_order(ce, n, rule)
    flags = [keeps(ce, n, order[:k], rule.sufficiency, rule.bias) for k in range(len(order) + 1)]
    return literal_k(flags, rule.stability)


def literal_set(ce, n, rule, k):
    """The k first, with those that tie with the last of them, without those that are zero."""
    ces = ce.of_class(np.array([n]), predicted(ce, rule.bias)[n])[0]
    size = ces if rule.ranking == "signed" else np.abs(ces)
    order = literal_order(ce, n, rule)
    return {j for j in order if k > 0 and size[j] >= size[order[k - 1]] and ces[j] != 0}


@settings(max_examples=150, deadline=None)
@given(embeddings())
def test_counts_and_unions_are_the_literal_ones(case):
    ce, y = case
    found = required(ce, y)
    for rule in rules_for(ce):
        counts = [literal_count(ce, n, rule) for n in range(ce.n_instances)]
        assert found.per_instance[rule].tolist() == counts, rule.name
        for label in range(len(ce.classes)):
            correct = [n for n in range(len(y)) if y[n] == label == predicted(ce, rule.bias)[n]]
            union = set().union(*(literal_set(ce, n, rule, counts[n]) for n in correct))
            expected = len(union) if correct else np.nan
            np.testing.assert_equal(found.union[rule][label], expected, err_msg=rule.name)


@settings(max_examples=150, deadline=None)
@given(embeddings(), st.sampled_from([0.5, 0.95, 1.0]))
def test_common_subsets_are_the_literal_ones_and_bound_the_very_smallest(case, keep):
    ce, y = case
    found = common_subset(ce, y, keep=keep)
    for rule in rules_for(ce):
        for label in range(len(ce.classes)):
            correct = [n for n in range(len(y)) if y[n] == label == predicted(ce, rule.bias)[n]]
            if not correct:
                assert np.isnan(found[rule][label])
                continue
            ces = np.array([ce.of_class(np.array([n]), label)[0] for n in correct])
            # the ranking by mean magnitude breaks ties towards those whose mean speaks for the class
            weight = ce.weights[0] * (1 if label else -1) if ce.single_sum else ce.weights[label]
            features = ce.features[np.array(correct)]
            if rule.ranking == "signed":
                totals = ces.sum(axis=0)
                order = sorted(range(len(totals)), key=lambda j: (-totals[j], j))
            else:
                totals = weight * np.abs(features).sum(axis=0)
                signed = sorted(range(len(totals)), key=lambda j: (-totals[j], j))
                order = sorted(signed, key=lambda j: -abs(totals[j]))
            kept = [
                sum(keeps(ce, n, order[:k], rule.sufficiency, rule.bias) for n in correct)
                for k in range(len(order) + 1)
            ]
            enough = [count >= keep * len(correct) for count in kept]
            assert found[rule][label] == literal_k(enough, rule.stability), rule.name
            if rule.stability == "first":
                assert smallest_subset(ce, correct, rule, keep) <= found[rule][label]


def smallest_subset(ce, correct, rule, keep):
    for size in range(ce.n_features + 1):
        for subset in itertools.combinations(range(ce.n_features), size):
            kept = sum(keeps(ce, n, list(subset), rule.sufficiency, rule.bias) for n in correct)
            if kept >= keep * len(correct):
                return size
    raise AssertionError("all features keep every prediction")


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(0)
    ce = ClassificationEmbeddings(rng.normal(size=(200, 12)), rng.normal(size=(4, 12)), rng.normal(size=4))
    y = rng.integers(0, 4, 200)
    whole, common = required(ce, y), common_subset(ce, y)
    monkeypatch.setattr("cemag.embeddings.classification.BLOCK_BYTES", 8 * 12 * 7)
    pieces, common_pieces = required(ce, y), common_subset(ce, y)
    for rule in rules_for(ce):
        np.testing.assert_array_equal(whole.per_instance[rule], pieces.per_instance[rule])
        np.testing.assert_array_equal(whole.union[rule], pieces.union[rule])
        np.testing.assert_array_equal(common[rule], common_pieces[rule])


@settings(max_examples=50, deadline=None)
@given(embeddings(), st.integers(1, 5))
def test_scaling_all_weights_and_biases_changes_nothing(case, factor):
    ce, _ = case
    scaled = ClassificationEmbeddings(ce.features, ce.weights * factor, ce.bias * factor)
    for rule in rules_for(ce):
        np.testing.assert_array_equal(ces_required(ce, rule), ces_required(scaled, rule))


def test_target_is_shared_where_a_single_sum_decides():
    ce = ClassificationEmbeddings([[1.0, -2.0], [3.0, 1.0]], [[1.0, 1.0]], [0.5])
    for stability in ("first", "stable"):
        np.testing.assert_array_equal(
            ces_required(ce, Rule("signed", "target", stability)),
            ces_required(ce, Rule("signed", "shared", stability)),
        )


def test_stated_results_at_the_edges():
    zero = ClassificationEmbeddings(np.zeros((2, 3)), [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    assert ces_required(zero).tolist() == [3, 3]  # all sums tie: no part of them predicts
    by_bias = ClassificationEmbeddings(np.zeros((1, 3)), np.ones((2, 3)), [0.0, 1.0])
    assert ces_required(by_bias).tolist() == [0]  # the bias alone predicts
    assert ces_required(by_bias, Rule(bias=False)).tolist() == [3]
    one_class = required(by_bias, [1])
    assert np.isnan(one_class.union[Rule()][0])
    assert one_class.union[Rule()][1] == 0


def test_bad_choices_are_refused():
    with pytest.raises(CemagError, match="unknown ranking 'sign': did you mean 'signed'"):
        Rule("sign")
    ce = ClassificationEmbeddings([[1.0]], [[1.0]])
    with pytest.raises(DataError, match="keep is 0: it must be above 0"):
        common_subset(ce, [1], keep=0)
