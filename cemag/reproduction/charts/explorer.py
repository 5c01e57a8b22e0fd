"""The explorer: one instance, its CEs and what is left of the decision without them, for the reader to try.

Draws a table of one instance, which stands in the page where no script runs, and puts the instances of every
data set beside it; ``book/_static/explorer.js`` makes a page to be played with of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.metrics import required
from cemag.reproduction.datasets import DATASETS, IMAGE_DATASETS
from cemag.reproduction.runs import Explorable
from cemag.samplers import AUGMENTERS, IMAGE_AUGMENTERS

__all__ = ["Explorer"]

SHOWN = 10  # CEs of the instance in the table, the others in one line
FAMILIES = {"authors": "the authors' network", "cnn": "a network of ours", "logistic": "logistic regression"}
RANKINGS = {"signed": "largest contribution first", "magnitude": "largest magnitude first"}
CUTS = {"shared": "in every class's sum", "target": "in the predicted class's sum alone"}


@dataclass(frozen=True)
class Explorer:
    """Every data set that can be explored; one instance of the first, of its smallest class, as a table."""

    sets: Sequence[Explorable]

    def __repr__(self) -> str:
        held = sum(len(one.labels) for one in self.sets)
        return f"Explorer({len(self.sets)} data sets, {held} instances)"

    def _repr_html_(self) -> str:
        if not self.sets:
            return "<p class='cemag-notrun'>No published record keeps instances to explore.</p>"
        held = "".join(map(_script, self.sets))
        titles = escape(json.dumps({name_of(one): title_of(one) for one in self.sets}))
        shown = self.sets[0]
        row = _telling(shown)
        first = f'data-sets="{titles}" data-first="{shown.instances[row]}"'
        return f'<div class="cemag-explorer" {first}>{_example(shown, row)}</div>{held}'


def _script(one: Explorable) -> str:
    held = json.dumps(payload(one), separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<script type="application/json" class="cemag-explored" data-name="{name_of(one)}">{held}</script>'
    )


def name_of(one: Explorable) -> str:
    """Name of a set in addresses, such as ``logistic-scene``."""
    return f"{one.family}-{one.dataset}"


def title_of(one: Explorable) -> str:
    """Title of a set where the reader chooses one."""
    return f"{one.dataset}, {FAMILIES[one.family]}"


def payload(one: Explorable) -> dict[str, Any]:
    """What a page needs of a data set, as JSON has it: numbers as base64 of their bytes."""
    embeddings: list[NDArray[Any]] = []
    models = []
    for name, ce in one.models.items():
        features = ce.features[:]
        place = next((i for i, known in enumerate(embeddings) if np.array_equal(known, features)), None)
        if place is None:
            place = len(embeddings)
            embeddings.append(features)
        models.append(
            {
                "name": name,
                "title": _augmenter(one, name),
                "key": one.keys[name],
                "embedding": place,
                "weights": _coded(ce.weights.astype("<f4")),
                "bias": ce.bias.tolist(),
            }
        )
    return {
        "title": title_of(one),
        "source": (DATASETS.get(one.dataset) or IMAGE_DATASETS[one.dataset]).title,
        "feature": "column" if one.family == "logistic" else "feature",
        "classes": list(one.class_names),
        "n_train": list(one.n_train),
        "minority": list(one.minority),
        "labels": one.labels.tolist(),
        "instances": one.instances.tolist(),
        "pictures": {place: base64.b64encode(p).decode() for place, p in one.pictures.items()},
        "embeddings": [_narrow(features) for features in embeddings],
        "models": models,
    }


def _augmenter(one: Explorable, name: str) -> str:
    titles = AUGMENTERS if one.family == "logistic" else IMAGE_AUGMENTERS
    return "no augmentation" if name == "none" else titles[name].title


def _narrow(features: NDArray[Any]) -> dict[str, Any]:
    """Features in the narrowest type that holds them as they are."""
    bits = 16 if np.array_equal(features.astype(np.float16).astype(float), features) else 32
    return {"bits": bits, "values": _coded(features.astype(f"<f{bits // 8}"))}


def _coded(values: NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _example(one: Explorable, row: int) -> str:
    """One instance as a table of its CEs and one of its counts."""
    alone = one.models["none"].take(np.array([row]))
    label, true = (one.class_names[c] for c in (alone.predictions[0], one.labels[row]))
    picture = ""
    if row in one.pictures:
        coded = base64.b64encode(one.pictures[row]).decode()
        words = escape(f"test image {one.instances[row]}, of class {true}")
        picture = f'<img alt="{words}" width="96" height="96" src="data:image/webp;base64,{coded}">'
    said = (
        f"Test instance {one.instances[row]} of {one.dataset}, of class {true}, under {FAMILIES[one.family]} "
        f"without augmentation: predicted {label}. Where scripts run, this page lets you choose any other, "
        "drop its CEs and move the bias."
    )
    tables = _sums(alone, label, "column" if one.family == "logistic" else "feature") + _counts(alone)
    return f'<div class="cemag-example">{picture}<p>{escape(said)}</p>{tables}</div>'


def _telling(one: Explorable) -> int:
    """Of the smallest class the recognised instance whose counts differ most, with a picture if any has."""
    ce = one.models["none"]
    smallest = int(np.argmin(one.n_train))
    known = np.flatnonzero((one.labels == smallest) & (ce.predictions == smallest)).tolist() or [0]
    rows = [row for row in known if row in one.pictures] or known
    part = ce.take(np.array(rows))
    counts = np.stack(list(required(part, part.classes[part.predictions]).per_instance.values()))
    return int(rows[np.argmax(counts.max(axis=0) - counts.min(axis=0))])


def _sums(ce: ClassificationEmbeddings, label: str, unit: str) -> str:
    ces = ce.of_prediction(slice(None))[0]
    predicted = int(ce.predictions[0])
    sign = -1.0 if ce.single_sum and predicted == 0 else 1.0
    order = np.argsort(-np.abs(ces), kind="stable")
    lines = [(f"{unit} {j}", float(ces[j])) for j in order[:SHOWN]]
    lines += [
        (f"the other {len(ces) - SHOWN}", float(ces[order[SHOWN:]].sum())),
        ("bias", sign * float(ce.bias[0 if ce.single_sum else predicted])),
    ]
    sums = np.cumsum([value for _, value in lines])
    body = [(name, f"{value:+.3f}", f"{total:.3f}") for (name, value), total in zip(lines, sums, strict=True)]
    return _table((f"CE towards {label}", "adds", "sum so far"), body)


def _counts(ce: ClassificationEmbeddings) -> str:
    """How many CEs each rule asks for, `first` and `stable` side by side."""
    counts = {rule: int(k[0]) for rule, k in required(ce, ce.classes[ce.predictions]).per_instance.items()}
    body = [
        (
            RANKINGS[rule.ranking],
            *([] if ce.single_sum else [CUTS[rule.sufficiency]]),
            "yes" if rule.bias else "no",
            str(k),
            str(counts[replace(rule, stability="stable")]),
        )
        for rule, k in counts.items()
        if rule.stability == "first"
    ]
    heads = [
        "CEs kept",
        *([] if ce.single_sum else ["dropped"]),
        "with the bias",
        "first count",
        "stable count",
    ]
    return _table(heads, body)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table class='cemag-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
