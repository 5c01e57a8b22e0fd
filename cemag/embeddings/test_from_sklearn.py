"""Adapters of scikit-learn: CEs are the model's own, by its decisions and by SHAP, family by family."""

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from scipy.sparse import coo_array, csr_array
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, StackingClassifier
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
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC, NuSVC

import cemag
from cemag.auditing import sklearn_factors
from cemag.embeddings.from_sklearn import embed_model
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
        expected = embed_model(fitted, X2)
        np.testing.assert_allclose(made.ce.of_class(slice(None), 1), expected.of_class(slice(None), 1))


def test_a_kernel_of_far_away_values_loses_no_digits():
    agree(SVC(), (X2 + 1e7, Y2))


def test_a_large_kernel_is_computed_on_demand(monkeypatch):
    monkeypatch.setattr("cemag.embeddings.sklearn_steps.KERNEL_IN_MEMORY", 8)
    assert agree(SVC(), BINARY)[1].ce.features.kept is None


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


def test_isotonic_calibration_of_three_classes_is_left_out_where_it_changes_no_prediction():
    X, y = np.r_[X3, X3 + 40, X3 - 40], np.repeat(LABELS, len(X3))
    model = CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3, ensemble=False)
    assert "Isotonic calibration is left out" in sklearn_factors(model.fit(X, y), X, y).notes[0]
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
        expected = embed_model(part, X3).of_class(slice(None), 1)
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
    (OneVsRestClassifier(KNeighborsClassifier()), f"KNeighborsClassifier {NO_SUM}"),
    (OneVsRestClassifier(MLPClassifier((2,), max_iter=2)), "MLPClassifier has no features in common"),
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


# ---------------------------------------------------------------------- the promise


def wrapped(fitted, **methods):
    """A model of the same coefficients and predictions, with other methods and no decision_function."""
    kept = {name: getattr(fitted, name) for name in ("coef_", "intercept_", "classes_", "predict")}
    body = {name: staticmethod(method) for name, method in methods.items()}
    made = type("Wrapped", (BaseEstimator,), {"fit": None, **body})()
    vars(made).update(kept)
    return made


def test_a_constant_in_the_output_is_part_of_the_bias_and_noted():
    class Biased(LogisticRegression):
        def decision_function(self, X):
            return super().decision_function(X) + 0.25

    fitted, made = agree(Biased(), BINARY)
    assert made.ce.bias[0] == pytest.approx(fitted.intercept_[0] + 0.25)
    assert "leaves out (0.25) is part of the bias" in made.notes[0]


@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "second class alone", "float32"])
def test_sums_are_held_against_probabilities_where_there_is_nothing_else(data, method):
    X, y = data
    fitted = LogisticRegression().fit(X, y)
    shares = fitted.predict_proba(X)
    shift = np.array([0.7]) if shares.shape[1] == 2 else np.array([1.0, -0.4, -0.6])
    given = {
        "predict_proba": {"predict_proba": fitted.predict_proba},
        "predict_log_proba": {"predict_log_proba": fitted.predict_log_proba},
        "second class alone": {"predict_proba": lambda X: fitted.predict_proba(X)[:, 1:]},
        "float32": {"predict_proba": lambda X: fitted.predict_proba(X).astype(np.float32)},
    }[method]
    if method == "second class alone" and shares.shape[1] > 2:
        pytest.skip("of two classes only")
    right = wrapped(fitted, **given)
    np.testing.assert_allclose(embed_model(right, X).logits().ravel(), fitted.decision_function(X).ravel())
    right.intercept_ = fitted.intercept_ - shift  # the output knows a constant that the intercept does not
    found = embed_model(right, X).logits() - fitted.decision_function(X).reshape(len(X), -1)
    assert np.ptp(found, axis=1 if found.shape[1] > 1 else 0).max() < 1e-4


