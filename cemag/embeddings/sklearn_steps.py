"""The last linear step of a fitted scikit-learn classifier: its weights, and what goes into it.

Reads the fitted model and the instances; fits and writes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings.arrays import as_array, listed, numbers, rows_of
from cemag.embeddings.classification import ClassificationEmbeddings
from cemag.embeddings.factors import Kind
from cemag.embeddings.features import KernelFeatures
from cemag.embeddings.promise import settle
from cemag.errors import CemagError

KERNEL_IN_MEMORY = 256 << 20  # a kernel matrix below this is kept; above it, blocks are recomputed
__all__ = ["SUPPORTED", "Step", "bare", "checked", "linear_step"]

SUPPORTED = (
    "linear classifiers (those with coef_), SVC (kernel 'rbf' or 'linear', two classes), MLPClassifier, "
    "MultinomialNB, BernoulliNB, ComplementNB, OneVsRestClassifier of linear classifiers or SVCs, and "
    "Pipeline, GridSearchCV, SelfTrainingClassifier, FixedThresholdClassifier, TunedThresholdClassifierCV "
    "or CalibratedClassifierCV around one of them"
)
ONE_VERSUS_REST = "fit OneVsRestClassifier({}) instead, which has one sum per class"


Link = Callable[[NDArray[Any]], NDArray[Any]]


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
    link : callable, optional
        Maps sums (N, C) to what ``predict_proba`` gives, where that is not a softmax (or, of a single
        sum, a sigmoid) of them; the sums are checked on the estimator inside then.
    threshold : float
        Lead of the last of two classes at which it is predicted; the sums that the model gives out
        know nothing of it, and those that the CEs decide by have it in the bias.
    inside_only : bool
        The model's own output is no function of the sums, which are checked on the estimator inside.
    """

    features: Any
    weights: NDArray[Any]
    bias: NDArray[Any]
    classes: NDArray[Any]
    kind: Kind = "input column"
    names: list[str] | None = None
    notes: tuple[str, ...] = ()
    link: Link | None = None
    threshold: float = 0.0
    inside_only: bool = False

    def sums(self) -> NDArray[np.float64]:
        """Sums before the threshold: (N, C), or (N, 1)."""
        return ClassificationEmbeddings(self.features, self.weights, self.bias).logits()

    def decided_bias(self) -> NDArray[Any]:
        """Bias with the threshold in it."""
        bias = np.array(self.bias, dtype=np.float64)
        bias[-1] -= self.threshold
        return bias


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
    if _is_a(model, "SelfTrainingClassifier"):
        return linear_step(model.estimator_, X, names)
    if _is_a(model, "FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return _thresholded(model, X, names)
    if kind == "OneVsOneClassifier":
        raise CemagError(
            f"{kind} decides by votes of {len(model.estimators_)} pairs of classes and has no single sum "
            f"per class; {ONE_VERSUS_REST.format(type(model.estimator).__name__ + '()')}"
        )
    if isinstance(getattr(model, "classes_", None), list) or getattr(model, "multilabel_", False):
        raise CemagError(f"{kind} gives several labels a row: one class a row is needed")
    if len(getattr(model, "classes_", (0, 1))) < 2:
        raise CemagError(f"{kind} was fitted on one class, {model.classes_[0]!r}: two are needed")
    if kind == "OneVsRestClassifier":
        return _one_versus_rest(model, X, names)
    if hasattr(model, "kernel") and hasattr(model, "dual_coef_"):
        return _svc(model, X, names)
    if hasattr(model, "coefs_") and hasattr(model, "out_activation_"):
        return _perceptron(model, X)
    if _is_a(model, "MultinomialNB", "BernoulliNB", "ComplementNB", "GaussianNB"):
        return _naive_bayes(model, X, names)
    if all(hasattr(model, name) for name in ("coef_", "intercept_", "classes_")):
        return _linear(model, X, names)
    raise CemagError(f"{kind} does not end in a weighted sum; supported are {SUPPORTED}")


def _is_a(model: Any, *names: str) -> bool:
    """Whether a class of scikit-learn with one of these names is the model's or an ancestor of it."""
    return any(base.__name__ in names for base in type(model).__mro__)


# ---------------------------------------------------------------------- the promise


def checked(model: Any, X: Any, step: Step, name: str) -> Step:
    """Hold the sums of a step against a model's own output, and give the bias what only the output shows.

    Parameters
    ----------
    model : estimator
        Has ``decision_function``, or probabilities, whose logarithms are sums up to one number per row.
    X : array_like of shape (N, p)
        Instances as `model` takes them.
    step : Step
        Of the same instances.
    name : str
        What the message calls the model.

    Raises
    ------
    CemagError
        If the sums are not the model's, or it gives nothing to hold them against.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> model = LogisticRegression().fit([[0.0], [1.0]], ["a", "b"])
    >>> step = linear_step(model, [[2.0], [3.0]])
    >>> checked(model, [[2.0], [3.0]], step, "it") is step
    True
    """
    if step.inside_only:
        return step
    sums = step.sums()
    if step.link is not None:
        _check_probabilities(name, model, X, step.link(sums))
        return step
    own, doubt = _output(name, model, X)
    if own.shape[1] == 2 and sums.shape[1] == 1:  # of two columns only the difference decides
        own, doubt = own[:, 1:] - own[:, :1], doubt.max(axis=1, keepdims=True)
    elif own.shape[1] == 1 and sums.shape[1] == 2:
        own = np.hstack([np.zeros_like(own), own])
    factor, shift = settle(name, own, sums, doubt)
    if factor == 1.0 and not shift.any():
        return step
    notes = []
    if factor != 1.0:
        notes.append(f"A factor of {factor:.4g} in the model's output is part of the weights and the bias.")
    if shift.any():
        said = ", ".join(f"{one:.4g}" for one in shift[:8]) + (", ..." if len(shift) > 8 else "")
        notes.append(
            f"A constant in the model's output that its intercept_ leaves out ({said}) is part of the bias."
        )
    bias = np.asarray(step.bias, dtype=np.float64) * factor + shift
    return replace(step, weights=np.asarray(step.weights) * factor, bias=bias, notes=(*step.notes, *notes))


def _output(name: str, model: Any, X: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Output of a model that sums are held against, (N, C) or (N, 1), and how far each number may be off."""
    for method in ("decision_function", "predict_joint_log_proba"):
        if hasattr(model, method):
            own = as_array(method, getattr(model, method)(X))
            own = own[:, None] if own.ndim == 1 else own
            return own, np.zeros(own.shape)
    if not hasattr(model, "predict_proba") and not hasattr(model, "predict_log_proba"):
        raise CemagError(
            f"{name} has neither decision_function nor predict_proba: its sums cannot be held against its "
            "CEs, and that predictions agree is not enough"
        )
    with np.errstate(all="ignore"):
        if hasattr(model, "predict_proba"):
            shares = _two_sided(as_array("predict_proba", model.predict_proba(X)))
            logs = np.log(shares)
        if hasattr(model, "predict_log_proba"):
            logs = as_array("predict_log_proba", model.predict_log_proba(X))
            shares = np.exp(logs) if not hasattr(model, "predict_proba") else shares
        # a share that was made as 1 minus another is known to the last digit of 1 alone; below that
        # digit it was made by itself
        last = np.finfo(shares.dtype if shares.dtype.kind == "f" else np.float64).eps
        doubt = np.where(shares >= last / 2, 8 * last / shares, 0.0)
    return logs, doubt.astype(np.float64)


def _two_sided(shares: NDArray[Any]) -> NDArray[Any]:
    """Two columns where a model gives the probability of its second class alone."""
    if shares.ndim == 2 and shares.shape[1] > 1:
        return shares
    return np.column_stack([1 - shares.ravel(), shares.ravel()])


def _check_probabilities(name: str, model: Any, X: Any, expected: NDArray[Any]) -> None:
    """Hold probabilities that are no softmax of the sums against the model's, on the scale of logarithms."""
    if not hasattr(model, "predict_proba"):
        return  # the sums are checked on the estimator inside already
    found = _two_sided(as_array("predict_proba", model.predict_proba(X)))
    if found.shape != expected.shape:
        raise CemagError(f"{name} gives probabilities {found.shape}, its CEs {expected.shape}")
    narrow = found.dtype.itemsize < 8
    off = np.abs(found - expected)
    if not (off <= (1e-4 if narrow else 1e-6) * np.maximum(found, 1e-6 if narrow else 1e-9)).all():
        raise CemagError(
            f"{name} does not decide by its CEs: its probabilities differ by up to {off.max():.3g}"
        )


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
    weights = np.atleast_2d(as_array("coef_", model.coef_))
    if type(model).__module__.startswith("xgboost") and len(weights) > 1:
        # its coef_ of several classes has the numbers of a (d, C) array in a (C, d) shape
        weights = weights.reshape(weights.shape[::-1]).T
    intercept = np.atleast_1d(as_array("intercept_", model.intercept_))
    if intercept.shape not in ((1,), (len(weights),)):
        raise CemagError(
            f"{type(model).__name__} has intercept_ of shape {intercept.shape} and coef_ {weights.shape}: "
            "one number for each row of coef_ is needed"
        )
    bias = np.array(np.broadcast_to(intercept, len(weights)))
    return Step(rows_of("X", X), weights, bias, model.classes_, names=names)


def _naive_bayes(model: Any, X: Any, names: list[str] | None) -> Step:
    """Log-likelihoods that are linear in the counts, in the binary features, or in the values."""
    rows = rows_of("X", X)
    if _is_a(model, "GaussianNB"):
        if not np.allclose(model.var_, model.var_[:1], rtol=1e-9):
            raise CemagError(
                f"{type(model).__name__} has variances of its own for each class: its sums are quadratic in "
                "the features, and no weighted sum; LinearDiscriminantAnalysis has one"
            )
        weights = model.theta_ / model.var_[0]
        bias = np.log(model.class_prior_) - (model.theta_**2 / model.var_[0]).sum(axis=1) / 2
    elif _is_a(model, "BernoulliNB"):
        from sklearn.preprocessing import binarize

        if model.binarize is not None:
            rows = rows_of("X", binarize(X, threshold=model.binarize))
        without = np.log1p(-np.exp(model.feature_log_prob_))
        weights = model.feature_log_prob_ - without
        bias = model.class_log_prior_ + without.sum(axis=1)
    else:
        weights = model.feature_log_prob_
        prior = np.zeros(len(weights)) if _is_a(model, "ComplementNB") else model.class_log_prior_
        bias = np.asarray(prior)
    return Step(rows, weights, bias, model.classes_, names=names)


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
    return rows.held() if 8 * rows.shape[0] * rows.shape[1] <= KERNEL_IN_MEMORY else rows


def _row_names(rows: NDArray[np.integer]) -> list[str]:
    return [f"training row {row}" for row in rows]


def _perceptron(model: Any, X: Any) -> Step:
    from scipy.special import expit, softmax

    if model.out_activation_ == "logistic" and model.coefs_[-1].shape[1] > 1:
        raise CemagError("MLPClassifier gives several labels a row: one class a row is needed")
    activation = {"identity": lambda z: z, "logistic": expit, "tanh": np.tanh, "relu": lambda z: z.clip(0)}
    hidden = X if hasattr(X, "tocsr") else as_array("X", X)
    for coefficients, intercept in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        hidden = activation[model.activation](hidden @ coefficients + intercept)
    binary = model.out_activation_ == "logistic"
    step = Step(hidden, model.coefs_[-1].T, model.intercepts_[-1], model.classes_, "latent feature")
    before = copy.copy(model)
    before.out_activation_ = "identity"  # its "probabilities" are the sums then, however sure it is
    own = np.asarray(before.predict_proba(X))
    own = own[:, -1:] if binary else own
    factor, shift = settle(type(model).__name__, own, step.sums())
    if factor != 1.0 or shift.any():
        raise CemagError(f"{type(model).__name__} changes what its last layer gives")
    return replace(step, link=_two_columns(expit) if binary else lambda sums: softmax(sums, axis=1))


def _two_columns(link: Link) -> Link:
    return lambda sums: np.hstack([link(-sums), link(sums)])


# ---------------------------------------------------------------------- a moved threshold


def _thresholded(model: Any, X: Any, names: list[str] | None) -> Step:
    """Fold a threshold on the sum, or on a probability that rises with it, into the bias."""
    inner = bare(getattr(model, "estimator_", model.estimator))
    kind = type(model).__name__
    step = checked(inner, X, linear_step(inner, X, names), f"{type(inner).__name__} in {kind}")
    if _is_a(model, "TunedThresholdClassifierCV"):
        at, positive = model.best_threshold_, model._curve_scorer._get_pos_label()
    else:
        at, positive = model.threshold, model.pos_label
    method = model.response_method
    if method == "auto":
        method = "predict_proba" if hasattr(inner, "predict_proba") else "decision_function"
    if at == "auto":
        at = 0.5 if method == "predict_proba" else 0.0
    turned = positive is not None and positive == model.classes_[0]
    if method == "decision_function":
        threshold = -at if turned else at
    elif not 0 < at < 1:
        raise CemagError(f"{kind} has threshold {at} of probabilities: above 0 and below 1 is needed")
    else:
        threshold = _cut(_rising(inner, X, step), 1 - at if turned else at, reached=not turned)
    if not np.isfinite(threshold):
        raise CemagError(f"{kind} has threshold {at}: all instances are of one class, whatever their CEs")
    note = f"The threshold of {kind} ({at:.4g} of {method}) is part of the bias."
    return replace(step, threshold=float(threshold), notes=(*step.notes, note))


def _rising(inner: Any, X: Any, step: Step) -> Link:
    """Probability of the second class as a function of its lead: as given, or a sigmoid."""
    from scipy.special import expit, logit

    if step.link is not None:
        link = step.link
        columns = len(step.weights)
        return lambda lead: link(lead[:, None] if columns == 1 else np.c_[0 * lead, lead])[:, 1]
    sums = step.sums()
    lead = sums[:, 0] if sums.shape[1] == 1 else sums[:, 1] - sums[:, 0]
    given = _two_sided(np.asarray(inner.predict_proba(X)))[:, 1]
    found = given.astype(np.float64)
    near = {"rtol": 1e-6, "atol": 1e-9} if given.dtype.itemsize == 8 else {"rtol": 1e-4, "atol": 1e-6}
    if np.allclose(found, expit(lead), **near):
        return expit
    sure = (found > 1e-6) & (found < 1 - 1e-6)
    if len(np.unique(lead[sure])) > 2:
        slope, offset = np.polyfit(lead[sure], logit(found[sure]), 1)
        if slope > 0 and np.allclose(found, expit(slope * lead + offset), **near):
            return lambda lead: expit(slope * lead + offset)
    raise CemagError(
        f"{type(inner).__name__} gives probabilities that are no sigmoid of its sum, and a threshold is set "
        "on them: set it on the sum, with response_method='decision_function'"
    )


def _cut(rising: Link, at: float, *, reached: bool) -> float:
    """Lead at which a rising probability reaches `at` (or passes it, if not `reached`); infinite if never."""

    def beyond(lead: float) -> bool:
        value = rising(np.array([lead]))[0]
        return bool(value >= at) if reached else bool(value > at)

    high = next((one for one in 2.0 ** np.arange(0, 1000, 4) if beyond(one)), np.inf)
    low = next((-one for one in 2.0 ** np.arange(0, 1000, 4) if not beyond(-one)), -np.inf)
    if not np.isfinite(high - low):
        return high if np.isinf(high) else low
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high if reached else low


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
        return replace(linear_step(parts[0], X, names), classes=model.classes_, threshold=0.0)
    if all(getattr(part, "kernel", None) == "rbf" for part in parts):
        return _stacked_kernels(model, parts, X)
    if any(hasattr(part, "coefs_") or not hasattr(part, "classes_") for part in parts):
        kinds = ", ".join(sorted({type(part).__name__ for part in parts}))
        raise CemagError(
            f"OneVsRestClassifier of {kinds} has no features in common; supported are {SUPPORTED}"
        )
    return _stacked(model, [_one_sum(part, X, names) for part in parts])


def _one_sum(part: Any, X: Any, names: list[str] | None) -> Step:
    step = checked(part, X, linear_step(part, X, names), f"{type(part).__name__} in OneVsRestClassifier")
    if len(step.weights) == 1:
        return step
    return replace(step, weights=step.weights[1:] - step.weights[:1], bias=step.bias[1:] - step.bias[:1])


def _stacked(model: Any, steps: list[Step]) -> Step:
    from scipy.special import expit

    notes = tuple(dict.fromkeys(note for step in steps for note in step.notes))
    return replace(
        steps[0],
        weights=np.concatenate([step.weights for step in steps]),
        bias=np.concatenate([step.bias for step in steps]),
        classes=model.classes_,
        notes=notes,
        link=None if hasattr(model, "decision_function") else _normalised(expit),
        threshold=0.0,
    )


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
    step = checked(
        inner, X, linear_step(inner, X, names), f"{type(inner).__name__} in CalibratedClassifierCV"
    )
    # for temperature scaling the classifier inside is fitted on numbered classes
    if not any(np.array_equal(step.classes, known) for known in (member.classes, range(len(member.classes)))):
        raise CemagError("CalibratedClassifierCV knows classes that the classifier inside it does not")
    step = replace(step, classes=member.classes, threshold=0.0)
    single = len(step.weights) == 1
    if member.method == "sigmoid":
        slope = -np.array([calibrator.a_ for calibrator in member.calibrators])
        offset = -np.array([calibrator.b_ for calibrator in member.calibrators])
        link = _two_columns(expit) if single else _normalised(expit)
        return _rescaled(step, slope, offset, link, "sigmoid")
    if member.method == "temperature":
        slope = np.full(len(step.weights), member.calibrators[0].beta_ * (2 if single else 1))
        link = _two_columns(expit) if single else lambda sums: softmax(sums, axis=1)
        return _rescaled(step, slope, np.zeros_like(slope), link, "temperature")
    if single:
        return _isotonic(step, member.calibrators[0])
    note = (
        f"{member.method.capitalize()} calibration is left out: the CEs are those of "
        f"{type(inner).__name__} inside it."
    )
    # its probabilities are no function of one sum; what is checked is the classifier inside, above
    return replace(step, notes=(*step.notes, note), inside_only=True)


def _isotonic(step: Step, calibrator: Any) -> Step:
    """Of two classes the second is predicted where its calibrated probability passes one half."""

    def link(sums: NDArray[Any]) -> NDArray[Any]:
        second = calibrator.predict(np.ravel(sums))
        return np.column_stack([1 - second, second])

    threshold = _cut(lambda lead: link(lead)[:, 1], 0.5, reached=False)
    if not np.isfinite(threshold):
        raise CemagError(
            "CalibratedClassifierCV gives one class more than one half throughout: all instances are of "
            "that class, whatever their CEs"
        )
    note = f"Isotonic calibration moves the threshold to a sum of {threshold:.4g}, which is part of the bias."
    return replace(step, threshold=threshold, link=link, notes=(*step.notes, note))


def _only(members: list[Any]) -> Any:
    if len(members) > 1:
        raise CemagError(
            f"CalibratedClassifierCV averages the probabilities of {len(members)} classifiers, which is no "
            f"single sum: pass part=0 to {len(members) - 1} for one of them, or fit it with ensemble=False"
        )
    return members[0]


def _normalised(link: Link) -> Link:
    return lambda sums: link(sums) / link(sums).sum(axis=1, keepdims=True)


def _rescaled(step: Step, slope: NDArray[Any], offset: NDArray[Any], link: Link, method: str) -> Step:
    note = f"{method.capitalize()} calibration is part of the weights and the bias."
    return replace(
        step,
        weights=step.weights * slope[:, None],
        bias=step.bias * slope + offset,
        notes=(*step.notes, note),
        link=link,
    )
