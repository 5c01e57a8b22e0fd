"""Adapters of scikit-learn: CEs are the model's own, by its decisions and by SHAP, family by family."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from scipy.sparse import coo_array, csr_array
from scipy.special import expit, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC

import cemag
from cemag.auditing import sklearn_factors
from cemag.embeddings import ClassificationEmbeddings, KernelFeatures
from cemag.errors import CemagError, DataError

X2, Y2 = make_classification(n_samples=90, n_features=5, weights=[0.7], flip_y=0.1, random_state=0)
X3, Y3 = make_classification(
    n_samples=120, n_features=6, n_informative=4, n_classes=3, weights=[0.6, 0.3], random_state=1
)
LABELS = np.array(["ant", "bee", "cow"])
Y3 = LABELS[Y3]
BINARY, MANY = (X2, Y2), (X3, Y3)

LINEAR = [
    LogisticRegression(),
    LogisticRegressionCV(Cs=2, cv=2, use_legacy_attributes=False, l1_ratios=(0.0,), scoring="accuracy"),
    LinearSVC(random_state=0),
    RidgeClassifier(),
    RidgeClassifierCV(),
    SGDClassifier(random_state=0),
    Perceptron(random_state=0),
    LinearDiscriminantAnalysis(),
    LogisticRegression(fit_intercept=False),
    LinearSVC(multi_class="crammer_singer", max_iter=5000, random_state=0),
]


def agree(model, data, **options):
    """Fit, adapt, and hold the factors against the model's public methods."""
    X, y = data
    fitted = model.fit(X, y)
    made = sklearn_factors(fitted, X, y, **options)
    assert (made.ce.classes[made.ce.predictions] == fitted.predict(X)).all()
    assert (made.y == y).all()
    if hasattr(fitted, "decision_function"):
        own = fitted.decision_function(X)
        np.testing.assert_allclose(made.ce.logits(), own.reshape(len(X), -1), rtol=1e-5, atol=1e-7)
    return fitted, made


@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
@pytest.mark.parametrize("model", LINEAR, ids=lambda m: type(m).__name__)
def test_linear_classifiers(model, data):
    _, made = agree(model, data)
    assert made.kind == "input column"
    assert made.model_name == type(model).__name__
    assert made.ce.n_features == data[0].shape[1]


def test_ces_are_shap_values_plus_the_background():
    shap = pytest.importorskip("shap")
    fitted, made = agree(LogisticRegression(), MANY)
    explained = shap.LinearExplainer(fitted, X3[:40]).shap_values(X3)
    background = fitted.coef_.T * X3[:40].mean(axis=0)[:, None]
    for c in range(3):
        np.testing.assert_allclose(
            made.ce.of_class(slice(None), c), explained[:, :, c] + background[:, c], atol=1e-9
        )


@pytest.mark.parametrize("model", [SVC(), SVC(gamma=0.3, C=5), NuSVC(nu=0.3)], ids=repr)
def test_binary_rbf_svc(model):
    fitted, made = agree(model, BINARY)
    assert made.kind == "support vector"
    assert made.feature_names[0] == f"training row {fitted.support_[0]}"
    if isinstance(model, SVC):
        expected = ClassificationEmbeddings.from_svc(fitted, X2)
        np.testing.assert_allclose(made.ce.of_class(slice(None), 1), expected.of_class(slice(None), 1))


def test_a_kernel_of_far_away_values_loses_no_digits():
    agree(SVC(), (X2 + 1e7, Y2))


def test_a_large_kernel_is_computed_on_demand(monkeypatch):
    monkeypatch.setattr("cemag.embeddings.sklearn_steps.KERNEL_IN_MEMORY", 8)
    assert isinstance(agree(SVC(), BINARY)[1].ce.features, KernelFeatures)


