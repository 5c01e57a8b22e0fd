"""Comparisons: differences are second minus first, and intervals cover what they should."""

import numpy as np
import pytest

import cemag
from cemag.auditing import digits_example
from cemag.errors import CemagError, DataError


@pytest.fixture(scope="module")
def pair():
    examples = [digits_example(), digits_example(class_weight="balanced")]
    return [cemag.audit(e.factors, class_counts=examples[0].class_counts) for e in examples]


def test_an_audit_differs_in_nothing_from_itself(pair):
    found = cemag.compare(pair[0], pair[0])
    assert found.paired
    assert found.per_class["difference"].eq(0).all()
    assert found.overall[["low", "high"]].eq(0).all(axis=None)
    assert "no difference seen" in found.summary()


def test_differences_are_second_minus_first_over_what_both_predict_correctly(pair):
    found = cemag.compare(*pair)
    one, other = (audit.per_instance for audit in pair)
    both = one["correct"] & other["correct"] & (one["label"] == "9")
    rows = found.per_class.set_index(["class", "measure"])
    both &= one["required_without_bias"].notna() & other["required_without_bias"].notna()
    expected = 100 / 64 * (other["required_without_bias"][both] - one["required_without_bias"][both]).mean()
    assert rows.loc[("9", "required_share"), "difference"] == pytest.approx(expected)
    assert rows.loc[("9", "required_share"), "n"] == both.sum()
    recall = [audit.per_class.set_index("class").loc["9", "recall"] for audit in pair]
    assert rows.loc[("9", "recall"), ["before", "after"]].tolist() == pytest.approx(recall)
    assert (rows["low"] <= rows["difference"]).all()
    assert (rows["difference"] <= rows["high"]).all()
    minority = found.overall.set_index(["measure", "role"]).loc[("recall", "minority")]
    by_class = rows.loc[[(str(c), "recall") for c in range(5, 10)], "difference"]
    assert minority["difference"] == pytest.approx(by_class.mean())
    assert minority["n_classes"] == 5


def test_intervals_agree_with_the_normal_approximation(pair):
    found = cemag.compare(*pair, n_resamples=4000)
    one, other = (audit.per_instance for audit in pair)
    of_class = one["label"] == "8"
    change = other["correct"][of_class].astype(float) - one["correct"][of_class].astype(float)
    half = 1.96 * change.std(ddof=0) / np.sqrt(len(change))
    row = found.per_class.set_index(["class", "measure"]).loc[("8", "recall")]
    assert row["high"] - row["low"] == pytest.approx(2 * half, rel=0.15)


def test_other_instances_are_compared_without_pairs(pair):
    elsewhere = digits_example(1)
    found = cemag.compare(pair[0], cemag.audit(elsewhere.factors, class_counts=elsewhere.class_counts))
    paired = cemag.compare(*pair)
    assert not found.paired
    assert "different instances" in found.summary()
    widths = [(c.per_class["high"] - c.per_class["low"]).mean() for c in (found, paired)]
    assert widths[0] > widths[1]


def test_labels_sorted_by_class_do_not_make_instances_the_same():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 30)
    one, other = (
        cemag.audit(features=np.eye(3)[labels] + rng.random((90, 3)), weights=np.eye(3), labels=labels)
        for _ in range(2)
    )
    assert not cemag.compare(one, other).paired
    assert cemag.compare(one, other, paired=True).paired


def test_pairs_can_be_declined_and_not_forced(pair):
    assert cemag.compare(*pair).paired
    assert not cemag.compare(*pair, paired=False).paired
    elsewhere = cemag.audit(digits_example(1).factors)
    with pytest.raises(DataError, match="paired is True: the labels"):
        cemag.compare(pair[0], elsewhere, paired=True)


def test_what_cannot_be_compared_is_refused(pair):
    rng = np.random.default_rng(0)
    other = cemag.audit(features=rng.random((9, 3)), weights=rng.random((3, 3)), labels=[0, 1, 2] * 3)
    with pytest.raises(CemagError, match="the classes differ"):
        cemag.compare(pair[0], other)
    with pytest.raises(DataError, match="confidence is 95"):
        cemag.compare(*pair, confidence=95)
    with pytest.raises(DataError, match="n_resamples is 5"):
        cemag.compare(*pair, n_resamples=5)


def test_a_moved_bias_is_no_change_of_ces():
    """What class weights do to a model of common covariance: only the intercept moves."""
    from dataclasses import replace

    example = digits_example()
    ce = example.factors.ce
    prior = np.log(np.array(example.class_counts) / sum(example.class_counts))
    moved = replace(example.factors, ce=replace(ce, bias=ce.bias - prior))
    before, after = (cemag.audit(f, class_counts=example.class_counts) for f in (example.factors, moved))
    found = cemag.compare(before, after)
    rows = found.overall.set_index(["measure", "role"])
    assert rows.loc[("recall", "minority"), "low"] > 0.03
    for measure in ("required_share", "top_share", "largest_share"):
        assert rows.loc[measure, ["difference", "low", "high"]].eq(0).all(axis=None)


def test_the_same_seed_gives_the_same_intervals(pair):
    one, other = (cemag.compare(*pair, random_state=3).per_class for _ in range(2))
    assert one.equals(other)
