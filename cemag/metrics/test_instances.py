"""The fast measures of an audit are those of the metrics, to the last bit, however rows are divided."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from cemag.auditing import early
from cemag.auditing.measures import ablation, per_feature, per_instance, permuted_null
from cemag.embeddings import ClassificationEmbeddings, classification
from cemag.metrics import ces_required, concentration, frequency, permuted_weights

WHOLE = st.integers(-3, 3)  # so that ties are exact and sums do not round


@st.composite
def embeddings(draw):
    n, d, rows = draw(st.integers(1, 7)), draw(st.integers(1, 9)), draw(st.integers(1, 5))

    def array(*shape):
        flat = draw(st.lists(WHOLE, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flat, dtype=float).reshape(shape)

    return ClassificationEmbeddings(array(n, d), array(rows, d), array(rows))


def a_model(seed=0, n=300, d=40, n_classes=7, relu=True):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d))
    features = np.maximum(features, 0) if relu else features
    return ClassificationEmbeddings(
        features, rng.normal(size=(n_classes, d)), rng.normal(size=n_classes)
    ), rng.integers(0, max(2, n_classes), n)


def literally(ce, row):
    """Smallest k by trying each: the features of the k largest CEs alone, in every class's sum."""
    label = int(ce.predictions[row])
    features = ce.features[row : row + 1][0]
    ces = ce.of_prediction(np.array([row]))[0]
    order = np.argsort(-ces, kind="stable")
    for k in range(ce.n_features):
        sums = ce.weights[:, order[:k]] @ features[order[:k]] + ce.bias
        if ce.single_sum:
            sums = np.array([-sums[0], sums[0]])
        if all(sums[label] > other for c, other in enumerate(sums) if c != label):
            return k
    return ce.n_features


@settings(max_examples=300, deadline=None)
@given(embeddings())
def test_the_number_required_is_what_trying_each_gives(ce):
    found = per_instance(ce)
    assert found["required"].tolist() == [literally(ce, row) for row in range(ce.n_instances)]
    assert found["required"].tolist() == ces_required(ce).tolist()


@pytest.mark.parametrize("n_classes", [1, 2, 7, 40])
@pytest.mark.parametrize("relu", [True, False])
def test_instances_are_measured_as_the_metrics_do(n_classes, relu):
    ce, _ = a_model(n_classes=n_classes, relu=relu)
    found, shares = per_instance(ce), concentration(ce)
    np.testing.assert_array_equal(found["required"], ces_required(ce))
    np.testing.assert_array_equal(found["predicted"], ce.predictions)
    np.testing.assert_allclose(found["top_share"], shares.top_share)
    np.testing.assert_allclose(found["participation_ratio"], shares.participation_ratio)
    ces = ce.of_prediction(np.arange(ce.n_instances))
    np.testing.assert_array_equal(found["top_feature"], ces.argmax(axis=1))
    np.testing.assert_allclose(found["largest_share"], np.abs(ces).max(axis=1) / np.abs(ces).sum(axis=1))
    logits = ce.logits()
    logits = np.hstack([-logits, logits]) if ce.single_sum else logits
    np.testing.assert_allclose(found["margin"], -np.diff(np.sort(logits)[:, ::-1])[:, 0])


def test_it_matters_not_how_rows_and_features_are_divided(monkeypatch):
    ce, labels = a_model(d=64)
    whole = per_instance(ce), per_feature(ce, labels)
    monkeypatch.setattr(classification, "BLOCK_BYTES", 8 * 64 * 7)
    monkeypatch.setattr(early, "CHUNK_BYTES", 8 * 3 * 7)
    monkeypatch.setattr(early, "FIRST_CHUNK", 3)
    parts = per_instance(ce), per_feature(ce, labels)
    for name, values in whole[0].items():
        np.testing.assert_allclose(parts[0][name], values, rtol=1e-12)
    np.testing.assert_array_equal(parts[0]["required"], whole[0]["required"])
    for name, values in whole[1].items():
        np.testing.assert_allclose(parts[1][name], values, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [1, 5])
def test_features_are_measured_as_the_metrics_do(n_classes):
    ce, labels = a_model(n_classes=n_classes)
    labels = labels % len(ce.classes)
    found, expected = per_feature(ce, labels), frequency(ce, ce.classes[labels])
    for name in ("top_frequency", "activation_frequency"):
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-6)
    for label in range(len(ce.classes)):
        ces = ce.of_class(np.flatnonzero((labels == label) & (ce.predictions == label)), label)
        np.testing.assert_allclose(found["mean_ce"][label], ces.mean(axis=0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found["mean_magnitude"][label], np.abs(ces).mean(axis=0), rtol=1e-5)
    assert found["mean_ce"].dtype == np.float32


def test_a_class_without_instances_has_nothing_and_no_warning():
    ce, labels = a_model()
    labels = np.where(labels == 3, 4, labels)
    found = per_feature(ce, labels)
    assert np.isnan(found["mean_ce"][3]).all()
    assert np.isnan(found["top_frequency"][3]).all()
    recalls = ablation(ce, labels, np.zeros(7, dtype=np.intp))
    assert np.isnan(recalls[3]).all()
    assert np.isfinite(np.delete(recalls, 3, axis=0)).all()


@pytest.mark.parametrize("n_classes", [1, 6])
def test_ablation_is_the_model_on_changed_features(n_classes):
    ce, labels = a_model(n_classes=n_classes)
    labels = labels % len(ce.classes)
    chosen = np.arange(len(ce.classes)) + 3
    chosen[-1] = -1
    found = ablation(ce, labels, chosen)
    for label, column in enumerate(chosen):
        features = np.array(ce.features[labels == label])
        before = ClassificationEmbeddings(features, ce.weights, ce.bias).predictions
        if column >= 0:
            features[:, column] = ce.features[:, column].mean()
        after = ClassificationEmbeddings(features, ce.weights, ce.bias).predictions
        assert found[label].tolist() == [(before == label).mean(), (after == label).mean()]


def test_the_null_is_the_same_model_with_its_weights_dealt_anew():
    ce, labels = a_model()
    found = permuted_null(ce, labels, random_state=4)
    null = permuted_weights(ce, random_state=4)
    np.testing.assert_array_equal(found["required"], ces_required(null))
    np.testing.assert_allclose(found["top_share"], concentration(null).top_share)
    fewer = permuted_null(ce, labels, max_instances=70)
    assert len(fewer["required"]) <= 70


def test_a_kernel_that_is_never_held_gives_what_the_kernel_in_memory_gives(monkeypatch):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(120, 3))
    y = (X[:, 0] ** 2 + X[:, 1] > 0.7).astype(int)
    model = SVC().fit(X, y)
    held = ClassificationEmbeddings.from_svc(model, X)
    monkeypatch.setattr(classification, "KERNEL_IN_MEMORY", 0)
    streamed = ClassificationEmbeddings.from_svc(model, X)
    assert not isinstance(streamed.features, np.ndarray)
    one, other = per_instance(held), per_instance(streamed)
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-9)
    np.testing.assert_array_equal(one["required"], ces_required(held))
    np.testing.assert_allclose(ablation(streamed, y, np.array([2, 5])), ablation(held, y, np.array([2, 5])))