@pytest.mark.parametrize("X", [X2, csr_array(X2)], ids=["dense", "sparse"])
def test_linear_svc_of_libsvm_and_sparse_input(X):
    for model in (SVC(kernel="linear"), LogisticRegression()):
        fitted = model.fit(X, Y2)
        made = sklearn_factors(fitted, X, Y2)
        assert made.ce.n_features == 5
        np.testing.assert_allclose(made.ce.logits()[:, 0], fitted.decision_function(X))
    rbf = SVC().fit(X, Y2)
    np.testing.assert_allclose(sklearn_factors(rbf, X, Y2).ce.logits()[:, 0], rbf.decision_function(X))


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_last_layer_of_a_perceptron(activation, data):
    model = MLPClassifier((7, 4), activation=activation, max_iter=20, random_state=0)
    fitted, made = agree(model, data)
    logits = made.ce.logits()
    expected = expit(np.hstack([-logits, logits])) if logits.shape[1] == 1 else softmax(logits, axis=1)
    np.testing.assert_allclose(fitted.predict_proba(data[0]), expected, atol=1e-9)
    assert (made.kind, made.ce.n_features) == ("latent feature", 4)


# ---------------------------------------------------------------------- what stands around a classifier


def test_pipelines_name_the_features_of_their_last_step():
    frame = pd.DataFrame(X3, columns=list("abcdef"))
    _, plain = agree(make_pipeline(StandardScaler(), LogisticRegression()), (frame, Y3))
    assert plain.feature_names == tuple("abcdef")
    assert plain.model_name == "LogisticRegression after StandardScaler"
    _, reduced = agree(make_pipeline(StandardScaler(), PCA(2), "passthrough", LinearSVC()), (frame, Y3))
    assert reduced.feature_names == ("pca0", "pca1")
    coloured = pd.DataFrame({"size": X3[:, 0], "colour": np.where(X3[:, 1] > 0, "red", "blue")})
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), ["size"]))
    _, mixed = agree(make_pipeline(columns, LogisticRegression()), (coloured, Y3))
    assert mixed.feature_names[-1] == "standardscaler__size"
    assert len(mixed.feature_names) == 3
    _, renamed = agree(LogisticRegression(), (frame, Y3), feature_names=list("uvwxyz"))
    assert renamed.feature_names == tuple("uvwxyz")


def test_samplers_of_imbalanced_learn_are_skipped():
    model = make_imblearn_pipeline(StandardScaler(), RandomOverSampler(random_state=0), LogisticRegression())
    fitted, made = agree(model, MANY)
    np.testing.assert_allclose(np.asarray(made.ce.features), fitted[0].transform(X3))


def test_text_in_a_pipeline():
    texts = ["a good day", "bad night", "good morning", "bad bad day"] * 3
    _, made = agree(make_pipeline(TfidfVectorizer(), LogisticRegression()), (texts, ["+", "-", "+", "-"] * 3))
    assert "good" in made.feature_names


def test_searches_stand_for_their_best_estimator():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    _, made = agree(GridSearchCV(pipeline, grid, cv=2), MANY)
    assert made.model_name == "LogisticRegression after StandardScaler"
    agree(RandomizedSearchCV(SVC(), {"C": [1.0, 2.0]}, n_iter=1, cv=2, random_state=0), BINARY)
    agree(make_pipeline(StandardScaler(), GridSearchCV(SVC(), {"C": [1.0, 2.0]}, cv=2)), BINARY)
    with pytest.raises(CemagError, match="GridSearchCV was fitted with refit=False"):
        sklearn_factors(GridSearchCV(pipeline, grid, cv=2, refit=False).fit(*MANY), *MANY)


# ---------------------------------------------------------------------- calibration


@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_linear_calibration_is_part_of_the_weights(method, data):
    model = CalibratedClassifierCV(LinearSVC(random_state=0), method=method, cv=3, ensemble=False)
    fitted, made = agree(model, data)
    logits = made.ce.logits()
    if logits.shape[1] == 1:
        expected = expit(np.hstack([-logits, logits]))
    elif method == "sigmoid":
        expected = expit(logits) / expit(logits).sum(axis=1, keepdims=True)
    else:
        expected = softmax(logits, axis=1)
    np.testing.assert_allclose(fitted.predict_proba(data[0]), expected, atol=1e-9)
    assert made.notes == (f"{method.capitalize()} calibration is part of the weights and the bias.",)
    assert made.model_name == "CalibratedClassifierCV of LinearSVC"


