"""The last linear step of a fitted scikit-learn classifier: its weights, and what goes into it.

Reads the fitted model and the instances; fits and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings import KernelFeatures
from cemag.embeddings.arrays import as_array, listed, numbers
from cemag.embeddings.classification import KERNEL_IN_MEMORY
from cemag.embeddings.factors import Kind
from cemag.errors import CemagError

__all__ = ["SUPPORTED", "Step", "bare", "linear_step"]

SUPPORTED = (
    "linear classifiers (those with coef_), SVC (kernel 'rbf' or 'linear', two classes), MLPClassifier, "
    "OneVsRestClassifier of linear classifiers or SVCs, and Pipeline, GridSearchCV or "
    "CalibratedClassifierCV around one of them"
)
ONE_VERSUS_REST = "fit OneVsRestClassifier({}) instead, which has one sum per class"


@dataclass(frozen=True)
class Step:
    """One linear step: ``features @ weights.T + bias``, decided by the largest sum or by the sign of one.

    Parameters
    ----------
    features : ndarray of shape (N, d), or KernelFeatures
        What goes in.
    weights, bias : ndarray of shape (C, d) and (C,), or (1, d) and (1,)
        Of the step.
    classes : ndarray of shape (C,)
        Labels; two for a single sum.
    kind : {"input column", "latent feature", "support vector"}
        What one feature is.
    names : list of str, optional
        Of the features.
    notes : tuple of str
        What is not the plain case.
    probabilities : callable, optional
        Maps logits (N, C) to what ``predict_proba`` gives, for models without ``decision_function``.
    """

    features: Any
    weights: NDArray[Any]
    bias: NDArray[Any]
    classes: NDArray[Any]
    kind: Kind = "input column"
    names: list[str] | None = None
    notes: tuple[str, ...] = ()
    probabilities: Callable[[NDArray[Any]], NDArray[Any]] | None = None


def linear_step(model: Any, X: Any, names: list[str] | None = None) -> Step:
    """Find the last linear step of a fitted classifier, and compute what goes into it.

    Parameters
    ----------
    model : estimator
        Fitted; a search stands for its best estimator.
    X : array_like of shape (N, p)
        Instances as `model` takes them.
    names : list of p str, optional
        Names of the columns of `X`.

    Raises
    ------
    CemagError
        If the model does not end in a weighted sum per class; says what is supported.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifier
    >>> linear_step(RidgeClassifier().fit([[0.0], [1.0]], ["a", "b"]), [[2.0]]).weights.shape
    (1, 1)
    """
    model = bare(model)
    if hasattr(model, "steps"):
        return linear_step(model.steps[-1][1], *transformed(model, X, names))
    if hasattr(model, "calibrated_classifiers_"):
        return _calibrated(_only(model.calibrated_classifiers_), X, names)
    kind = type(model).__name__
    if kind == "OneVsOneClassifier":
        raise CemagError(
            f"{kind} decides by votes of {len(model.estimators_)} pairs of classes and has no single sum "
            f"per class; {ONE_VERSUS_REST.format(type(model.estimator).__name__ + '()')}"
        )
    if isinstance(getattr(model, "classes_", None), list) or getattr(model, "multilabel_", False):
        raise CemagError(f"{kind} gives several labels a row: one class a row is needed")
    if kind == "OneVsRestClassifier":
        return _one_versus_rest(model, X, names)
    if hasattr(model, "kernel") and hasattr(model, "dual_coef_"):
        return _svc(model, X, names)
    if hasattr(model, "coefs_") and hasattr(model, "out_activation_"):
        return _perceptron(model, X)
    if all(hasattr(model, name) for name in ("coef_", "intercept_", "classes_")):
        return _linear(model, X, names)
    raise CemagError(f"{kind} does not end in a weighted sum; supported are {SUPPORTED}")


def bare(model: Any) -> Any:
    """Return the estimator that a search or a frozen estimator stands for.

    Examples
    --------
    >>> from sklearn.frozen import FrozenEstimator
    >>> from sklearn.svm import LinearSVC
    >>> bare(FrozenEstimator(LinearSVC()))
    LinearSVC()
    """
    while True:
        if hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif type(model).__name__ == "FrozenEstimator":
            model = model.estimator
        else:
            return model


def transformed(pipeline: Any, X: Any, names: list[str] | None) -> tuple[Any, list[str] | None]:
    """Take X through all steps but the last; samplers (imbalanced-learn) act in training only."""
    for _, step in pipeline.steps[:-1]:
        if step is None or step == "passthrough" or hasattr(step, "fit_resample"):
            continue
        X = step.transform(X)
        names = _names_out(step, names, X)
    return X, names


def _names_out(step: Any, names: list[str] | None, made: Any) -> list[str] | None:
    if hasattr(made, "columns"):
        return [str(column) for column in made.columns]
    try:
        found = [str(name) for name in step.get_feature_names_out(names)]
    except (AttributeError, ValueError, TypeError, NotImplementedError):  # a step may have no names to give
        return None
    return found if len(found) == made.shape[1] else None


def _linear(model: Any, X: Any, names: list[str] | None) -> Step:
    return Step(as_array("X", X), *_head(model), model.classes_, names=names)


def _head(model: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    weights = np.atleast_2d(as_array("coef_", model.coef_))
    return weights, np.array(np.broadcast_to(np.atleast_1d(model.intercept_), len(weights)))


def _svc(model: Any, X: Any, names: list[str] | None) -> Step:
    _refuse_kernel(model)
    if (n_classes := len(model.classes_)) != 2:
        raise CemagError(
            f"{type(model).__name__} has {n_classes} classes and decides by votes of "
            f"{n_classes * (n_classes - 1) // 2} one-against-one pairs, which have no single sum per class; "
            + ONE_VERSUS_REST.format(f"SVC(kernel={model.kernel!r})")
        )
    if model.kernel == "linear":
        return _linear(model, X, names)
    vectors = as_array("support_vectors_", model.support_vectors_)
    return Step(
        _kernel_rows(X, vectors, float(model._gamma)),
        as_array("dual_coef_", model.dual_coef_),
        model.intercept_,
        model.classes_,
        "support vector",
        _row_names(model.support_),
    )


def _refuse_kernel(model: Any) -> None:
    if model.kernel not in ("rbf", "linear"):
        name = model.kernel if isinstance(model.kernel, str) else "a function"
        raise CemagError(f"{type(model).__name__} has kernel {name!r}: supported are 'rbf' and 'linear'")


def _kernel_rows(X: Any, vectors: NDArray[Any], gamma: float) -> Any:
    # the kernel sees differences alone, and they lose no digits when the values are small
    centre = vectors.mean(axis=0)
    rows = KernelFeatures(numbers("X", X, 2) - centre, vectors - centre, gamma)
    return rows[:] if 8 * rows.shape[0] * rows.shape[1] <= KERNEL_IN_MEMORY else rows


def _row_names(rows: NDArray[np.integer]) -> list[str]:
    return [f"training row {row}" for row in rows]


def _perceptron(model: Any, X: Any) -> Step:
    from scipy.special import expit, softmax

    if model.out_activation_ == "logistic" and model.coefs_[-1].shape[1] > 1:
        raise CemagError("MLPClassifier gives several labels a row: one class a row is needed")
    activation = {"identity": lambda z: z, "logistic": expit, "tanh": np.tanh, "relu": lambda z: z.clip(0)}
    hidden = as_array("X", X)
    for coefficients, intercept in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        hidden = activation[model.activation](hidden @ coefficients + intercept)
    binary = model.out_activation_ == "logistic"
    return Step(
        hidden,
        model.coefs_[-1].T,
        model.intercepts_[-1],
        model.classes_,
        "latent feature",
        probabilities=_two_columns(expit) if binary else lambda logits: softmax(logits, axis=1),
    )


def _two_columns(link: Callable[[Any], Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda logits: np.hstack([link(-logits), link(logits)])


# ---------------------------------------------------------------------- one versus rest


def _one_versus_rest(model: Any, X: Any, names: list[str] | None) -> Step:
    parts = [bare(part) for part in model.estimators_]
    for label, part in zip(_part_labels(model), parts, strict=True):
        if type(part).__name__ == "_ConstantPredictor":
            raise CemagError(f"OneVsRestClassifier was fitted without both sides of class {label!r}")
        if hasattr(part, "steps"):
            raise CemagError(
                "OneVsRestClassifier has a Pipeline for every class, each with features of its own; put the "
                "steps before it: make_pipeline(..., OneVsRestClassifier(...))"
            )
        if hasattr(part, "kernel") and hasattr(part, "dual_coef_"):
            _refuse_kernel(part)
    if len(parts) == 1:
        return replace(linear_step(parts[0], X, names), classes=model.classes_)
    if all(getattr(part, "kernel", None) == "rbf" for part in parts):
        return _stacked_kernels(model, parts, X)
    if all(hasattr(part, "coef_") for part in parts):
        weights, bias = (np.concatenate(rows) for rows in zip(*map(_head, parts), strict=True))
        return Step(as_array("X", X), weights, bias, model.classes_, names=names)
    kinds = ", ".join(sorted({type(part).__name__ for part in parts}))
    raise CemagError(f"OneVsRestClassifier of {kinds} has no features in common; supported are {SUPPORTED}")


def _part_labels(model: Any) -> Iterator[Any]:
    labels = model.classes_.tolist()
    return iter(labels[-1:] if len(model.estimators_) == 1 else labels)


def _stacked_kernels(model: Any, parts: list[Any], X: Any) -> Step:
    """One kernel column per training row that supports any class; its weight is 0 where it does not."""
    gammas = sorted({float(part._gamma) for part in parts})
    if len(gammas) > 1:
        raise CemagError(
            f"OneVsRestClassifier has SVCs of different gamma ({listed(gammas)}): one is needed, for "
            "features that the classes share"
        )
    rows = np.unique(np.concatenate([part.support_ for part in parts]))
    vectors = np.empty((len(rows), parts[0].support_vectors_.shape[1]))
    weights = np.zeros((len(parts), len(rows)))
    for c, part in enumerate(parts):
        places = np.searchsorted(rows, part.support_)
        vectors[places] = as_array("support_vectors_", part.support_vectors_)
        weights[c, places] = as_array("dual_coef_", part.dual_coef_)[0]
    bias = np.array([part.intercept_[0] for part in parts])
    features = _kernel_rows(X, vectors, gammas[0])
    return Step(features, weights, bias, model.classes_, "support vector", _row_names(rows))


# ---------------------------------------------------------------------- calibration


def _calibrated(member: Any, X: Any, names: list[str] | None) -> Step:
    """Fold calibration into the step where it is linear in the sums (sigmoid, temperature).

    With Platt's sigmoid, class c has probability ``expit(-(a_c f_c + b_c))`` up to a factor that the
    classes share, so the calibrated model decides by the largest of ``-(a_c f_c + b_c)``: again a
    weighted sum, of the same features. Isotonic calibration is no such thing, and changes no CE.
    """
    from scipy.special import expit, softmax

    inner = bare(member.estimator)
    if not hasattr(inner, "decision_function"):
        raise CemagError(
            f"CalibratedClassifierCV calibrates the probabilities of {type(inner).__name__}, "
            "not its sums; supported are classifiers with decision_function"
        )
    step = linear_step(inner, X, names)
    # for temperature scaling the classifier inside is fitted on numbered classes
    if not any(np.array_equal(step.classes, known) for known in (member.classes, range(len(member.classes)))):
        raise CemagError("CalibratedClassifierCV knows classes that the classifier inside it does not")
    step = replace(step, classes=member.classes)
    single = len(step.weights) == 1
    if member.method == "sigmoid":
        slope = -np.array([calibrator.a_ for calibrator in member.calibrators])
        offset = -np.array([calibrator.b_ for calibrator in member.calibrators])
        link = _two_columns(expit) if single else _normalised(expit)
        return _rescaled(step, slope, offset, link, "sigmoid")
    if member.method == "temperature":
        slope = np.full(len(step.weights), member.calibrators[0].beta_ * (2 if single else 1))
        link = _two_columns(expit) if single else lambda logits: softmax(logits, axis=1)
        return _rescaled(step, slope, np.zeros_like(slope), link, "temperature")
    note = (
        f"{member.method.capitalize()} calibration is left out: the CEs are those of "
        f"{type(inner).__name__} inside it."
    )
    return replace(step, notes=(*step.notes, note), probabilities=None)


def _only(members: list[Any]) -> Any:
    if len(members) > 1:
        raise CemagError(
            f"CalibratedClassifierCV averages the probabilities of {len(members)} classifiers, which is no "
            f"single sum: pass part=0 to {len(members) - 1} for one of them, or fit it with ensemble=False"
        )
    return members[0]


def _normalised(link: Callable[[Any], Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda logits: link(logits) / link(logits).sum(axis=1, keepdims=True)


def _rescaled(
    step: Step, slope: NDArray[Any], offset: NDArray[Any], link: Callable[[Any], Any], method: str
) -> Step:
    note = f"{method.capitalize()} calibration is part of the weights and the bias."
    return replace(
        step,
        weights=step.weights * slope[:, None],
        bias=step.bias * slope + offset,
        notes=(*step.notes, note),
        probabilities=link,
    )
