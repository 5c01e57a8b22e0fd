"""The tables of an audit: one row per class, class and feature, instance, or null. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings, Margins
from cemag.metrics import bootstrap_means, percentiles, unions, wilson

__all__ = [
    "UNION_OF",
    "class_table",
    "feature_table",
    "form_table",
    "instance_table",
    "null_table",
    "roles",
    "shared_features",
]

Arrays = Mapping[str, NDArray[Any]]
MEANS = ("required", "top_share", "largest_share", "participation_ratio", "margin")
UNION_OF, UNION_DRAWN_FROM = 20, 100  # instances a class
OF_SHARES = ("recall", "by_bias", "lost_without_bias", "by_one_or_two")


def roles(sizes: NDArray[Any]) -> NDArray[Any]:
    """Majority for the larger half of the classes, minority for the smaller (C,).

    Of an odd number of classes the middle one is between. Where all classes are as large as one
    another there is no minority, and every role is empty.

    Examples
    --------
    >>> roles(np.array([90, 10, 50])).tolist(), roles(np.array([5, 5])).tolist()
    (['majority', 'minority', 'between'], ['', ''])
    """
    k = len(sizes)
    found = np.full(k, "", dtype=object)
    if sizes.min() < sizes.max():
        found[:] = "between"
        order = np.argsort(-sizes, kind="stable")
        found[order[: k // 2]], found[order[k - k // 2 :]] = "majority", "minority"
    return found


def instance_table(values: Arrays, labels: NDArray[np.intp], class_names: Sequence[str]) -> pd.DataFrame:
    """One row per instance: its class, what is predicted, and its CEs towards that prediction."""
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
    top: NDArray[np.intp],
    sizes: NDArray[Any],
    feature_names: Sequence[str],
    ce: ClassificationEmbeddings | Margins,
    *,
    intervals: bool,
    random_state: int,
) -> pd.DataFrame:
    """One row per class, over its correctly predicted instances; a class without any has NaN.

    Parameters
    ----------
    instances : DataFrame
        From `instance_table`.
    features : mapping of str to ndarray of shape (C, d)
        What `cemag.metrics.per_feature` gives.
    top : ndarray of shape (C,)
        The feature that speaks most for each class; -1 where there is none.
    sizes : ndarray of shape (C,)
        How many instances of each class the model was trained on, or else is audited on.
    feature_names : sequence of d str
    ce : ClassificationEmbeddings or Margins
        Whose CEs the unions are of.
    intervals : bool
        Whether to add ``*_low`` and ``*_high``, and unions.
    random_state : int
    """
    d = len(feature_names)
    by_class = instances.groupby("label", observed=False)
    correct = instances[instances["correct"]].assign(
        required=lambda table: table["required_without_bias"],
        by_one_or_two=lambda table: table["required_without_bias"].le(2),
    )
    of_correct = correct.groupby("label", observed=False)
    counted = correct[correct["required"].notna()].groupby("label", observed=False)
    table = of_correct[list(MEANS)].mean().reset_index(names="class")
    magnitude = features["mean_magnitude"].astype(float)
    named = np.asarray(feature_names, dtype=object)
    recalls = by_class[["correct", "correct_without_top"]].mean().to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        share_of_top = magnitude[np.arange(len(top)), top] / magnitude.sum(axis=1)
    table = table.assign(
        size=sizes,
        role=roles(sizes),
        n=by_class.size().to_numpy(),
        n_correct=of_correct.size().to_numpy(),
        recall=recalls[:, 0],
        by_bias=100 * of_correct["by_bias"].mean().to_numpy(dtype=float),
        lost_without_bias=100 * of_correct["lost_without_bias"].mean().to_numpy(dtype=float),
        n_counted=counted.size().to_numpy(),
        required_share=100 * table["required"] / d,
        at_most=counted["at_most"].mean().to_numpy(),
        by_one_or_two=100 * counted["by_one_or_two"].mean().to_numpy(dtype=float),
        n_active=of_correct["n_active"].mean().to_numpy(),
        features_for_half=_features_for(magnitude, 0.5),
        top_feature=np.where(top >= 0, named[top], ""),
        top_feature_share=np.where(top >= 0, 100 * share_of_top, np.nan),
        recall_without_top=recalls[:, 1],
        recall_lost=recalls[:, 0] - recalls[:, 1],
    )
    if intervals:
        ends = _intervals(table, instances, d, random_state)
        table = table.assign(**_unions(instances, ce, random_state), **ends)
    first = ["class", "role", "size", "n", "n_correct", "recall", "by_bias", "lost_without_bias"]
    first += ["n_counted", "required", "at_most"]
    return table[[*first, *(name for name in table if name not in first)]]


def _intervals(table: pd.DataFrame, instances: pd.DataFrame, d: int, random_state: int) -> Arrays:
    """Both ends of the 95 % interval of each mean and share, one row per class."""
    found: dict[str, Any] = {}
    of = dict.fromkeys(OF_SHARES, table["n_correct"])
    of |= {"recall": table["n"], "by_one_or_two": table["n_counted"]}
    for name in OF_SHARES:
        scale = 1 if name == "recall" else 100
        low, high = wilson(table[name] / scale * of[name], of[name])
        found |= {f"{name}_low": scale * low, f"{name}_high": scale * high}
    rng = np.random.default_rng(random_state)
    lost = (instances["correct"].astype(float) - instances["correct_without_top"]).to_numpy()[:, None]
    measured = instances[["required_without_bias", *MEANS[1:]]].to_numpy(dtype=float)
    right = instances["correct"].to_numpy()
    ends = np.full((len(table), 2, len(MEANS) + 1), np.nan)
    for c, rows in _rows_by_class(instances, len(table)):
        kept = rows[right[rows]]
        for values, at in ((measured[kept], slice(0, -1)), (lost[rows], slice(-1, None))):
            ends[c, :, at] = percentiles(bootstrap_means(values, random_state=rng))
    for j, name in enumerate([*MEANS, "recall_lost"]):
        found |= {f"{name}_low": ends[:, 0, j], f"{name}_high": ends[:, 1, j]}
    share = {f"required_share_{end}": 100 * found[f"required_{end}"] / d for end in ("low", "high")}
    return found | share


def _unions(instances: pd.DataFrame, ce: ClassificationEmbeddings | Margins, random_state: int) -> Arrays:
    """CEs that `UNION_OF` instances of a class require between them, and the middle 95 % of the draws."""
    n_classes = len(instances["label"].cat.categories)
    right = (instances["correct"] & instances["required_without_bias"].notna()).to_numpy()
    required = instances["required_without_bias"].to_numpy()
    rng = np.random.default_rng(random_state)
    found = np.full((3, n_classes), np.nan)
    for c, rows in _rows_by_class(instances, n_classes):
        kept = rows[right[rows]]
        if len(kept) < 2 * UNION_OF:
            continue
        kept = np.sort(rng.permutation(kept)[:UNION_DRAWN_FROM])
        ces = ce.compact(kept)[0].of_prediction(slice(None))
        drawn = unions(_largest(np.abs(ces), required[kept].astype(int)), UNION_OF, random_state=rng)
        found[:, c] = drawn.mean(), *percentiles(drawn[:, None])[:, 0]
    return dict(zip(("union", "union_low", "union_high"), found, strict=True))


def _largest(sizes: NDArray[np.float64], k: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of each row are its k largest: (n, d); equal ones at the end all count in, zeros never."""
    widest = int(k.max())
    first = -np.sort(-np.partition(sizes, sizes.shape[1] - widest, axis=1)[:, -widest:], axis=1)
    return (sizes >= first[np.arange(len(k)), k - 1, None]) & (sizes > 0)