@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
def test_agreement_of_predictions_is_not_enough(data):
    X, y = data
    fitted = LogisticRegression().fit(X, y)

    def bent(X):  # the same class everywhere, other sums
        sums = fitted.decision_function(X)
        return sums * (1 + 0.1 * (X[:, 0] > 0)).reshape(-1, *[1] * (sums.ndim - 1))

    def shares(X):
        sums = bent(X)
        return softmax(np.column_stack([0 * sums, sums]) if sums.ndim == 1 else sums, axis=1)

    for methods, message in [
        ({"decision_function": bent}, "Wrapped does not decide by its CEs: its output is off"),
        ({"predict_proba": shares}, "Wrapped does not decide by its CEs: its output is off"),
        ({"predict_log_proba": lambda X: np.log(shares(X))}, "Wrapped does not decide by its CEs"),
        ({}, "Wrapped has neither decision_function nor predict_proba"),
    ]:
        with pytest.raises(CemagError, match=message):
            embed_model(wrapped(fitted, **methods), X)


def test_a_temperature_is_one_factor_and_no_more():
    X, y = MANY
    fitted = LogisticRegression().fit(X, y)
    cooled = wrapped(fitted, predict_proba=lambda X: softmax(fitted.decision_function(X) / 4, axis=1))
    made = sklearn_factors(cooled, X, y)
    np.testing.assert_allclose(made.ce.weights, fitted.coef_ / 4)
    assert made.notes == ("A factor of 0.25 in the model's output is part of the weights and the bias.",)
    X, y = BINARY
    fitted = LogisticRegression().fit(X, y)
    cooled = wrapped(fitted, decision_function=lambda X: fitted.decision_function(X) / 4)
    with pytest.raises(CemagError, match="does not decide by its CEs"):
        embed_model(cooled, X)


def test_probabilities_that_say_nothing_are_no_proof():
    X, y = BINARY
    fitted = LogisticRegression().fit(X, y)
    hard = wrapped(fitted, predict_proba=lambda X: np.eye(2)[fitted.predict(X)])
    with pytest.raises(CemagError, match="gives probabilities of 0 and 1 alone"):
        embed_model(hard, X)


def test_of_two_instances_no_constant_is_found():
    X, y = BINARY
    fitted = LogisticRegression().fit(X, y)
    right = wrapped(fitted, predict_proba=fitted.predict_proba)
    assert embed_model(right, X[:1]).n_instances == 1
    right.intercept_ = fitted.intercept_ + 0.01
    with pytest.raises(CemagError, match="2 different rows are too few to find a constant"):
        embed_model(right, X[:2])


def test_a_perceptron_that_is_sure_of_everything_is_checked_before_its_last_function():
    X, y = BINARY
    model = MLPClassifier((4,), max_iter=300, random_state=0).fit(X, y)
    model.coefs_[-1] *= 1e4
    assert np.isin(model.predict_proba(X), (0, 1)).mean() > 0.9
    np.testing.assert_array_equal(embed_model(model, X).predictions, model.predict(X))


def test_predictions_of_another_threshold_are_refused():
    class Shifted(LogisticRegression):
        def predict(self, X):
            return np.where(self.decision_function(X) > 1, 1, 0)

    with pytest.raises(CemagError, match="Shifted predicts otherwise than its CEs in"):
        sklearn_factors(Shifted().fit(*BINARY), *BINARY)


# ---------------------------------------------------------------------- moved thresholds, self-training

THRESHOLDED = {
    "probability": FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
    "sum": FixedThresholdClassifier(LinearSVC(), threshold=-0.3, response_method="decision_function"),
    "no threshold": FixedThresholdClassifier(LogisticRegression()),
    "first class": FixedThresholdClassifier(LogisticRegression(), threshold=0.3, pos_label="no"),
    "first class by sum": FixedThresholdClassifier(
        RidgeClassifier(), threshold=0.1, pos_label="no", response_method="decision_function"
    ),
    "tuned": TunedThresholdClassifierCV(LogisticRegression()),
    "tuned on sums": TunedThresholdClassifierCV(LogisticRegression(), response_method="decision_function"),
    "tuned for the first class": TunedThresholdClassifierCV(
        LogisticRegression(), scoring=make_scorer(f1_score, pos_label="no")
    ),
    "pipeline inside": FixedThresholdClassifier(make_pipeline(StandardScaler(), SVC()), threshold=0.4),
    "pipeline outside": make_pipeline(
        StandardScaler(), FixedThresholdClassifier(LogisticRegression(), threshold=0.1)
    ),
    "search": GridSearchCV(FixedThresholdClassifier(LogisticRegression()), {"threshold": [0.3]}, cv=2),
    "perceptron": FixedThresholdClassifier(MLPClassifier((3,), max_iter=40), threshold=0.7),
    "calibrated": FixedThresholdClassifier(
        CalibratedClassifierCV(LinearSVC(), ensemble=False, cv=2), threshold=0.25
    ),
    "isotonic": CalibratedClassifierCV(LinearSVC(), ensemble=False, cv=2, method="isotonic"),
    "threshold on isotonic": FixedThresholdClassifier(
        CalibratedClassifierCV(LinearSVC(), ensemble=False, cv=2, method="isotonic"), threshold=0.3
    ),
    "naive Bayes": FixedThresholdClassifier(BernoulliNB(), threshold=0.3),
    "threshold on a threshold": FixedThresholdClassifier(
        FixedThresholdClassifier(LogisticRegression(), threshold=0.9), threshold=0.3
    ),
    "in self-training": SelfTrainingClassifier(FixedThresholdClassifier(LogisticRegression(), threshold=0.3)),
}


