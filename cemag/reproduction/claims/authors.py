"""The network that the paper's first author published: C1 to C4 on it and on other heads, from its records.

It is one network, so that it describes and enters no verdict. Intervals are over test images: they say how
well these 10,000 images fix a number of this network, nothing of another training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import DataError, StoreError, check_known
from cemag.metrics import BY_CES, common_subset, per_instance
from cemag.reproduction.claims.plan import PLAN
from cemag.reproduction.claims.tables import class_roles
from cemag.reproduction.runs import (
    Study,
    authors_specs,
    centre_of,
    factors_of,
    published_classes,
    published_store,
)
from cemag.reproduction.runs.quantities import GAUGES
from cemag.reproduction.runs.thresholds import logit_adjusted

__all__ = ["QUANTITIES", "Arm", "agreement", "authors_glued", "authors_study", "measured_arms", "over_roles"]

STORED = {
    "none": "as trained",
    "eos": "published EOS head",
    "threshold": "bias less log prior",
    "tau_norm": "rows over their norm",
}
ORDER = ("none", "eos", "threshold", "part", "tau_norm")
QUANTITIES = {
    "C1": "C1: CEs that an instance requires, %",
    "C2": "C2: smallest common subset of a class, %",
    "C3": "C3: share of the top 10 %, %",
    "C4a": "C4: recall, %",
    "C4b": "C4: CEs required, times as trained",
}
NULL_COLUMNS = {"C1": "required", "C2": "common_subset", "C3": "top_share"}
N_FEATURES = 64
ROLES = ("majority", "minority")
Gauge = Literal["paper", "margin"]
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arm:
    """The network with one head, on every test image.

    Attributes
    ----------
    name : str
    y, predicted : ndarray of int, shape (N,)
    required, top_share : ndarray of shape (N,)
        As shares; `required` is NaN where the CEs alone do not give the prediction.
    subset : ndarray of shape (C,)
        Smallest common subset, a share; NaN for margin CEs, which have none.
    """

    name: str
    y: NDArray[np.intp]
    predicted: NDArray[np.intp]
    required: Array
    top_share: Array
    subset: Array

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Which images are predicted correctly."""
        return self.predicted == self.y


def authors_study() -> Study:
    """The published records of the network, the one as trained first.

    Raises
    ------
    StoreError
        If they are not there.
    """
    store = published_store()
    if missing := [spec.label for spec in authors_specs() if spec not in store]:
        raise StoreError(f"{store.root}: no published record of {missing[0]}")
    records = tuple(store.get(spec) for spec in authors_specs())
    return Study(records, {record.spec.key: "published record" for record in records})


def measured_arms(study: Study, strength: float = 0.5, gauge: Gauge = "paper") -> dict[str, Arm]:
    """Measure every stored head on the stored embedding, and one whose bias is moved by a part.

    Parameters
    ----------
    study : Study
        As `authors_study` gives it.
    strength : float, default=0.5
        Which part of the log prior.
    gauge : {"paper", "margin"}
        Which CEs.

    Returns
    -------
    dict of Arm
        By ``none``, ``eos``, ``threshold``, ``part`` and ``tau_norm``.

    Raises
    ------
    DataError
        If `strength` is not a finite number.
    """
    check_known("gauge", gauge, GAUGES)
    if not math.isfinite(strength):
        raise DataError(f"strength is {strength}: it must be a finite number")
    heads = {record.spec.augmenter: factors_of(record, published_store()) for record in study.records}
    trained, first = heads["none"], study.records[0]
    bias = logit_adjusted(trained.ce.bias, first.tables["classes"]["n_train"].to_numpy(), strength)
    models = {name: head.ce for name, head in heads.items()} | {"part": replace(trained.ce, bias=bias)}
    names = STORED | {"part": f"bias less {strength:g} log prior"}
    centre = centre_of(first)
    return {key: _measured(names[key], models[key], trained.y, centre, gauge) for key in ORDER}


def _measured(name: str, ce: ClassificationEmbeddings, y: Any, centre: Array, gauge: Gauge) -> Arm:
    found = per_instance(ce, ce.margins(centre) if gauge == "margin" else None)
    subset = np.full(len(ce.classes), np.nan)
    right = np.flatnonzero(ce.predictions == ce.label_indices(y))
    if gauge == "paper":
        subset = common_subset(ce.take(right), y[right], [BY_CES])[BY_CES] / ce.n_features
    return Arm(
        name=name,
        y=ce.label_indices(y),
        predicted=ce.predictions,
        required=found["required_without_bias"] / ce.n_features,
        top_share=found["top_share"],
        subset=subset,
    )


