"""The fast measures of instances and features are what literal loops give, however rows are divided."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.svm import SVC

from cemag.embeddings import ClassificationEmbeddings, classification, sklearn_steps
from cemag.embeddings.features import SparseFeatures
from cemag.embeddings.from_sklearn import embed_model
from cemag.metrics import (
    BY_CES,
    WITH_BIAS,
    ces_required,
    concentration,
    draw_evenly,
    early,
    frequency,
    instances,
    most_common,
    per_feature,
    per_instance,
    permuted_null,
    permuted_weights,
    still_correct,
)
from cemag.theory import required_at_most

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


def lead(ce, features, label, bias):
    """How far a class is ahead of the best other one, by plain sums."""
    sums = [sum(w * f for w, f in zip(row, features, strict=True)) for row in ce.weights]
    sums = [one + (b if bias else 0) for one, b in zip(sums, ce.bias, strict=True)]
    if len(sums) == 1:
        sums = [-sums[0], sums[0]]
    return sums[label] - max(one for c, one in enumerate(sums) if c != label)


def literally(ce, row):
    """By loops: with the bias; without it (None: not by the CEs); whether the bias decides."""
    label, features = int(ce.predictions[row]), ce.features[row : row + 1][0]
    d = ce.n_features
    sign = 1 if len(ce.weights) > 1 or label == 1 else -1
    weights = ce.weights[label if len(ce.weights) > 1 else 0]
    ces = [sign * w * f for w, f in zip(weights, features, strict=True)]

    def leads(order, k, bias):
        kept = [f if j in order[:k] else 0.0 for j, f in enumerate(features)]
        return lead(ce, kept, label, bias) > 0

    by_size = sorted(range(d), key=lambda j: (-ces[j], j))
    with_bias = next((k for k in range(d) if leads(by_size, k, True)), d)
    by_ces = lead(ce, features, label, False) > 0
    by_magnitude = sorted(range(d), key=lambda j: (-abs(ces[j]), -ces[j], j))
    lost = [k for k in range(d) if not leads(by_magnitude, k, False)]
    without = max(lost) + 1 if by_ces else None
    return with_bias, without, with_bias == 0 or not by_ces


@settings(max_examples=300, deadline=None)
@given(embeddings())
def test_the_numbers_required_are_what_trying_each_gives(ce):
    found = per_instance(ce)
    for row in range(ce.n_instances):
        with_bias, without, by_bias = literally(ce, row)
        assert found["required"][row] == with_bias
        assert found["by_bias"][row] == by_bias
        if without is None:
            assert np.isnan(found["required_without_bias"][row])
        else:
            assert found["required_without_bias"][row] == without >= 1


@settings(max_examples=100, deadline=None)
@given(embeddings())
def test_the_numbers_required_are_those_of_the_rules(ce):
    found = per_instance(ce)
    assert found["required"].tolist() == ces_required(ce, WITH_BIAS).tolist()
    known = np.isfinite(found["required_without_bias"])
    by_rule = ces_required(ce, BY_CES)
    assert found["required_without_bias"][known].tolist() == by_rule[known].tolist()


@settings(max_examples=100, deadline=None)
@given(embeddings(), st.integers(0, 10**6))
def test_margin_ces_say_the_same_in_every_gauge(ce, seed):
    """One vector added to every class's weights, and a moved origin, change no prediction and no count."""
    rng = np.random.default_rng(seed)
    origin = rng.integers(-3, 4, ce.n_features).astype(float)
    common = rng.integers(-3, 4, ce.n_features).astype(float) * (not ce.single_sum)
    weights = ce.weights + common
    # the bias follows so that sums change by one number per instance, common to all classes
    moved = ClassificationEmbeddings(ce.features + origin, weights, ce.bias - ce.weights @ origin)
    centre = rng.integers(-3, 4, ce.n_features).astype(float)
    one = per_instance(ce, ce.margins(centre=centre))
    other = per_instance(moved, moved.margins(centre=centre + origin))
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, atol=1e-9, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(embeddings(), st.floats(0.01, 100))
def test_the_scale_of_features_and_a_moved_bias_change_no_count_without_the_bias(ce, scale):
    scaled = ClassificationEmbeddings(ce.features * 4, ce.weights / 4, ce.bias)
    np.testing.assert_array_equal(
        per_instance(scaled)["required_without_bias"], per_instance(ce)["required_without_bias"]
    )
    moved = ClassificationEmbeddings(ce.features, ce.weights, ce.bias * scale)
    same = moved.predictions == ce.predictions
    one, other = per_instance(ce), per_instance(moved)
    for name in ("required_without_bias", "top_share", "n_active", "top_feature"):
        np.testing.assert_array_equal(one[name][same], other[name][same])


