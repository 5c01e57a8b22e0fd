"""Margin CEs: they sum to the margin, and no choice of gauge changes them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError


@st.composite
def models(draw):
    """A model without near-ties, so that the runner-up is the same up to rounding."""
    n, d, c = draw(st.integers(2, 8)), draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 3, 5]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ce = ClassificationEmbeddings(rng.normal(size=(n, d)), rng.normal(size=(c, d)), rng.normal(size=c))
    ordered = np.sort(np.abs(ce.logits()) if c == 1 else ce.logits(), axis=1)
    gaps = ordered if c == 1 else np.diff(ordered, axis=1)
    assume(gaps.min() > 1e-6)
    return ce, rng


@given(models())
def test_margin_ces_and_their_bias_sum_to_the_margin(made):
    ce, rng = made
    margins = ce.margins(centre=rng.normal(size=ce.n_features))
    total = margins.of_prediction(slice(None)).sum(axis=1) + margins.bias
    logits = ce.logits()
    if ce.single_sum:
        np.testing.assert_allclose(total, np.abs(logits[:, 0]), atol=1e-9)
    else:
        ordered = np.sort(logits, axis=1)
        np.testing.assert_allclose(total, ordered[:, -1] - ordered[:, -2], atol=1e-9)
    assert (margins.rivals != margins.predictions).all()
    rows = np.concatenate(list(margins.compact_blocks()))
    np.testing.assert_array_equal(rows, np.arange(ce.n_instances))


@given(models())
def test_one_vector_added_to_every_class_changes_no_margin_ce(made):
    ce, rng = made
    if ce.single_sum:
        return  # the vector cancels in the one difference that a single sum is
    moved = ClassificationEmbeddings(ce.features, ce.weights + rng.normal(size=ce.n_features), ce.bias)
    one, other = ce.margins(), moved.margins()
    np.testing.assert_allclose(other.of_prediction(slice(None)), one.of_prediction(slice(None)), atol=1e-9)
    np.testing.assert_allclose(other.bias, one.bias, atol=1e-9)


@given(models())
def test_the_origin_of_the_features_changes_no_margin_ce(made):
    ce, rng = made
    y, origin = rng.integers(0, len(ce.classes), ce.n_instances), rng.normal(size=ce.n_features)
    moved = ClassificationEmbeddings(ce.features - origin, ce.weights, ce.bias + ce.weights @ origin)
    one, other = ce.margins(y=y), moved.margins(y=y)
    np.testing.assert_allclose(other.of_prediction(slice(None)), one.of_prediction(slice(None)), atol=1e-9)
    np.testing.assert_allclose(other.bias, one.bias, atol=1e-9)


@given(models())
def test_a_single_sum_and_the_two_sums_that_it_stands_for_have_the_same(made):
    ce, _ = made
    if not ce.single_sum:
        return
    w, b = ce.weights[0], ce.bias[0]
    two = ClassificationEmbeddings(ce.features, [-w / 2, w / 2], [-b / 2, b / 2])
    one, other = ce.margins(), two.margins()
    np.testing.assert_allclose(other.of_prediction(slice(None)), one.of_prediction(slice(None)), atol=1e-9)
    np.testing.assert_allclose(other.bias, one.bias, atol=1e-9)


def test_every_class_counts_alike_in_the_centre():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 3)), np.repeat([0, 1, 2], [50, 8, 2])
    ce = ClassificationEmbeddings(X, rng.normal(size=(4, 3)))
    expected = np.mean([X[y == c].mean(axis=0) for c in range(3)], axis=0)  # class 3 has no instance
    np.testing.assert_allclose(ce.class_mean(y), expected)
    np.testing.assert_array_equal(ce.margins(y=y).centre, ce.class_mean(y))


def test_they_are_the_shapley_values_of_the_margin():
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 4))
    y = (expit(X[:, 0] - X[:, 2]) > rng.random(80)).astype(int) + (X[:, 1] > 1)
    model = LogisticRegression().fit(X, y)
    margins = ClassificationEmbeddings(X, model.coef_, model.intercept_).margins(centre=X.mean(axis=0))
    values = shap.LinearExplainer(model, X).shap_values(X)  # (N, d, C), against the mean of X
    rows = np.arange(len(X))
    expected = values[rows, :, margins.predictions] - values[rows, :, margins.rivals]
    np.testing.assert_allclose(margins.of_prediction(rows), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("centre", "says"), [([1.0], r"centre has shape \(1,\): \(2,\)"), ([1, np.nan], "NaN")]
)
def test_an_unfit_centre_is_named(centre, says):
    with pytest.raises(DataError, match=says):
        ClassificationEmbeddings([[1.0, 2.0]], [[1.0, 0.0]]).margins(centre=centre)
