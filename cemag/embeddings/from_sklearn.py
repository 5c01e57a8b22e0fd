"""From a fitted scikit-learn classifier to its factors, checked against the model's own decisions.

Calls the model's prediction and transformation methods; fits and writes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings.arrays import not_finite
from cemag.embeddings.factors import Factors, factors
from cemag.embeddings.sklearn_steps import SUPPORTED, Step, bare, linear_step
from cemag.errors import CemagError, DataError

__all__ = ["sklearn_factors"]


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
        ``MLPClassifier``, ``OneVsRestClassifier`` of linear classifiers or SVCs; and ``Pipeline``,
        ``GridSearchCV`` and its like, or ``CalibratedClassifierCV`` around one of them.
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
        Its logits are the model's decision function, and its predictions the model's.

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
    _refuse_unfitted(model)
    alone = select_part(model, part)
    predicted = _predictions(alone, X)
    step = linear_step(alone, X, _column_names(model, X))
    names = step.names if feature_names is None else feature_names
    made = factors(
        step.features,
        step.weights,
        step.bias,
        y,
        classes=step.classes,
        class_names=class_names,
        feature_names=names,
        model_name=model_name or describe(alone) + ("" if part is None else f", part {part}"),
        kind=step.kind,
        notes=step.notes,
    )
    _check_promise(alone, X, predicted, made, step)
    return made


def select_part(model: Any, part: int | None) -> Any:
    """Return a model that predicts with one classifier where calibration holds several; a copy if so."""
    model = bare(model)
    if hasattr(model, "steps"):
        changed = copy.copy(model)
        name, last = model.steps[-1]
        changed.steps = [*model.steps[:-1], (name, select_part(last, part))]
        return changed
    members = getattr(model, "calibrated_classifiers_", None)
    if members is None:
        if part is not None:
            raise CemagError(f"part is {part}: {type(model).__name__} has no parts to choose from")
        return model
    if part is None:
        return model
    if not 0 <= part < len(members):
        raise CemagError(f"part is {part}: 0 to {len(members) - 1} are there")
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


def _check_promise(model: Any, X: Any, predicted: NDArray[Any], made: Factors, step: Step) -> None:
    logits = made.ce.logits()
    own, ours = _own_values(model, X, logits, step)
    if own is not None:
        if own.shape != ours.shape:
            raise CemagError(f"{made.model_name} decides by values {own.shape}, its CEs by {ours.shape}")
        scale = max(1.0, float(np.abs(own).max()))
        largest = float(np.abs(own - ours).max())
        if not largest <= _tolerance(own) * scale:
            raise CemagError(
                f"{made.model_name} does not decide by its CEs: its values differ by up to {largest:.3g} "
                f"where the largest is {scale:.3g}"
            )
    # rows whose two largest sums are equal up to rounding may fall either way
    ordered = np.sort(logits, axis=1)
    margin = np.abs(logits[:, 0]) if logits.shape[1] == 1 else ordered[:, -1] - ordered[:, -2]
    clear = margin > 1e-6 * max(1.0, float(np.abs(logits).max()))
    wrong = clear & (made.ce.classes[made.ce.predictions] != predicted)
    if wrong.any():
        reason = f": {' '.join(made.notes)}" if made.notes else ""
        raise CemagError(
            f"{made.model_name} predicts otherwise than its CEs in {wrong.sum()} of {len(wrong)} rows, "
            f"the first of them row {wrong.argmax()}{reason}"
        )


def _own_values(
    model: Any, X: Any, logits: NDArray[Any], step: Step
) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    if step.probabilities is not None:
        return np.asarray(model.predict_proba(X)), step.probabilities(logits)
    if hasattr(model, "decision_function"):
        own = np.asarray(model.decision_function(X))
        return (own[:, None] if own.ndim == 1 else own), logits
    return None, logits


def _tolerance(own: NDArray[Any]) -> float:
    return 1e-3 if own.dtype.itemsize < 8 else 1e-6