def test_a_fitted_classifier_is_calibrated_in_place():
    inner = make_pipeline(StandardScaler(), SVC()).fit(*BINARY)
    agree(CalibratedClassifierCV(FrozenEstimator(inner), method="sigmoid"), BINARY)
    agree(FrozenEstimator(inner), BINARY)


def test_of_several_calibrated_classifiers_one_is_chosen():
    X, y = MANY
    model = make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), cv=3)).fit(X, y)
    with pytest.raises(CemagError, match=r"averages the probabilities of 3 classifiers.*part=0 to 2"):
        sklearn_factors(model, X, y)
    made = sklearn_factors(model, X, y, part=2)
    member = model[-1].calibrated_classifiers_[2]
    expected = LABELS[member.predict_proba(model[0].transform(X)).argmax(axis=1)]
    assert (made.ce.classes[made.ce.predictions] == expected).all()
    assert made.model_name.endswith(", part 2")
    assert len(model[-1].calibrated_classifiers_) == 3
    with pytest.raises(CemagError, match="part is 3: 0 to 2 are there"):
        sklearn_factors(model, X, y, part=3)
    with pytest.raises(CemagError, match="part is 0: LogisticRegression has no parts"):
        sklearn_factors(LogisticRegression().fit(X, y), X, y, part=0)


def test_isotonic_calibration_is_left_out_where_it_changes_no_prediction():
    easy = np.r_[X2[Y2 == 0] - 9, X2[Y2 == 1] + 9], np.sort(Y2)
    model = CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3, ensemble=False)
    assert "Isotonic calibration is left out" in agree(model, easy)[1].notes[0]
    with pytest.raises(CemagError, match=r"predicts otherwise than its CEs in .* rows.*Isotonic calibration"):
        sklearn_factors(model.fit(*MANY), *MANY)


def test_calibrated_probabilities_have_no_sums():
    model = CalibratedClassifierCV(RandomForestClassifier(2, random_state=0), ensemble=False, cv=2)
    with pytest.raises(CemagError, match="calibrates the probabilities of RandomForestClassifier"):
        sklearn_factors(model.fit(*BINARY), *BINARY)


# ---------------------------------------------------------------------- one versus rest


@pytest.mark.parametrize("inner", [LogisticRegression(), LinearSVC(random_state=0), SVC(kernel="linear")])
def test_one_versus_rest_of_linear_classifiers(inner):
    fitted, made = agree(OneVsRestClassifier(inner), MANY)
    assert made.ce.weights.shape == (3, 6)
    if not isinstance(inner, SVC):
        sparse = sklearn_factors(fitted, coo_array(X3), Y3)
        np.testing.assert_allclose(sparse.ce.logits(), made.ce.logits())
    agree(OneVsRestClassifier(inner), BINARY)


def test_one_versus_rest_of_kernels_shares_the_support_vectors():
    fitted, made = agree(OneVsRestClassifier(SVC(C=3)), MANY)
    support = [set(part.support_) for part in fitted.estimators_]
    assert made.ce.n_features == len(set.union(*support)) < sum(map(len, support))
    assert made.kind == "support vector"
    for c, part in enumerate(fitted.estimators_):
        expected = ClassificationEmbeddings.from_svc(part, X3).of_class(slice(None), 1)
        columns = [made.feature_names.index(f"training row {row}") for row in part.support_]
        np.testing.assert_allclose(made.ce.of_class(slice(None), c)[:, columns], expected)
    _, single = agree(OneVsRestClassifier(SVC()), BINARY)
    assert single.ce.single_sum


def test_one_versus_rest_of_searches_needs_one_gamma():
    search = GridSearchCV(SVC(), {"gamma": [0.1, 0.2]}, cv=2)
    model = OneVsRestClassifier(search).fit(*MANY)
    model.estimators_[0].best_estimator_._gamma = 0.7
    with pytest.raises(CemagError, match=r"SVCs of different gamma \(.*0.7\)"):
        sklearn_factors(model, *MANY)


# ---------------------------------------------------------------------- what is refused

