"""From a model of any kind to its audit: dispatch, measure, gather. The one entry point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.auditing.result import Audit
from cemag.auditing.tables import UNION_OF, class_table, form_table, instance_table, null_table
from cemag.embeddings import ClassificationEmbeddings
from cemag.embeddings.factors import Factors, factors
from cemag.embeddings.features import SparseFeatures
from cemag.errors import CemagError, DataError, check_known
from cemag.metrics import (
    BY_CES,
    WITHIN_ONE_LENGTH,
    draw_evenly,
    half_normal_null,
    most_common,
    n_top,
    per_feature,
    per_instance,
    permuted_null,
    still_correct,
)
from cemag.theory import required_at_most

__all__ = ["Form", "audit", "audit_factors"]

Form = Literal["paper", "margin"]
FORMS: tuple[Form, ...] = ("paper", "margin")
N_PERMUTATIONS = 10
# what may take long is done on as many instances as n x d x C allows, drawn evenly from the classes
COUNTED, OF_NULL, OF_FORMS = 1_000_000_000, 200_000_000, 200_000_000
COMPARED, LOOKED_AT = 2000, 10_000_000  # instances to compare forms of CEs on, and n x d to look at at once


def audit(
    model: Any = None,
    X: Any = None,
    y: Any = None,
    *,
    features: Any = None,
    weights: Any = None,
    bias: Any = None,
    labels: Any = None,
    class_counts: Mapping[Any, int] | Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    layer: Any = None,
    part: int | None = None,
    batch_size: int = 256,
    ces: Form = "paper",
    intervals: bool = True,
    null_instances: int = 2000,
    random_state: int = 0,
) -> Audit:
    """Say how few features carry each class of a model.

    Parameters
    ----------
    model : estimator, nn.Module or Factors
        A fitted classifier of scikit-learn that ends in a linear step or is an RBF ``SVC``, a network
        that ends in a linear layer, or `Factors`. Left out where `features` and `weights` are given.
    X : array_like, DataFrame, Tensor, Dataset or DataLoader
        Instances as the model takes them, best those of a test set.
    y : array_like of shape (N,), optional
        Their true labels; a Dataset or DataLoader may bring its own.
    features, weights, bias, labels : array_like
        The factors themselves: (N, d), (C, d), (C,) and (N,); see `factors`.
    class_counts : mapping of label to int, or sequence of C int, optional
        How many instances of each class the model was trained on, which decides what is a minority;
        counted in the labels when not given.
    class_names, feature_names : sequence of str, optional
        For the tables.
    layer : nn.Linear or str, optional
        The layer of a network whose weights count, or its dotted name; found when not given.
    part : int, optional
        Which of several underlying estimators of a calibrated classifier.
    batch_size : int, default=256
        Rows that a network takes at a time.
    ces : {"paper", "margin"}, default="paper"
        Whose CEs are counted: the paper's, a feature times a weight, or margin CEs, what a feature adds to
        the lead of the predicted class over the runner-up, which no choice of origin changes. The audit
        says whether the answer depends on it.
    intervals : bool, default=True
        Whether the figures of each class have 95 % intervals.
    null_instances : int, default=2000
        How many instances the null of permuted weights is measured on, over its 10 permutations.
    random_state : int, default=0
        Permutes the weights, draws those instances, and resamples for the intervals.

    Returns
    -------
    Audit

    Raises
    ------
    CemagError, DataError
        In one line that names the field: for a model that has no linear step, or several candidates;
        shapes that do not fit; labels out of range; NaN or infinite values.

    References
    ----------
    .. [1] D. A. Dablain and N. V. Chawla, "The Hidden Influence of Latent Feature Magnitude When
       Learning with Imbalanced Data", arXiv:2407.10165, 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> wine = load_wine(as_frame=True)
    >>> model = make_pipeline(StandardScaler(), LogisticRegression()).fit(wine.data, wine.target)
    >>> found = audit(model, wine.data, wine.target)
    >>> found.per_class["n"].tolist(), found.n_features
    ([59, 71, 48], 13)
    """
    check_known("ces", ces, FORMS)
    plain = {"features": features, "weights": weights, "bias": bias, "labels": labels}
    given = [name for name, value in plain.items() if value is not None]
    if model is None:
        missing = [name for name in ("features", "weights", "labels") if plain[name] is None]
        if missing:
            raise CemagError(f"audit needs a model with X and y, or factors: missing {', '.join(missing)}")
        made = factors(features, weights, bias, labels, class_names=class_names, feature_names=feature_names)
    elif given:
        raise CemagError(f"audit was given a model and {', '.join(given)}: one or the other")
    elif isinstance(model, Factors):
        made = model
    else:
        made = _of_model(model, X, y, layer, part, batch_size, class_names, feature_names)
    return audit_factors(
        made,
        class_counts=class_counts,
        ces=ces,
        intervals=intervals,
        null_instances=null_instances,
        random_state=random_state,
    )


def _of_model(
    model: Any,
    X: Any,
    y: Any,
    layer: Any,
    part: int | None,
    batch_size: int,
    class_names: Sequence[str] | None,
    feature_names: Sequence[str] | None,
) -> Factors:
    if X is None:
        raise CemagError("X is missing: the instances to audit the model on")
    if any(base.__module__.startswith("torch.nn") for base in type(model).__mro__):
        from cemag.embeddings.from_torch import torch_factors

        if part is not None:
            raise CemagError(f"part is {part}: it is for a CalibratedClassifierCV; a network takes layer=")
        return torch_factors(
            model, X, y, layer=layer, batch_size=batch_size, class_names=class_names,
            feature_names=feature_names,
        )  # fmt: skip
    from cemag.embeddings.from_sklearn import sklearn_factors

    if layer is not None:
        raise CemagError(f"layer is {layer!r}: it is for a network; {type(model).__name__} has no layers")
    return sklearn_factors(model, X, y, part=part, class_names=class_names, feature_names=feature_names)


def audit_factors(
    made: Factors,
    *,
    class_counts: Mapping[Any, int] | Sequence[int] | None = None,
    ces: Form = "paper",
    intervals: bool = True,
    null_instances: int = 2000,
    random_state: int = 0,
) -> Audit:
    """Measure factors that are checked already; parameters as for `audit`."""
    check_known("ces", ces, FORMS)
    if null_instances < 1:
        raise DataError(f"null_instances is {null_instances}: it must be at least 1")
    ce, labels = made.ce, made.ce.label_indices(made.y)
    sizes = _sizes(class_counts, made)
    centre = ce.class_mean(made.y)
    margins = ce.margins(centre) if ces == "margin" else None
    counted = np.zeros(ce.n_instances, dtype=bool)
    counted[_drawn(ce, labels, COUNTED, random_state) if margins is None else slice(None)] = True
    values = per_instance(ce, margins, counted)
    by_feature = per_feature(ce, labels, margins, **_inactive(made))
    top, moved = _top_features(ce, by_feature["mean_ce"], centre if margins is None else None)
    values["at_most"] = required_at_most(ce if margins is None else margins, counted)
    values["correct_without_top"] = still_correct(ce, labels, top)
    named = np.asarray(made.feature_names, dtype=object)
    instances = instance_table(values, labels, made.class_names)
    drawn = permuted_null(
        ce,
        labels,
        margins=margins is not None,
        centre=centre,
        n_permutations=N_PERMUTATIONS,
        max_instances=len(_drawn(ce, labels, OF_NULL, random_state)[:null_instances]),
        random_state=random_state,
    )
    return Audit(
        model_name=made.model_name,
        kind=made.kind,
        class_names=made.class_names,
        feature_names=made.feature_names,
        per_class=class_table(
            instances,
            by_feature,
            top,
            sizes,
            made.feature_names,
            ce if margins is None else margins,
            intervals=intervals,
            random_state=random_state,
        ),
        per_instance=instances.assign(top_feature=named[values["top_feature"]]),
        null=null_table(drawn, half_normal_null(ce.n_features), values["n_active"], n_top(ce.n_features)),
        forms=_forms(made, centre, ces, random_state),
        features=by_feature,
        notes=made.notes,
        settings={
            "ces": ces,
            "rule": BY_CES.name,
            "instances counted": f"{int(counted.sum())} of {ce.n_instances}",
            "features centred at": "the mean of the class means of the audited instances",
            "top share": "10%",
            "top feature is another where features are not centred": f"{moved} classes",
            "union of": f"{UNION_OF} instances",
            "intervals": "95 %" if intervals else "not asked for",
            "class_counts": "counted in the labels" if class_counts is None else "given",
            "null_instances": null_instances,
            "random_state": random_state,
        },
    )


def _inactive(made: Factors) -> dict[str, Any]:
    """When a feature is not active: at a column's most common value, at 0, or far from a support vector."""
    if made.kind == "support vector":
        return {"tolerance": WITHIN_ONE_LENGTH}
    n = min(made.ce.n_instances, LOOKED_AT // made.ce.n_features)
    if made.kind == "latent feature" or n < min(50, made.ce.n_instances):  # of so many columns: sparse ones
        return {}
    rows = np.random.default_rng(0).permutation(made.ce.n_instances)[:n]
    return {"baseline": most_common(made.ce.features[rows])}


def _top_features(
    ce: ClassificationEmbeddings, mean_ce: NDArray[np.float32], centre: NDArray[np.float64] | None
) -> tuple[NDArray[np.intp], int]:
    """The feature that speaks most for each class (C,), -1 for none, and for how many the origin decides it.

    Features are measured from the mean of the class means: a constant column speaks for no class, however
    large its CEs are.
    """
    known = np.isfinite(mean_ce).any(axis=1)
    raw = np.where(known, np.nan_to_num(mean_ce, nan=-np.inf).argmax(axis=1), -1)
    if centre is None:
        return raw, 0
    signed = np.vstack([-ce.weights, ce.weights]) if ce.single_sum else ce.weights
    centred = np.nan_to_num(mean_ce - signed * centre, nan=-np.inf)
    top = np.where(known, centred.argmax(axis=1), -1)
    return top, int((top != raw).sum())


def _drawn(
    ce: ClassificationEmbeddings, labels: NDArray[np.intp], operations: int, random_state: int
) -> NDArray[np.intp]:
    """As many instances as may be counted, all of them where one sum decides."""
    n = ce.n_instances if ce.single_sum else max(100, operations // ce.weights.size)
    return draw_evenly(labels, n, random_state)


def _forms(made: Factors, centre: NDArray[np.float64], ces: Form, random_state: int) -> pd.DataFrame:
    """What the other kinds of CEs would say, on a sample: they differ in no prediction."""
    ce, labels = made.ce, made.ce.label_indices(made.y)
    n = max(1, min(COMPARED, LOOKED_AT // ce.n_features, OF_FORMS // ce.weights.size))
    small = ce.take(draw_evenly(labels, n, random_state))
    rows = small.features
    moved = replace(
        small,
        features=rows.centred(centre) if isinstance(rows, SparseFeatures) else rows[:] - centre,
        bias=ce.bias + ce.weights @ centre,
    )
    found = {"paper": per_instance(small), "margin": per_instance(small, small.margins(centre))}
    if not ce.single_sum:  # there the margin CEs are the centred ones
        found["paper, features centred"] = per_instance(moved)
    return form_table(found, ces)


def _sizes(given: Mapping[Any, int] | Sequence[int] | None, made: Factors) -> NDArray[np.int64]:
    """Training instances a class (C,), checked."""
    if given is None:
        return made.counts.astype(np.int64)
    if isinstance(given, pd.Series):  # value_counts() is sorted by size: its index says whose is which
        given = given.to_dict()
    if isinstance(given, Mapping):
        given = _in_order(given, made)
    sizes = np.asarray(given)
    if sizes.shape != (len(made.class_names),) or sizes.dtype.kind not in "iu" or (sizes < 0).any():
        raise DataError(
            f"class_counts is {given!r}: {len(made.class_names)} whole numbers of at least 0 are needed"
        )
    return sizes.astype(np.int64)


def _in_order(given: Mapping[Any, int], made: Factors) -> list[int]:
    """Counts in the order of the classes, by name or by label."""
    keys = {str(key): count for key, count in given.items()}
    for names in (made.class_names, [str(label) for label in made.ce.classes]):
        if all(name in keys for name in names):
            return [keys[name] for name in names]
    try:
        numbers = {float(key): count for key, count in given.items()}
        return [numbers[float(label)] for label in made.ce.classes]
    except (TypeError, ValueError, KeyError):
        missing = [name for name in made.class_names if name not in keys]
        raise DataError(f"class_counts has no entry for {', '.join(missing[:5])}") from None