def test_margin_ces_are_counted_by_plain_sums():
    ce, labels = a_model(n=60, d=12)
    margins = ce.margins(y=ce.classes[labels])
    found = per_instance(ce, margins)
    centre = np.mean([ce.features[labels == c].mean(axis=0) for c in np.unique(labels)], axis=0)
    for row in range(60):
        logits = ce.logits()[row]
        p, r = np.argsort(-logits)[:2]
        ces = (ce.weights[p] - ce.weights[r]) * (ce.features[row] - centre)
        assert found["margin"][row] == pytest.approx(logits[p] - logits[r])
        sums = np.cumsum(ces[np.argsort(-np.abs(ces))])
        if sums[-1] <= 0:
            assert found["by_bias"][row]
            assert np.isnan(found["required_without_bias"][row])
        else:
            lost = np.flatnonzero(sums <= 0)
            assert found["required_without_bias"][row] == (lost[-1] + 2 if len(lost) else 1)


@pytest.mark.parametrize("n_classes", [1, 2, 7, 40])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("d", [40, 300])
def test_instances_are_measured_as_the_metrics_do(n_classes, relu, d):
    ce, _ = a_model(n_classes=n_classes, relu=relu, d=d, n=120)
    found, shares = per_instance(ce), concentration(ce)
    np.testing.assert_array_equal(found["required"], ces_required(ce, WITH_BIAS))
    known = np.isfinite(found["required_without_bias"])
    np.testing.assert_array_equal(known, ce.without_bias().predictions == ce.predictions)
    np.testing.assert_array_equal(found["required_without_bias"][known], ces_required(ce, BY_CES)[known])
    np.testing.assert_array_equal(found["predicted"], ce.predictions)
    np.testing.assert_allclose(found["top_share"], shares.top_share)
    np.testing.assert_allclose(found["participation_ratio"], shares.participation_ratio)
    ces = ce.of_prediction(np.arange(ce.n_instances))
    np.testing.assert_array_equal(found["top_feature"], ces.argmax(axis=1))
    np.testing.assert_array_equal(found["n_active"], (ces != 0).sum(axis=1))
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
    monkeypatch.setattr(early, "LOOK_AHEAD", 2)
    parts = per_instance(ce), per_feature(ce, labels)
    for name, values in whole[0].items():
        np.testing.assert_allclose(parts[0][name], values, rtol=1e-12)
    np.testing.assert_array_equal(parts[0]["required"], whole[0]["required"])
    for name, values in whole[1].items():
        np.testing.assert_allclose(parts[1][name], values, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(embeddings())
def test_looking_ahead_changes_no_count(ce):
    whole = per_instance(ce)["required"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early, "LOOK_AHEAD", 1)
        assert per_instance(ce)["required"].tolist() == whole.tolist()


def test_columns_that_are_zero_throughout_a_block_may_be_left_out(monkeypatch):
    """What a block of sparse rows is measured on are its active columns alone."""
    rng = np.random.default_rng(0)
    features = rng.random((40, 300)) * (rng.random((40, 300)) < 0.02)
    for n_rows in (1, 5):
        ce = ClassificationEmbeddings(features, rng.normal(size=(n_rows, 300)), rng.normal(size=n_rows))
        labels = rng.integers(0, max(2, n_rows), 40)
        chosen = rng.integers(0, 300, max(2, n_rows))

        def every(ce, rows):
            return ce.features[rows], None

        with monkeypatch.context() as patch:
            patch.setattr(classification, "BLOCK_BYTES", 8 * 300 * 4)
            assert instances.rows_of(ce, np.arange(4))[1] is not None
            parts = per_instance(ce), per_feature(ce, labels), still_correct(ce, labels, chosen)
        with monkeypatch.context() as patch:
            patch.setattr(instances, "rows_of", every)
            patch.setattr("cemag.metrics.features.rows_of", every)
            whole = per_instance(ce), per_feature(ce, labels), still_correct(ce, labels, chosen)
        for one, other in zip(whole[:2], parts[:2], strict=True):
            for name, values in one.items():
                np.testing.assert_allclose(other[name], values, rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(whole[2], parts[2])


@pytest.mark.parametrize("n_classes", [1, 5])
def test_features_are_measured_as_the_metrics_do(n_classes):
    ce, labels = a_model(n_classes=n_classes)
    labels = labels % len(ce.classes)
    inactive = {"baseline": 0.3, "tolerance": 0.2}
    found = per_feature(ce, labels, **inactive)
    expected = frequency(ce, ce.classes[labels], **inactive)
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


def test_the_most_common_value_of_a_column_is_where_it_is_inactive():
    values = np.array([[0.0, 1.0], [2.0, 1.0], [2.0, -1.0]])
    assert most_common(values).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("n_classes", [1, 6])
def test_a_feature_held_at_its_mean_is_the_model_on_changed_features(n_classes):
    ce, labels = a_model(n_classes=n_classes)
    labels = labels % len(ce.classes)
    chosen = np.arange(len(ce.classes)) + 3
    chosen[-1] = -1
    found = still_correct(ce, labels, chosen)
    for label, column in enumerate(chosen):
        features = np.array(ce.features[labels == label])
        if column >= 0:
            features[:, column] = ce.features[:, column].mean()
        after = ClassificationEmbeddings(features, ce.weights, ce.bias).predictions
        np.testing.assert_array_equal(found[labels == label], after == label)


def test_the_null_is_the_same_model_with_its_weights_dealt_anew_several_times():
    ce, labels = a_model(n=100)
    found = permuted_null(ce, labels, n_permutations=3, max_instances=300, random_state=4)
    for seed, mean, share in zip((4, 5, 6), found["required"], found["top_share"], strict=True):
        null = permuted_weights(ce, random_state=seed)
        known = null.without_bias().predictions == null.predictions
        assert mean == pytest.approx(ces_required(null, BY_CES)[known].mean())
        assert share == pytest.approx(concentration(null).top_share.mean())
    assert found["n"].tolist() == [100] * 3
    assert permuted_null(ce, labels, max_instances=70)["n"].max() <= 7
    assert sorted(labels[draw_evenly(labels, 14)]) == sorted([*range(7)] * 2)


def test_a_kernel_that_is_never_held_gives_what_the_kernel_in_memory_gives(monkeypatch):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(120, 3))
    y = (X[:, 0] ** 2 + X[:, 1] > 0.7).astype(int)
    model = SVC().fit(X, y)
    held = embed_model(model, X)
    monkeypatch.setattr(sklearn_steps, "KERNEL_IN_MEMORY", 0)
    streamed = embed_model(model, X)
    assert not isinstance(streamed.features, np.ndarray)
    one, other = per_instance(held), per_instance(streamed)
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-9)
    np.testing.assert_array_equal(one["required"], ces_required(held, WITH_BIAS))
    chosen = np.array([2, 5])
    np.testing.assert_array_equal(still_correct(streamed, y, chosen), still_correct(held, y, chosen))


