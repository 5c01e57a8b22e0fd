"""The tables of a study of images, class by class, in the reader's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cemag.reproduction.claims.nulls import NULLS, required_and_nulls
from cemag.reproduction.claims.tables import STRICT_RULE, TITLES, class_roles
from cemag.reproduction.runs import SCALES, Study, image_specs, scale_of
from cemag.reproduction.runs.image_spec import ImageRunSpec

__all__ = [
    "SCORES",
    "class_profiles",
    "coverage",
    "image_glued",
    "learning_curves",
    "pictures",
    "recall_by_size",
    "required_by_size",
    "scores_by_run",
    "settings",
]

SCORES = {
    "balanced_accuracy": "balanced accuracy",
    "g_mean": "G-mean",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
}


def settings(study: Study) -> pd.DataFrame:
    """What was run: a row a data set, its network, sizes, repetitions and where the records are from."""
    rows = []
    for dataset, runs in study.runs.groupby("dataset", sort=False):
        records = [r for r in study.records if study.case(r.spec) == dataset]
        spec, counts = records[0].spec, records[0].tables["classes"]["n_train"].to_pylist()
        assert isinstance(spec, ImageRunSpec)
        ratio = max(counts) / min(counts)
        rows.append(
            {
                "data set": dataset,
                "scale": ", ".join(
                    sorted({scale_of(r.spec) for r in records if isinstance(r.spec, ImageRunSpec)})
                ),
                "network": spec.network,
                "training images": f"{sum(counts):,} ({max(counts):,} to {min(counts):,} a class)",
                "imbalance": f"{spec.imbalance}, {ratio:.0f}:1",
                "epochs x batch": f"{spec.recipe.epochs} x {spec.recipe.batch_size}",
                "methods x seeds": f"{runs['augmenter'].nunique()} x {runs['seed'].nunique()}",
                "device": ", ".join(sorted({r.provenance.device for r in records})),
                "records": ", ".join(f"{n} from {o}" for o, n in runs["origin"].value_counts().items()),
            }
        )
    return pd.DataFrame(rows)


def coverage(study: Study) -> pd.DataFrame:
    """What each scale asks for on each data set, and how much of it is here: a row a scale and data set."""
    here = {record.spec.key for record in study.records}
    rows = []
    for scale in SCALES.values():
        for dataset in scale.datasets:
            specs = image_specs(scale.name, datasets=[dataset])
            n = sum(spec.key in here for spec in specs)
            state = "not run" if n == 0 else "complete" if n == len(specs) else f"{n} of {len(specs)} runs"
            rows.append(
                {
                    "scale": scale.name,
                    "what it is": scale.title,
                    "data set": dataset,
                    "runs": len(specs),
                    "in this book": state,
                }
            )
    return pd.DataFrame(rows)


def _titled(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(augmenter=table["augmenter"].map(TITLES))


def _with_size(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Add the training images of each row's class, its place from the largest, and its role."""
    sizes = study.table("classes")[["key", "class", "n_train"]]
    sizes = sizes.assign(
        place=sizes.groupby("key")["n_train"].rank(method="first", ascending=False).astype(int)
    )
    sizes = sizes.merge(class_roles(study), on=["key", "class"])
    return _titled(table.drop(columns="n_train").merge(sizes, on=["key", "class"]))


def scores_by_run(study: Study) -> pd.DataFrame:
    """Summary scores, a row a run and score."""
    table = _titled(study.table("performance"))
    long = table.melt(["key", "dataset", "augmenter", "design", "split", "seed"], list(SCORES), "score")
    return long.assign(score=long["score"].map(SCORES))


def recall_by_size(study: Study) -> pd.DataFrame:
    """Recall of each class with the number of its training images, a row a run and class."""
    return _with_size(study, study.table("per_class"))


def required_by_size(study: Study, rule: Mapping[str, str] = STRICT_RULE) -> pd.DataFrame:
    """CEs required in each class (mean, 5 % and 95 % quantile over instances) with its training images."""
    table = study.table("required")
    table = table.assign(bias=table["bias"].map({True: "with bias", False: "without bias"}))
    for choice, value in rule.items():
        table = table[table[choice] == value]
    return _with_size(study, table)


def learning_curves(study: Study) -> pd.DataFrame:
    """Loss and accuracy on the images as they were shown, a row a run and epoch.

    Methods that put a new head on a trained network have that network's curve and are left out.
    """
    table = study.table("history")
    return _titled(table[~table["augmenter"].isin(["dsm", "eos", "eos_published_code"])])


def class_profiles(
    study: Study, augmenters: Sequence[str] = ("none", "ros", "eos"), seed: int | None = None
) -> pd.DataFrame:
    """Every feature of every class of one repetition: weight, frequencies and mean CE, signed as the weight.

    Features of a class are ranked by mean magnitude; pooled features are never negative, so a mean CE
    has the sign of its weight.
    """
    features, head = study.table("features"), study.table("head")[["key", "class", "feature", "weight"]]
    chosen = features["seed"].min() if seed is None else seed
    table = features[features["augmenter"].isin(augmenters) & (features["seed"] == chosen)]
    table = _with_size(study, table.merge(head, on=["key", "class", "feature"]))
    by_class = table.groupby(["key", "class"])
    return table.assign(
        mean_ce=np.sign(table["weight"]) * table["mean_magnitude"],
        rank=by_class["mean_magnitude"].rank(method="first", ascending=False).astype(int),
    )


def pictures(study: Study, seed: int | None = None) -> pd.DataFrame:
    """The pictures of DeepSMOTE that one repetition kept, a row a picture; none if it was not run."""
    table = study.table("gallery")
    if table.empty:
        return table
    return _with_size(study, table[table["seed"] == (table["seed"].min() if seed is None else seed)])


def image_glued(study: Study) -> dict[str, str]:
    """Return name and text of the numbers that only the chapters on images glue, each from the records.

    ``init-low``, ``init-high`` and ``model-low``, ``model-high``: range over the rules of the mean
    share of CEs required, before and after training; ``init-share``: share of the top 10 % before
    training; ``active-share``: how often a feature is active.
    """
    texts: dict[str, str] = {}
    nulls = required_and_nulls(study).groupby(["source", "rule"])["value"].mean()
    for source, name in (("initialisation", "init"), ("model", "model")):
        values = nulls.get(NULLS[source], pd.Series(dtype=float))
        texts |= {f"{name}-low": _percent(values.min()), f"{name}-high": _percent(values.max())}
    shares = study.table("null_concentration").query(
        "augmenter == 'none' and quantity == 'top_share' and source == 'initialisation'"
    )
    texts["init-share"] = _percent(100 * shares.groupby("dataset")["mean"].mean().mean())
    active = study.table("features").query("augmenter == 'none'").groupby("dataset")["activation_frequency"]
    low, high = 100 * active.mean().min(), 100 * active.mean().max()
    return texts | {"active-share": f"{low:.3g} to {high:.3g} %"}


def _percent(value: float) -> str:
    return f"{value:.2g} %" if np.isfinite(value) else "(not run)"
