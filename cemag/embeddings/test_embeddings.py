"""CEs add up to the model's own decision function, and agree with independent attributions."""

import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import scale
from sklearn.svm import SVC, LinearSVC

from cemag.embeddings import (
    ClassificationEmbeddings,
    KernelFeatures,
    classification,
    features,
    sklearn_steps,
)
from cemag.embeddings.features import NarrowFeatures
from cemag.embeddings.from_sklearn import embed_model
from cemag.errors import DataError
from cemag.metrics import ces_required


@pytest.fixture(scope="module")
def binary():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return scale(X)[:600], y[:600]


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=500), LinearSVC(), RidgeClassifier()])
@pytest.mark.parametrize("data", ["binary", "digits"])
def test_sum_of_ces_is_the_decision_function_of_linear_models(model, data, request):
    X, y = request.getfixturevalue(data)
    model.fit(X, y)
    ce = embed_model(model, X)
    decision = model.decision_function(X)
    assert relative_error(ce.logits(), decision.reshape(len(X), -1)) < 1e-6
    assert (ce.classes[ce.predictions] == model.predict(X)).all()
    sums = np.column_stack([ce.of_class(slice(None), c).sum(axis=1) for c in range(len(ce.classes))])
    if ce.single_sum:
        assert relative_error(sums[:, 1] + ce.bias, decision) < 1e-6
        np.testing.assert_array_equal(sums[:, 0], -sums[:, 1])
    else:
        assert relative_error(sums + ce.bias, decision) < 1e-6


@pytest.mark.parametrize("gamma", ["scale", "auto", 0.003])
@pytest.mark.parametrize("lazy", [False, True])
def test_sum_of_ces_is_the_decision_function_of_an_svc(binary, gamma, lazy, monkeypatch):
    if lazy:
        monkeypatch.setattr(sklearn_steps, "KERNEL_IN_MEMORY", 0)
        monkeypatch.setattr(classification, "BLOCK_BYTES", 8 * 1000)
    X, y = binary
    model = SVC(gamma=gamma).fit(X[:400], y[:400])
    ce = embed_model(model, X)
    assert (ce.features.kept is None) == lazy
    assert ce.n_features == len(model.support_)
    assert relative_error(ce.logits()[:, 0], model.decision_function(X)) < 1e-6
    assert (ce.classes[ce.predictions] == model.predict(X)).all()


def test_ces_agree_with_captum_input_x_gradient(digits):
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr")
    X, y = digits
    model = LogisticRegression(max_iter=500).fit(X, y)
    ce = embed_model(model, X)
    linear = torch.nn.Linear(X.shape[1], 10, dtype=torch.float64)
    linear.weight.data, linear.bias.data = torch.tensor(model.coef_), torch.tensor(model.intercept_)
    target = torch.tensor(ce.predictions)
    found = attr.InputXGradient(linear).attribute(torch.tensor(X, requires_grad=True), target=target)
    np.testing.assert_allclose(ce.of_prediction(slice(None)), found.detach().numpy(), rtol=1e-10)


def test_ces_agree_with_shap_linear_explainer(binary):
    shap = pytest.importorskip("shap")
    X, y = binary
    model = LogisticRegression(max_iter=500).fit(X, y)
    ce = embed_model(model, X)
    # against a background at zero, a Shapley value of a linear model is weight times feature
    found = shap.LinearExplainer(model, np.zeros((1, X.shape[1]))).shap_values(X)
    np.testing.assert_allclose(ce.of_class(slice(None), 1), found, atol=1e-10)


def test_kernel_features_agree_with_scikit_learn(binary):
    from sklearn.metrics.pairwise import rbf_kernel

    X, _ = binary
    found = KernelFeatures(X, X[:50], gamma=0.02)[np.arange(30)]
    np.testing.assert_allclose(found, rbf_kernel(X[:30], X[:50], gamma=0.02), atol=1e-12)