def over_roles(study: Study, arms: Mapping[str, Arm], gauge: Gauge = "paper") -> pd.DataFrame:
    """Every quantity of every arm, over the larger and the smaller half of the classes.

    Returns
    -------
    DataFrame
        Columns ``arm``, ``class`` (the half), ``claim``, ``quantity``, ``value``, ``low``, ``high`` (95 %,
        over images), ``reference`` and ``bound``. The reference is the trained head with permuted weights
        for C1 to C3, and the network as trained for C4.
    """
    roles = _classes_of(study)
    nulls, trained = _nulls(gauge), arms["none"]
    rows = []
    for arm in arms.values():
        for role, classes in roles.items():
            for claim, (value, low, high) in _of(arm, trained, classes).items():
                own = _of(trained, trained, classes)[claim][0]
                reference = nulls[claim, role] if claim in NULL_COLUMNS else own
                rows.append(
                    {
                        **{"arm": arm.name, "class": role, "claim": claim, "quantity": QUANTITIES[claim]},
                        **{"value": value, "low": low, "high": high, "reference": reference},
                        "bound": _bound(claim),
                    }
                )
    return pd.DataFrame(rows)


def _classes_of(study: Study) -> dict[str, list[int]]:
    """Numbers of the classes of each half."""
    first = study.records[0]
    names = first.tables["classes"]["class"].to_pylist()
    roles = class_roles(study).query("key == @first.spec.key").set_index("class")["role"]
    return {role: [i for i, name in enumerate(names) if roles[name] == role] for role in ROLES}


def _nulls(gauge: Gauge) -> dict[tuple[str, str], float]:
    """Mean of each quantity with permuted weights, in per cent, by claim and half."""
    rows = published_classes()
    rows = rows[(rows["family"] == "authors") & (rows["source"] == "permuted_weights")]
    rows = rows[rows["gauge"] == gauge]
    means: dict[Any, Any] = rows.groupby("role")[list(NULL_COLUMNS.values())].mean().to_dict()
    return {
        (claim, role): 100 * float(means[name][role])
        for claim, name in NULL_COLUMNS.items()
        for role in ROLES
    }


def _bound(claim: str) -> float:
    """Where the paper's words have a number: of the plain reading, and of C4b the margin."""
    reading = PLAN.claims[claim].plain_reading
    if reading is not None:
        return reading.bound
    return math.exp(PLAN.claims[claim].bound) if claim == "C4b" else float("nan")