@pytest.mark.parametrize("n_classes", [1, 3])
def test_sparse_rows_are_measured_as_dense_ones(n_classes):
    rng, n, d = np.random.default_rng(0), 60, 5000
    values = np.zeros((n, d))
    values[np.arange(n)[:, None], rng.integers(0, d, (n, 9))] = rng.normal(size=(n, 9))
    values[7] = 0
    heads, labels = rng.normal(size=(n_classes, d)), rng.integers(0, max(2, n_classes), n)
    made = [ClassificationEmbeddings(rows, heads) for rows in (SparseFeatures(csr_array(values)), values)]
    for measured in (
        per_instance,
        lambda ce: per_instance(ce, ce.margins(ce.class_mean(ce.classes[labels]))),
        lambda ce: {"at_most": required_at_most(ce)},
        lambda ce: {"at_most": required_at_most(ce.margins())},
        lambda ce: per_feature(ce, labels),
        lambda ce: per_feature(ce, labels, ce.margins(ce.class_mean(ce.classes[labels]))),
        lambda ce: {"kept": still_correct(ce, labels, np.arange(max(2, n_classes)))},
    ):
        sparse, dense = map(measured, made)
        for name in dense:
            np.testing.assert_allclose(sparse[name], dense[name], atol=1e-6, err_msg=name)
    point = values.mean(axis=0)
    np.testing.assert_array_equal(made[0].features.centred(point)[:], values - point)


def test_a_sparse_model_is_dealt_its_own_weights_where_a_row_is_stored():
    rng = np.random.default_rng(0)
    values = rng.random((30, 4000)) * (rng.random((30, 4000)) < 0.002)
    heads = rng.permutation(8000).reshape(2, 4000) + 1.0
    null = permuted_weights(ClassificationEmbeddings(SparseFeatures(csr_array(values)), heads))
    stored = values.any(axis=0)
    assert (null.weights[:, ~stored] == 0).all()
    for own, dealt in zip(heads, null.weights[:, stored], strict=True):
        assert len(set(dealt)) == stored.sum()
        assert set(dealt) <= set(own)