def test_take_and_without_bias_keep_the_factors(digits):
    X, y = digits
    ce = embed_model(LogisticRegression(max_iter=500).fit(X, y), X)
    some = ce.take(np.array([5, 2]))
    np.testing.assert_allclose(some.logits(), ce.logits()[[5, 2]])
    np.testing.assert_allclose(ce.without_bias().logits(), ce.logits() - ce.bias)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": [[1.0, np.nan]], "weights": [[1.0, 2.0]]}, r"features has 1 NaN or infinite value"),
        ({"features": [[1.0]], "weights": [[np.inf]]}, r"weights has 1 NaN or infinite"),
        ({"features": [[1.0, 2.0]], "weights": [[1.0]]}, r"features has shape \(1, 2\) and weights \(1, 1\)"),
        ({"features": [1.0], "weights": [[1.0]]}, r"features has shape \(1,\): 2 dimension"),
        ({"features": [[1.0]], "weights": [[1.0]], "bias": [1.0, 2.0]}, r"bias has shape \(2,\)"),
        ({"features": [[1.0]], "weights": [[1.0]], "classes": [1]}, r"classes has shape \(1,\): \(2,\)"),
        ({"features": np.ones((2, 0)), "weights": np.ones((2, 0))}, r"at least one feature"),
    ],
)
def test_unfit_arrays_are_refused_by_name(arguments, message):
    with pytest.raises(DataError, match=message):
        ClassificationEmbeddings(**arguments)


def test_labels_must_be_known_classes():
    ce = ClassificationEmbeddings([[1.0], [2.0]], [[1.0]], classes=["ham", "spam"])
    assert ce.label_indices(["spam", "ham"]).tolist() == [1, 0]
    with pytest.raises(DataError, match="'eggs', which is not one of the classes"):
        ce.label_indices(["spam", "eggs"])
    with pytest.raises(DataError, match=r"y has shape \(1,\)"):
        ce.label_indices(["spam"])


def test_a_kernel_has_a_width():
    with pytest.raises(DataError, match="gamma is 0"):
        KernelFeatures([[1.0]], [[1.0]], gamma=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_features_are_kept_and_give_what_wide_ones_give(digits, dtype, monkeypatch, tmp_path):
    X, y = digits
    narrow = X.astype(dtype)
    model = LogisticRegression(max_iter=500).fit(X, y)
    wide = embed_model(model, narrow.astype(float))
    monkeypatch.setattr(classification, "WIDE_IN_MEMORY", 0)
    ce = embed_model(model, narrow)
    assert isinstance(ce.features, NarrowFeatures)
    assert np.shares_memory(ce.features.values, narrow)
    np.testing.assert_array_equal(ce.logits(), wide.logits())
    np.testing.assert_array_equal(ce.predictions, wide.predictions)
    some = np.array([7, 3])
    assert ce.take(some).features[:].dtype == np.float64
    np.testing.assert_array_equal(ce.take(some).features[:], wide.features[some])
    np.testing.assert_array_equal(ces_required(ce), ces_required(wide))
    np.savez(tmp_path / "kept.npz", features=ce.features, allow_pickle=False)
    with np.load(tmp_path / "kept.npz") as kept:
        np.testing.assert_array_equal(kept["features"], narrow)


def test_narrow_features_are_made_wide_where_that_is_cheap_and_refused_where_unfit(monkeypatch):
    small = np.ones((2, 1), dtype=np.float32)
    assert ClassificationEmbeddings(small, [[1.0]]).features.dtype == np.float64
    monkeypatch.setattr(classification, "WIDE_IN_MEMORY", 0)
    monkeypatch.setattr(features, "CHECKED_AT_ONCE", 1)
    for bad in (np.nan, np.inf):
        with pytest.raises(DataError, match=r"features has 1 NaN or infinite value\(s\) out of 2"):
            ClassificationEmbeddings(np.array([[1.0], [bad]], dtype=np.float32), [[1.0]])
    with pytest.raises(DataError, match=r"features has shape \(2,\): 2 dimension"):
        ClassificationEmbeddings(np.ones(2, dtype=np.float32), [[1.0]])
    with pytest.raises(DataError, match="values is float64: an array of float32 or float16 is needed"):
        NarrowFeatures(np.ones((2, 1)))


def test_predictions_hold_no_logits_of_all_rows(monkeypatch):
    monkeypatch.setattr(classification, "WIDE_IN_MEMORY", 0)
    rng = np.random.default_rng(0)
    rows, weights = rng.random((40_000, 64), dtype=np.float32), rng.normal(size=(300, 64))
    tracemalloc.start()
    ClassificationEmbeddings(rows, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 40_000 * 300 / 2  # two blocks of 8,192 rows, never the logits