NO_SUM = "does not end in a weighted sum; supported are linear classifiers"
REFUSED = [
    (RandomForestClassifier(2), f"RandomForestClassifier {NO_SUM}"),
    (KNeighborsClassifier(), f"KNeighborsClassifier {NO_SUM}"),
    (SVC(), r"SVC has 3 classes and decides by votes of 3 .*OneVsRestClassifier\(SVC\(kernel='rbf'\)\)"),
    (SVC(kernel="linear"), "SVC has 3 classes and decides by votes"),
    (SVC(kernel="poly"), "SVC has kernel 'poly': supported are 'rbf' and 'linear'"),
    (SVC(kernel=lambda a, b: a @ b.T), "SVC has kernel 'a function': supported"),
    (OneVsRestClassifier(SVC(kernel="sigmoid")), "SVC has kernel 'sigmoid'"),
    (OneVsOneClassifier(LinearSVC()), r"votes of 3 pairs of classes.*OneVsRestClassifier\(LinearSVC\(\)\)"),
    (OneVsRestClassifier(KNeighborsClassifier()), "KNeighborsClassifier has no features in common"),
    (OneVsRestClassifier(make_pipeline(StandardScaler(), LinearSVC())), "put the steps before it"),
    (make_pipeline(StandardScaler(), KNeighborsClassifier()), f"KNeighborsClassifier {NO_SUM}"),
]


@pytest.mark.parametrize(("model", "message"), REFUSED, ids=lambda v: type(v).__name__)
def test_models_without_one_sum_per_class_are_refused(model, message):
    with pytest.raises(CemagError, match=message) as caught:
        sklearn_factors(model.fit(*MANY), *MANY)
    assert "\n" not in str(caught.value)


def test_what_is_no_fitted_classifier_is_refused():
    for model in (LogisticRegression(), make_pipeline(StandardScaler(), SVC()), OneVsRestClassifier(SVC())):
        with pytest.raises(CemagError, match="is not fitted: call fit first"):
            sklearn_factors(model, *BINARY)
    for model in (LogisticRegression, None, "model.pkl"):
        with pytest.raises(CemagError, match="is no fitted classifier; supported are"):
            sklearn_factors(model, *BINARY)
    with pytest.raises(CemagError, match="StandardScaler predicts nothing"):
        sklearn_factors(StandardScaler().fit(X2), *BINARY)
    with pytest.raises(CemagError, match=NO_SUM):
        sklearn_factors(LinearRegression().fit(*BINARY), *BINARY)
    several = OneVsRestClassifier(LogisticRegression()).fit(X2, np.c_[Y2, 1 - Y2])
    with pytest.raises(CemagError, match="several labels a row"):
        sklearn_factors(several, *BINARY)


def test_a_layer_is_for_networks():
    with pytest.raises(CemagError, match=r"layer is 'fc'.*LogisticRegression has no layers"):
        cemag.audit(LogisticRegression().fit(*BINARY), *BINARY, layer="fc")


def test_instances_that_the_model_refuses():
    model = LogisticRegression().fit(*BINARY)
    with pytest.raises(DataError, match="LogisticRegression refuses X: X has 3 features"):
        sklearn_factors(model, X2[:, :3], Y2)
    for value, reason in ((np.nan, "NaN. It holds 2 NaN and 0"), (np.inf, "infinity.* holds 0 NaN and 2")):
        bad = X2.copy()
        bad[3, 1] = bad[5, 0] = value
        said = f"LogisticRegression refuses X: Input X contains {reason} infinite .* first in row 3, column 1"
        for X in (bad, pd.DataFrame(bad)):
            with pytest.raises(DataError, match=said):
                sklearn_factors(model, X, Y2)
    with pytest.raises(DataError, match=r"labels holds [23] in row 0, which is not one of the 2 classes"):
        sklearn_factors(model, X2, Y2 + 2)


def test_a_model_that_does_not_keep_the_promise_is_refused():
    class Biased(LogisticRegression):
        def decision_function(self, X):
            return super().decision_function(X) + 0.25

    with pytest.raises(CemagError, match=r"Biased does not decide by its CEs: .* differ by up to 0.25"):
        sklearn_factors(Biased().fit(*BINARY), *BINARY)

    class Shifted(LogisticRegression):
        def predict(self, X):
            return np.where(self.decision_function(X) > 1, 1, 0)

    with pytest.raises(CemagError, match="Shifted predicts otherwise than its CEs in"):
        sklearn_factors(Shifted().fit(*BINARY), *BINARY)
