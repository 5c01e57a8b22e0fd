"""The tabular models: their settings reach scikit-learn, and their CEs add up to its decisions."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from cemag.models import MODELS, LogisticModel, ModelSpec, SVMModel, embed, fit_model

X, Y = make_classification(n_samples=120, n_features=6, weights=[0.8], flip_y=0.1, random_state=0)
WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, len(Y))
PAIRS = [
    (LogisticModel(C=0.3), LogisticRegression(C=0.3, max_iter=2000)),
    (SVMModel(C=2.0), SVC(C=2.0)),
    (SVMModel(gamma=0.2), SVC(gamma=0.2)),
    (SVMModel(gamma="auto"), SVC(gamma="auto")),
]


@pytest.mark.parametrize(("model", "estimator"), PAIRS, ids=repr)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
def test_ces_of_a_fitted_model_add_up_to_scikit_learns_own_decision(model, estimator, weight):
    fitted = fit_model(model, X, Y, weight, random_state=0)
    expected = estimator.fit(X, Y, sample_weight=weight)
    ce = embed(fitted, X)
    np.testing.assert_allclose(ce.logits()[:, -1], expected.decision_function(X), rtol=1e-6, atol=1e-9)
    assert (ce.classes[ce.predictions] == expected.predict(X)).all()
    n_ces = len(expected.support_vectors_) if isinstance(expected, SVC) else X.shape[1]
    assert ce.n_features == n_ces


def test_weights_change_the_fit():
    model = LogisticModel()
    plain, weighted = (fit_model(model, X, Y, w, random_state=0) for w in (None, WEIGHT))
    assert not np.allclose(plain.coef_, weighted.coef_)


def test_every_registered_model_is_built_from_its_name():
    adapter = TypeAdapter(ModelSpec)
    for name, kind in MODELS.items():
        model = adapter.validate_python({"name": name})
        assert isinstance(model, kind)
        assert hasattr(model.build(0), "fit")


def test_a_random_state_reaches_the_estimator():
    assert [kind().build(7).random_state for kind in MODELS.values()] == [7, 7]


@pytest.mark.parametrize(
    "settings",
    [{"C": 0}, {"C": -1}, {"C": float("nan")}, {"C": float("inf")}, {"C": True}, {"c": 1}],
    ids=repr,
)
@pytest.mark.parametrize("kind", list(MODELS.values()))
def test_settings_out_of_range_are_refused(kind, settings):
    with pytest.raises(ValidationError):
        kind(**settings)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValidationError, match="frozen"):
        SVMModel().gamma = 1.0