@pytest.mark.parametrize("name", THRESHOLDED)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_threshold_is_a_bias(name):
    y = np.array(["no", "yes"])[Y2]
    if name == "in self-training":  # takes strings as objects alone, with -1 for what is not labelled
        y = y.astype(object)
        y[::5] = -1
    model = THRESHOLDED[name].fit(X2, y)
    made = sklearn_factors(model, X2, np.array(["no", "yes"])[Y2])
    assert (made.ce.classes[made.ce.predictions] == model.predict(X2)).mean() > 0.98  # but for exact ties
    # between instances, too: the boundary is where the model has it
    path = np.linspace(X2[Y2 == 0].mean(0), X2[Y2 == 1].mean(0), 400) * 1.5
    line = sklearn_factors(model, path, model.predict(path))
    assert (line.ce.classes[line.ce.predictions] == model.predict(path)).mean() > 0.99


def test_a_threshold_on_probabilities_in_single_precision_is_a_bias():
    xgboost = pytest.importorskip("xgboost")
    booster = xgboost.XGBClassifier(booster="gblinear", n_estimators=10, n_jobs=1)
    model = FixedThresholdClassifier(booster, threshold=0.2).fit(*BINARY)
    made = sklearn_factors(model, *BINARY)
    assert (made.ce.predictions == model.predict(X2)).all()
    sums = model.estimator_.predict(X2, output_margin=True) - np.log(0.2 / 0.8)
    np.testing.assert_allclose(made.ce.logits()[:, 0], sums, atol=1e-4)


@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
@pytest.mark.parametrize("passthrough", [False, True])
def test_a_stack_has_the_outputs_of_its_estimators_as_features(data, passthrough):
    X, y = data
    below = [("line", LogisticRegression()), ("near", KNeighborsClassifier())]
    model = StackingClassifier(below, LogisticRegression(), cv=2, passthrough=passthrough).fit(X, y)
    made = sklearn_factors(model, X, y)
    np.testing.assert_allclose(made.ce.features, model.transform(X))
    np.testing.assert_allclose(made.ce.logits().squeeze(), model.decision_function(X), atol=1e-9)
    assert made.feature_names == tuple(model.get_feature_names_out([f"x{i}" for i in range(X.shape[1])]))
    assert (made.ce.classes == model.classes_).all()


def test_a_threshold_that_leaves_one_side_empty_is_noted():
    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.999999).fit(*BINARY)
    notes = sklearn_factors(model, *BINARY).notes
    assert notes[0].startswith("The threshold of FixedThresholdClassifier (1 of predict_proba) is part")
    assert notes[1] == "Every audited instance lies on one side of that threshold, and is predicted 0."
    with pytest.raises(CemagError, match=r"threshold 1.5 of probabilities: above 0 and below 1"):
        sklearn_factors(FixedThresholdClassifier(LogisticRegression(), threshold=1.5).fit(*BINARY), *BINARY)


def test_a_threshold_on_probabilities_that_are_no_sigmoid_is_refused():
    model = FixedThresholdClassifier(SGDClassifier(loss="modified_huber", random_state=0), threshold=0.2)
    with pytest.raises(CemagError, match="SGDClassifier gives probabilities that are no sigmoid of its sum"):
        sklearn_factors(model.fit(*BINARY), *BINARY)