def _rows_by_class(instances: pd.DataFrame, n_classes: int) -> list[tuple[int, NDArray[np.intp]]]:
    """Rows of each class that has any."""
    codes = instances["label"].cat.codes.to_numpy()
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.searchsorted(codes[order], np.arange(1, n_classes)))
    return [(c, rows) for c, rows in enumerate(parts) if len(rows)]


def _features_for(magnitude: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Smallest number of features that carry a share of a class's mean magnitude (C,)."""
    some = np.any(magnitude != 0, axis=0)
    some[0] = True  # of no CE at all too there is a column to look at
    descending = -np.sort(-np.nan_to_num(magnitude[:, some]), axis=1)
    total = descending.sum(axis=1, keepdims=True)
    reached = np.cumsum(descending, axis=1) >= share * total * (1 - 1e-12)
    return np.where(total[:, 0] > 0, reached.argmax(axis=1) + 1.0, np.nan)


def null_table(
    drawn: Arrays, noise: Mapping[str, float], n_active: NDArray[np.intp], n_top: int
) -> pd.DataFrame:
    """One row per null and quantity: its mean, the sd between permutations, and how many instances.

    ``permuted_weights`` are from `cemag.metrics.permuted_null`; ``half_normal`` is noise of as many CEs;
    ``non_zero`` is the share that the top 10 % must have at least where only so many CEs are not zero.
    """
    rows: list[dict[str, Any]] = []
    n = int(drawn["n"].sum())
    for name, values in drawn.items():
        known = values[np.isfinite(values)]
        if name != "n":
            mean = float(known.mean()) if len(known) else np.nan
            sd = float(known.std(ddof=1)) if len(known) > 1 else np.nan
            rows.append(_null("permuted_weights", name, mean, sd, len(known), n))
    for name in ("top_share", "participation_ratio"):
        rows.append(_null("half_normal", name, noise[name], np.nan, 0, 0))
    some = n_active[n_active > 0]
    least = float(np.minimum(1.0, n_top / some).mean()) if len(some) else np.nan
    rows.append(_null("non_zero", "top_share", least, np.nan, 0, len(some)))
    return pd.DataFrame(rows)


def _null(source: str, quantity: str, mean: float, sd: float, n_permutations: int, n: int) -> dict[str, Any]:
    return {
        "source": source,
        "quantity": quantity,
        "mean": mean,
        "sd": sd,
        "n_permutations": n_permutations,
        "n": n,
    }


def form_table(found: Mapping[str, Arrays], audited: str) -> pd.DataFrame:
    """One row per kind of CEs and quantity: its mean, and its difference to the audited kind, paired.

    Parameters
    ----------
    found : mapping of str to mapping of str to ndarray of shape (n,)
        What `cemag.metrics.per_instance` gives for each kind, on the same instances.
    audited : str
        The kind that the audit is of.
    """
    rows = []
    for form, values in found.items():
        for name, column in (
            ("required", "required_without_bias"),
            ("top_share", "top_share"),
            ("by_bias", "by_bias"),
        ):
            scale = 100 if name == "by_bias" else 1
            here, there = (scale * one[column].astype(float) for one in (values, found[audited]))
            both = np.isfinite(here) & np.isfinite(there)
            change = here[both] - there[both]
            known = here[np.isfinite(here)]
            half = 1.96 * change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
            middle = change.mean() if len(change) else np.nan
            rows.append(
                {
                    "ces": form,
                    "quantity": name,
                    "mean": known.mean() if len(known) else np.nan,
                    "difference": middle,
                    "low": middle - half,
                    "high": middle + half,
                    "n": len(change),
                }
            )
    return pd.DataFrame(rows)


def feature_table(features: Arrays, class_names: Sequence[str], feature_names: Sequence[str]) -> pd.DataFrame:
    """One row per class and feature, C x d in all."""
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
