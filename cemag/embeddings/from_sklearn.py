"""From a fitted scikit-learn classifier to its factors, checked against the model's own output.

Calls the model's prediction and transformation methods; fits and writes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings.arrays import not_finite
from cemag.embeddings.classification import ClassificationEmbeddings, decide
from cemag.embeddings.factors import Factors, factors
from cemag.embeddings.sklearn_steps import SUPPORTED, Step, bare, checked, linear_step
from cemag.errors import CemagError, DataError

__all__ = ["embed_model", "sklearn_factors"]


def sklearn_factors(
    model: Any,
    X: Any,
    y: Any,
    *,
    part: int | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    model_name: str | None = None,
) -> Factors:
    """CEs of a fitted classifier of scikit-learn (or imbalanced-learn) on labelled instances.

    Parameters
    ----------
    model : estimator
        A linear classifier (one with ``coef_``), ``SVC`` (RBF with two classes, or linear with two),
        ``MLPClassifier``, multinomial, Bernoulli or complement Naive Bayes, ``OneVsRestClassifier`` of
        linear classifiers or SVCs; and ``Pipeline``, ``GridSearchCV`` and its like,
        ``SelfTrainingClassifier``, ``FixedThresholdClassifier``, ``TunedThresholdClassifierCV`` or
        ``CalibratedClassifierCV`` around one of them.
    X : array_like or DataFrame of shape (N, p)
        Instances as the model takes them; a pipeline's steps are applied here.
    y : array_like of shape (N,)
        True labels, among ``model.classes_``.
    part : int, optional
        Which classifier of a ``CalibratedClassifierCV`` with several; they average probabilities, and
        an average of probabilities is no sum of CEs.
    class_names : sequence of C str, optional
        The labels when not given.
    feature_names : sequence of d str, optional
        Names of the last step's features; the columns, as the pipeline's steps name them, when not given.
    model_name : str, optional
        What a report calls the model; made of its classes' names when not given.

    Returns
    -------
    Factors
        Its logits are the model's decision function, or with two or more columns the logarithms of its
        probabilities, up to one number per instance; with a threshold in the bias where the model has
        moved it. Its predictions are the model's.

    Raises
    ------
    CemagError
        If the model is not fitted or does not end in a weighted sum per class, or if its decisions
        are not those of its CEs.
    DataError
        If the model refuses `X`, or a label is not one of its classes.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["no", "yes", "yes"]
    >>> made = sklearn_factors(LogisticRegression().fit(X, y), X, y)
    >>> made.model_name, made.class_names, made.feature_names
    ('LogisticRegression', ('no', 'yes'), ('x0', 'x1'))
    """
    alone, step = _checked_step(model, X, part)
    names = step.names if feature_names is None else feature_names
    made = factors(
        step.features,
        step.weights,
        step.decided_bias(),
        y,
        classes=step.classes,
        class_names=class_names,
        feature_names=names,
        model_name=model_name or describe(alone) + ("" if part is None else f", part {part}"),
        kind=step.kind,
        notes=step.notes,
    )
    return made


def embed_model(model: Any, X: Any) -> ClassificationEmbeddings:
    """CEs of a fitted classifier of scikit-learn, by the same steps and checks as `sklearn_factors`.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["no", "yes", "yes"]
    >>> model = SVC().fit(X, y)
    >>> ce = embed_model(model, X)
    >>> ce.n_features == len(model.support_), np.allclose(ce.logits()[:, 0], model.decision_function(X))
    (True, True)
    """
    step = _checked_step(model, X, None)[1]
    return ClassificationEmbeddings(step.features, step.weights, step.decided_bias(), step.classes)


def _checked_step(model: Any, X: Any, part: int | None) -> tuple[Any, Step]:
    """Find the last linear step; its sums are the model's own output, and its decisions the model's."""
    _refuse_unfitted(model)
    alone = select_part(model, part)
    predicted = _predictions(alone, X)
    name = describe(alone)
    step = checked(alone, X, linear_step(alone, X, _column_names(model, X)), name)
    return alone, _check_decisions(name, predicted, step)


def select_part(model: Any, part: int | None) -> Any:
    """Return a model that predicts with one classifier where calibration holds several; a copy if so."""
    model = bare(model)
    if hasattr(model, "steps"):
        changed = copy.copy(model)
        name, last = model.steps[-1]
        changed.steps = [*model.steps[:-1], (name, select_part(last, part))]
        return changed
    if hasattr(model, "estimator_") and not hasattr(model, "coef_"):  # self-training, a moved threshold
        changed = copy.copy(model)
        changed.estimator_ = select_part(model.estimator_, part)
        return changed
    members = getattr(model, "calibrated_classifiers_", None)
    if members is None:
        if part is not None:
            raise CemagError(f"part is {part}: {type(model).__name__} has no parts to choose from")
        return model
    if part is None:
        return model
    if not isinstance(part, int) or isinstance(part, bool) or not 0 <= part < len(members):
        raise CemagError(f"part is {part!r}: 0 to {len(members) - 1} are there")
    changed = copy.copy(model)
    changed.calibrated_classifiers_ = [members[part]]
    return changed


def describe(model: Any) -> str:
    """Name a model as a report does: the classifier, and what comes before it.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import LinearSVC
    >>> describe(make_pipeline(StandardScaler(), LinearSVC()))
    'LinearSVC after StandardScaler'
    """
    model = bare(model)
    if hasattr(model, "steps"):
        before = [type(s).__name__ for _, s in model.steps[:-1] if s is not None and s != "passthrough"]
        last = describe(model.steps[-1][1])
        return f"{last} after {', '.join(before)}" if before else last
    inner = getattr(model, "estimator", None)
    kind = type(model).__name__
    return kind if inner is None else f"{kind} of {describe(inner)}"


def _refuse_unfitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    kind = model.__name__ if isinstance(model, type) else type(model).__name__
    try:
        check_is_fitted(model)
    except NotFittedError:
        raise CemagError(f"{kind} is not fitted: call fit first") from None
    except TypeError:
        raise CemagError(f"{kind} is no fitted classifier; supported are {SUPPORTED}") from None
    if hasattr(model, "cv_results_") and not hasattr(model, "best_estimator_"):
        raise CemagError(f"{kind} was fitted with refit=False and keeps no model: refit=True is needed")
    if not hasattr(model, "predict"):
        raise CemagError(f"{kind} predicts nothing; supported are {SUPPORTED}")


def _predictions(model: Any, X: Any) -> NDArray[Any]:
    try:
        predicted = np.asarray(model.predict(X))
    except (ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        if "NaN" in reason or "infinity" in reason:
            reason += _counted(X)
        raise DataError(f"{describe(model)} refuses X: {reason}") from None
    if predicted.ndim != 1:
        raise CemagError(f"{describe(model)} gives several labels a row: one class a row is needed")
    return predicted


def _counted(X: Any) -> str:
    values = np.asarray(X)  # of a sparse matrix: an object, which is not looked into
    found = not_finite(values) if values.dtype.kind == "f" and values.ndim == 2 else ""
    return f" It holds {found}" if found else ""


def _column_names(model: Any, X: Any) -> list[str] | None:
    columns = getattr(X, "columns", None)
    if columns is None:
        columns = getattr(model, "feature_names_in_", None)
    return None if columns is None else [str(column) for column in columns]


def _check_decisions(name: str, predicted: NDArray[Any], step: Step) -> Step:
    """Hold predictions against the sums with the threshold: they must differ in near-ties alone."""
    sums = step.sums()
    sums[:, -1] -= step.threshold
    # rows whose two largest sums are equal up to rounding may fall either way
    ordered = np.sort(sums, axis=1)
    margin = np.abs(sums[:, 0]) if sums.shape[1] == 1 else ordered[:, -1] - ordered[:, -2]
    clear = margin > 1e-6 * max(float(np.abs(sums).max()), np.finfo(float).tiny)
    ours = step.classes[decide(sums)]
    if (wrong := clear & (ours != predicted)).any():
        reason = f": {' '.join(step.notes)}" if step.notes else ""
        raise CemagError(
            f"{name} predicts otherwise than its CEs in {wrong.sum()} of {len(wrong)} rows, "
            f"the first of them row {wrong.argmax()}{reason}"
        )
    if step.threshold and len(np.unique(ours)) == 1:
        note = f"Every audited instance lies on one side of that threshold, and is predicted {ours[0]}."
        return replace(step, notes=(*step.notes, note))
    return step