@pytest.mark.parametrize(
    "inner", [LogisticRegression(), MultinomialNB(), make_pipeline(StandardScaler(), SVC())]
)
def test_self_training_stands_for_its_estimator(inner):
    X = np.abs(X2)
    partly = np.where(np.arange(len(Y2)) % 3 == 0, -1, Y2)
    if not hasattr(inner, "predict_proba") and not isinstance(inner, LogisticRegression | MultinomialNB):
        inner = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())
    fitted = SelfTrainingClassifier(inner).fit(X, partly)
    made = sklearn_factors(fitted, X, Y2)
    expected = sklearn_factors(fitted.estimator_, X, Y2)
    np.testing.assert_array_equal(made.ce.logits(), expected.ce.logits())
    assert made.model_name.startswith("SelfTrainingClassifier of ")


# ---------------------------------------------------------------------- naive Bayes


@pytest.mark.parametrize("data", [BINARY, MANY], ids=["binary", "three classes"])
@pytest.mark.parametrize(
    "model",
    [
        *(MultinomialNB(), MultinomialNB(fit_prior=False), ComplementNB(), ComplementNB(norm=True)),
        *(BernoulliNB(), BernoulliNB(binarize=0.3), BernoulliNB(binarize=None)),
        *(SelfTrainingClassifier(MultinomialNB()), OneVsRestClassifier(MultinomialNB())),
        make_pipeline(MinMaxScaler(), ComplementNB()),
    ],
    ids=repr,
)
def test_naive_bayes_is_a_weighted_sum(model, data):
    X, y = np.abs(data[0]), data[1]
    if isinstance(model, SelfTrainingClassifier):
        y = y.astype(object) if y.dtype.kind == "U" else y
    if getattr(model, "binarize", 0) is None:
        X = (X > 0.5).astype(float)
    fitted = model.fit(X, y)
    for given in (X, csr_array(X)):
        if hasattr(model, "steps") and given is not X:
            continue
        made = sklearn_factors(fitted, given, y)
        np.testing.assert_array_equal(made.ce.classes[made.ce.predictions], fitted.predict(given))
        if not isinstance(model, OneVsRestClassifier):
            shares = softmax(made.ce.logits(), axis=1)
            np.testing.assert_allclose(shares, fitted.predict_proba(given), rtol=1e-6)


def test_gaussian_naive_bayes_is_linear_where_the_variances_are_equal():
    X, y = MANY
    model = GaussianNB().fit(X, y)
    with pytest.raises(CemagError, match="GaussianNB has variances of its own for each class"):
        sklearn_factors(model, X, y)
    model.var_ = np.tile(model.var_.mean(axis=0), (3, 1))
    made = sklearn_factors(model, X, y)
    np.testing.assert_allclose(softmax(made.ce.logits(), axis=1), model.predict_proba(X), rtol=1e-6)


def test_a_model_of_one_class_is_refused():
    with pytest.raises(CemagError, match="MultinomialNB was fitted on one class"):
        sklearn_factors(MultinomialNB().fit([[1.0], [2.0]], [3, 3]), [[1.0]], [3])


def test_a_linear_booster_has_a_base_score():
    xgboost = pytest.importorskip("xgboost")
    for X, y in (BINARY, (X3, np.searchsorted(LABELS, Y3))):
        model = xgboost.XGBClassifier(booster="gblinear", n_estimators=10, n_jobs=1).fit(X, y)
        made = sklearn_factors(model, X, y)
        own = model.predict(X, output_margin=True).reshape(len(X), -1)
        off = made.ce.logits() - own
        assert np.ptp(off, axis=1 if off.shape[1] > 1 else 0).max() < 1e-4


# ---------------------------------------------------------------------- equal support vectors


def test_equal_support_vectors_are_one():
    X, y = np.r_[X2, X2[Y2 == 1], X2[Y2 == 1]], np.r_[Y2, np.ones(2 * Y2.sum(), dtype=int)]
    ce = embed_model(SVC().fit(X, y), X)
    merged = ce.merged()
    assert merged.n_features == len(np.unique(ce.features.support_vectors, axis=0)) < ce.n_features
    np.testing.assert_allclose(merged.logits(), ce.logits(), atol=1e-12)
    np.testing.assert_array_equal(merged.features[:], merged.features.take(slice(None))[:])
    assert merged.merged() is merged
    linear = embed_model(LogisticRegression().fit(X, y), X)
    assert linear.merged() is linear