def _of(arm: Arm, trained: Arm, classes: Sequence[int]) -> dict[str, tuple[float, float, float]]:
    """Mean over classes of the mean over images, with 95 % interval over images, by claim."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(arm.required / trained.required)
    change: Array = np.where(arm.correct & trained.correct, ratio, np.nan).astype(float)
    right = np.where(arm.correct, 1.0, np.nan)
    required, top_share = ((100 * share * right).astype(float) for share in (arm.required, arm.top_share))
    recalled = (100.0 * arm.correct).astype(float)
    subset = 100 * float(np.mean(arm.subset[classes]))
    return {
        "C1": _mean(required, arm.y, classes),
        "C2": (subset, float("nan"), float("nan")),
        "C3": _mean(top_share, arm.y, classes),
        "C4a": _mean(recalled, arm.y, classes),
        "C4b": _exp(_mean(change, arm.y, classes)),
    }


def _mean(values: Array, y: NDArray[np.intp], classes: Sequence[int]) -> tuple[float, float, float]:
    of_classes = [values[(y == label) & np.isfinite(values)] for label in classes]
    if not all(len(own) > 1 for own in of_classes):
        return (float("nan"),) * 3
    mean = float(np.mean([own.mean() for own in of_classes]))
    variance = sum(own.var(ddof=1) / len(own) for own in of_classes) / len(classes) ** 2
    half = 1.96 * math.sqrt(variance)
    return mean, mean - half, mean + half


def _exp(interval: tuple[float, float, float]) -> tuple[float, float, float]:
    mean, low, high = (math.exp(end) for end in interval)
    return mean, low, high


def agreement(found: pd.DataFrame) -> pd.DataFrame:
    """Hold the network as trained, and for C4 its EOS head, against the paper's words and the reference.

    Returns
    -------
    DataFrame
        A row a claim: what was measured of each half, what it is held against, the bound, and for which half
        it is as the paper says: the interval (where there is one) lies on the claim's side of both.
    """
    rows = []
    for claim, title in QUANTITIES.items():
        arm = STORED["eos" if claim in ("C4a", "C4b") else "none"]
        rows_of = found[(found["claim"] == claim) & (found["arm"] == arm)].set_index("class")
        own: dict[Any, Any] = rows_of.to_dict("index")
        defined = rows_of["value"].notna().all()
        asked = ["minority"] if claim == "C4a" else list(ROLES)
        agrees = [role for role in asked if _agrees(claim, own[role])]
        rows.append(
            {
                "quantity": title,
                "head": arm,
                **{role: _told(own[role]) for role in ROLES},
                "held against": " / ".join(_digits(own[role]["reference"]) for role in ROLES),
                "bound": "" if math.isnan(_bound(claim)) else f"{_bound(claim):g}",
                "as the paper says": _halves(agrees, asked) if defined else "not defined",
            }
        )
    return pd.DataFrame(rows)


def _agrees(claim: str, row: Mapping[str, float]) -> bool:
    ends = [row[name] for name in ("low", "high") if math.isfinite(row[name])] or [row["value"]]
    if claim == "C4b":  # not much more than as trained: only the margin counts
        return bool(max(ends) < row["bound"])
    asked = [limit for limit in (row["reference"], row["bound"]) if math.isfinite(limit)]
    if PLAN.claims[claim].direction == "below":
        return bool(max(ends) < min(asked))
    return bool(min(ends) > max(asked))


def _halves(agrees: Sequence[str], asked: Sequence[str]) -> str:
    if len(agrees) == len(asked):
        return "yes"
    return f"{agrees[0]} only" if agrees else "no"


def _told(row: Mapping[str, float]) -> str:
    if math.isnan(row["value"]):
        return "not defined"
    text = _digits(row["value"])
    return text if math.isnan(row["low"]) else f"{text} ({_digits(row['low'])} to {_digits(row['high'])})"


def _digits(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.1f}" if abs(value) >= 2 else f"{value:.2f}"


def authors_glued(found: pd.DataFrame, arms: Mapping[str, Arm]) -> dict[str, str]:
    """Return name and text of what the chapter says in its prose.

    ``finding``; ``C1``, ``C2``, ``C3`` and, under the name and ``-null``, the same with permuted weights;
    ``C4a``, ``C4b``; ``one-ce``, in how many classes a single CE is the common subset; ``images``, and
    ``right``, which part of them is. ``beyond-threshold``, ``beyond-part``, ``beyond-tau_norm``: what the
    EOS head adds in accuracy to each head that augments nothing, in points with 95 % interval over images.
    """
    of, trained, eos = found.set_index(["claim", "arm", "class"]), arms["none"], arms["eos"]

    def value(claim: str, arm: Arm, role: str, column: str = "value") -> float:
        return float(of.loc[(claim, arm.name, role), column])  # type: ignore[arg-type]

    def gained(arm: Arm, role: str) -> float:
        return value("C4a", arm, role) - value("C4a", trained, role)

    by_eos = {role: gained(eos, role) for role in ROLES}
    single = int((trained.subset < 1.5 / N_FEATURES).sum())
    texts = {
        "finding": (
            f"EOS adds {by_eos['minority']:.1f} points of minority recall; a shift of the bias alone, which "
            f"changes no CE, adds {gained(arms['threshold'], 'minority'):.1f}."
        ),
        "C4a": " and ".join(f"{by_eos[role]:+.1f} points in the {role}" for role in ROLES[::-1]),
        "C4b": " and ".join(f"{value('C4b', eos, role):.2f} times in the {role}" for role in ROLES[::-1]),
        "one-ce": "(not defined)" if np.isnan(trained.subset).any() else f"{single} of {len(trained.subset)}",
        "images": f"{len(trained.y):,}",
        "right": f"{100 * trained.correct.mean():.1f} %",
    }
    for claim in NULL_COLUMNS:
        for name, column in ((claim, "value"), (f"{claim}-null", "reference")):
            texts[name] = " and ".join(f"{_digits(value(claim, trained, role, column))} %" for role in ROLES)
    return texts | {f"beyond-{key}": _beyond(eos, arms[key]) for key in ("threshold", "part", "tau_norm")}


def _beyond(arm: Arm, other: Arm) -> str:
    """Difference in accuracy over the same images."""
    difference = 100 * (arm.correct.astype(float) - other.correct)
    half = 1.96 * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    mean = float(difference.mean())
    return f"{mean:+.1f} points ({mean - half:+.1f} to {mean + half:+.1f})"
