"""The tables of an audit: a row a class, a row a class and feature, a row an instance. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["class_table", "feature_table", "instance_table", "roles", "shared_features"]

Arrays = Mapping[str, NDArray[Any]]
MEANS = ("required", "top_share", "largest_share", "participation_ratio", "margin")


def roles(sizes: NDArray[Any]) -> NDArray[Any]:
    """Majority for the larger half of the classes, minority for the smaller, "" for none of them (C,).

    Of an odd number of classes the middle one is neither. Where all classes are as large as one
    another there is no minority, and every role is empty.

    Examples
    --------
    >>> roles(np.array([90, 10, 50])).tolist(), roles(np.array([5, 5])).tolist()
    (['majority', 'minority', ''], ['', ''])
    """
    k = len(sizes)
    found = np.full(k, "", dtype=object)
    if sizes.min() < sizes.max():
        order = np.argsort(-sizes, kind="stable")
        found[order[: k // 2]], found[order[k - k // 2 :]] = "majority", "minority"
    return found


def instance_table(values: Arrays, labels: NDArray[np.intp], class_names: Sequence[str]) -> pd.DataFrame:
    """A row an instance: its class, what is predicted, and its CEs towards that prediction."""
    names = pd.Index(class_names)
    return pd.DataFrame(
        {
            "label": pd.Categorical.from_codes(labels, names),
            "predicted": pd.Categorical.from_codes(values["predicted"], names),
            "correct": labels == values["predicted"],
            **{name: column for name, column in values.items() if name != "predicted"},
        }
    )


def class_table(
    instances: pd.DataFrame,
    features: Arrays,
    recalls: NDArray[np.float64],
    top: NDArray[np.intp],
    sizes: NDArray[Any],
    feature_names: Sequence[str],
) -> pd.DataFrame:
    """A row a class, over its correctly predicted instances; a class without any has NaN.

    Parameters
    ----------
    instances : DataFrame
        From `instance_table`.
    features : mapping of str to ndarray of shape (C, d)
        What `cemag.auditing.measures.per_feature` gives.
    recalls : ndarray of shape (C, 2)
        Recall before and after the class's top feature is taken away.
    top : ndarray of shape (C,)
        That feature; -1 where there is none.
    sizes : ndarray of shape (C,)
        How many instances of each class the model was trained on, or else is audited on.
    feature_names : sequence of d str
    """
    d = len(feature_names)
    correct = instances[instances["correct"]]
    by_class = correct.groupby("label", observed=False)
    n = instances.groupby("label", observed=False).size()
    table = by_class[list(MEANS)].mean().reset_index(names="class")
    magnitude = features["mean_magnitude"].astype(float)
    few = correct["required"].le(2).groupby(correct["label"], observed=False).mean()
    named = np.asarray(feature_names, dtype=object)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_of_top = magnitude[np.arange(len(top)), top] / magnitude.sum(axis=1)
    table = table.assign(
        size=sizes,
        role=roles(sizes),
        n=n.to_numpy(),
        n_correct=by_class.size().to_numpy(),
        recall=recalls[:, 0],
        required_share=100 * table["required"] / d,
        by_one_or_two=100 * few.to_numpy(),
        features_for_half=_features_for(magnitude, 0.5),
        top_feature=np.where(top >= 0, named[top], ""),
        top_feature_share=np.where(top >= 0, 100 * share_of_top, np.nan),
        recall_without_top=recalls[:, 1],
        recall_lost=recalls[:, 0] - recalls[:, 1],
    )
    first = ["class", "role", "size", "n", "n_correct", "recall", "required", "required_share"]
    return table[[*first, *(name for name in table if name not in first)]]


def _features_for(magnitude: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Smallest number of features that carry a share of a class's mean magnitude (C,)."""
    descending = -np.sort(-np.nan_to_num(magnitude), axis=1)
    total = descending.sum(axis=1, keepdims=True)
    reached = np.cumsum(descending, axis=1) >= share * total * (1 - 1e-12)
    return np.where(total[:, 0] > 0, reached.argmax(axis=1) + 1.0, np.nan)


def feature_table(features: Arrays, class_names: Sequence[str], feature_names: Sequence[str]) -> pd.DataFrame:
    """A row a class and feature, C x d in all."""
    n_classes, d = len(class_names), len(feature_names)
    return pd.DataFrame(
        {
            "class": pd.Categorical.from_codes(np.repeat(np.arange(n_classes), d), pd.Index(class_names)),
            "feature": pd.Categorical.from_codes(np.tile(np.arange(d), n_classes), pd.Index(feature_names)),
            **{name: values.ravel() for name, values in features.items()},
        }
    )


def shared_features(
    features: Arrays, feature_names: Sequence[str], class_names: Sequence[str], often: float = 0.5
) -> pd.DataFrame:
    """Features by the number of classes in which they are among the top 10 % of most instances.

    Parameters
    ----------
    features, feature_names, class_names
        As for `feature_table`.
    often : float, default=0.5
        Share of a class's instances that counts as most.

    Returns
    -------
    DataFrame
        Columns ``feature``, ``n_classes``, ``share_of_classes`` (%, of those with instances), ``classes``
        (the first few by name), most shared first; only features of at least one class.
    """
    top = np.nan_to_num(features["top_frequency"]) >= often
    known = np.isfinite(features["top_frequency"]).any(axis=1).sum()
    counts = top.sum(axis=0)
    chosen = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    listed = [", ".join(class_names[c] for c in np.flatnonzero(top[:, j])[:6]) for j in chosen]
    return pd.DataFrame(
        {
            "feature": np.asarray(feature_names, dtype=object)[chosen],
            "n_classes": counts[chosen],
            "share_of_classes": 100 * counts[chosen] / max(known, 1),
            "classes": listed,
        }
    )
