"""From a model of any kind to its audit: dispatch, measure, gather. The one entry point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.auditing.measures import ablation, per_feature, per_instance, permuted_null
from cemag.auditing.result import Audit
from cemag.auditing.tables import class_table, instance_table
from cemag.embeddings.factors import Factors, factors
from cemag.errors import CemagError, DataError
from cemag.metrics import half_normal_null

__all__ = ["audit", "audit_factors"]


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
        The last linear layer of a network, or its dotted name; found when not given.
    part : int, optional
        Which of several underlying estimators of a calibrated classifier.
    batch_size : int, default=256
        Rows that a network takes at a time.
    null_instances : int, default=2000
        How many instances the null of permuted weights is measured on.
    random_state : int, default=0
        Permutes the weights and draws those instances.

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
    if null_instances < 1:
        raise DataError(f"null_instances is {null_instances}: it must be at least 1")
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
        made, class_counts=class_counts, null_instances=null_instances, random_state=random_state
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
    null_instances: int = 2000,
    random_state: int = 0,
) -> Audit:
    """Measure factors that are checked already; parameters as for `audit`."""
    ce, labels = made.ce, made.ce.label_indices(made.y)
    sizes = _sizes(class_counts, made)
    values = per_instance(ce)
    by_feature = per_feature(ce, labels)
    with np.errstate(invalid="ignore"):
        top = np.where(
            np.isfinite(by_feature["mean_ce"]).any(axis=1),
            np.nan_to_num(by_feature["mean_ce"], nan=-np.inf).argmax(axis=1),
            -1,
        )
    recalls = ablation(ce, labels, top)
    instances = instance_table(values, labels, made.class_names)
    return Audit(
        model_name=made.model_name,
        kind=made.kind,
        class_names=made.class_names,
        feature_names=made.feature_names,
        per_class=class_table(instances, by_feature, recalls, top, sizes, made.feature_names),
        per_instance=instances.assign(
            top_feature=np.asarray(made.feature_names, dtype=object)[values["top_feature"]]
        ),
        null=_null_table(made, labels, null_instances, random_state),
        features=by_feature,
        notes=made.notes,
        settings={
            "ranking": "signed",
            "sufficiency": "shared",
            "stability": "first",
            "bias": True,
            "top share": "10%",
            "class_counts": "counted in the labels" if class_counts is None else "given",
            "null_instances": null_instances,
            "random_state": random_state,
        },
    )


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


def _null_table(made: Factors, labels: NDArray[np.intp], n: int, random_state: int) -> pd.DataFrame:
    """Mean, spread and n of each quantity for permuted weights and for half-normal noise."""
    drawn = permuted_null(made.ce, labels, max_instances=n, random_state=random_state)
    rows = []
    for name, values in drawn.items():
        known = values[np.isfinite(values)]  # a share of nothing is no share
        mean = float(known.mean()) if len(known) else float("nan")
        sd = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        rows.append({"source": "permuted_weights", "quantity": name, "mean": mean, "sd": sd, "n": len(known)})
    noise = half_normal_null(made.ce.n_features)
    rows += [
        {"source": "half_normal", "quantity": name, "mean": noise[name], "sd": float("nan"), "n": 0}
        for name in ("top_share", "participation_ratio")
    ]
    return pd.DataFrame(rows)
