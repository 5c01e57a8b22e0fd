"""A run on images: train a network by a specification, measure its CEs on the test set. Imports torch."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from cemag import __version__
from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import CemagError
from cemag.metrics import TrainingView, cutoffs, measure, sample_per_class
from cemag.models.heads import embed_images
from cemag.reproduction.datasets import ImageDataset, load_images, subsample_images
from cemag.reproduction.runs.image_spec import ImageRunSpec
from cemag.reproduction.runs.networks import (
    FittedNetwork,
    TrainingSet,
    fit_network,
    initial_network,
    one_thread,
)
from cemag.reproduction.runs.nulls import Judged, null_tables, shuffled
from cemag.reproduction.runs.record import Provenance, RunRecord, package_versions, source_digest
from cemag.reproduction.runs.tabular import INSTANCES_PER_CLASS
from cemag.reproduction.training import Progress

__all__ = ["run_images"]


def run_images(
    spec: ImageRunSpec, *, device: str = "auto", progress: Callable[[Progress], None] | None = None
) -> RunRecord:
    """Train the network that a specification names and measure its CEs.

    Frequency is measured on training images as they are, neither cropped nor made up. Beside what
    `cemag.metrics.measure` gives, the record has tables ``classes`` (images given and made, the head's
    bias), ``head`` (class x feature: weight) and ``history`` (epoch); without augmentation ``cutoff``
    and `null_tables` (the network, its head with permuted weights, itself at initialisation, and
    trained on shuffled labels); for DeepSMOTE ``gallery``.

    Parameters
    ----------
    spec, device, progress
        As for `cemag.reproduction.runs.run`.

    Raises
    ------
    CemagError
        As `cemag.reproduction.runs.run` does.

    Examples
    --------
    >>> spec = ImageRunSpec(dataset="digits_images", imbalance_ratio=10, recipe="digits", n_max=20)
    >>> run_images(spec.with_(n_max=1))
    Traceback (most recent call last):
    ...
    cemag.errors.DataError: digits_images: class 1 (1): 0 images asked, 146 available: ...
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    whole = load_images(spec.dataset, classes=spec.classes, size=spec.size)
    data = _training_set(spec, whole)
    with one_thread(device), threadpool_limits(1):  # a grid runs a cell on every core
        fitted = fit_network(spec, data, device=device, progress=progress)
        clock = time.perf_counter()
        tables = _tables(spec, whole, data, fitted, device)
        metric_seconds = time.perf_counter() - clock
    n_ces = pc.max(tables["head"]["feature"]).as_py() + 1
    provenance = Provenance(
        cemag=__version__,
        source=source_digest(),
        python=platform.python_version(),
        versions=package_versions("torch", "torchvision", "pillow"),
        device=fitted.device,
        data_fingerprint=whole.fingerprint,
        started=started,
        fit_seconds=round(fitted.seconds, 4),
        metric_seconds=round(metric_seconds, 4),
        n_train=len(data.y),
        n_synthetic=fitted.n_synthetic,
        n_test=len(whole.y_test),
        n_ces=n_ces,
        n_distinct_ces=n_ces,
        note="; ".join(filter(None, [_origin(whole), fitted.note])),
    )
    return RunRecord(spec=spec, tables=tables, provenance=provenance)


def _training_set(spec: ImageRunSpec, whole: ImageDataset) -> TrainingSet:
    try:
        rows = subsample_images(
            whole.y_train,
            profile=spec.imbalance,
            imbalance_ratio=spec.imbalance_ratio,
            n_max=spec.n_max,
            subset_seed=spec.subset_seed,
            class_names=whole.class_names,
        )
    except CemagError as error:
        raise type(error)(f"{spec.dataset}: {error}") from None
    return TrainingSet(whole.X_train[rows], whole.y_train[rows], whole.class_names, whole.fingerprint)


def _tables(
    spec: ImageRunSpec, whole: ImageDataset, data: TrainingSet, fitted: FittedNetwork, device: str
) -> dict[str, pa.Table]:
    """Everything that is measured on a network."""
    test, seen = _judged(spec, whole, data)
    ce = _embedded(fitted.model, fitted, whole.X_test, whole.y_test, data)
    view = _embedded(fitted.model, fitted, data.X[seen], data.y[seen], data)
    tables = measure(
        ce.ce,
        ce.y,
        train=view,
        max_per_class=INSTANCES_PER_CLASS,
        random_state=spec.subset_seed,
    )
    tables |= _about_network(data, fitted, ce.ce)
    if spec.augmenter == "none":
        judged = Judged(ce.ce.take(test), ce.y[test], view)
        tables |= _nulls(spec, data, whole, fitted, judged, device)
        tables["cutoff"] = cutoffs(judged.ce, judged.y, train=view)
    if fitted.gallery is not None:
        tables["gallery"] = fitted.gallery
    return tables


def _judged(
    spec: ImageRunSpec, whole: ImageDataset, data: TrainingSet
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the test and of the training set by which nulls and frequencies are judged."""
    chosen = [
        sample_per_class(y, INSTANCES_PER_CLASS, random_state=spec.subset_seed)
        for y in (whole.y_test, data.y)
    ]
    return chosen[0], chosen[1]


def _embedded(
    model: nn.Module, fitted: FittedNetwork, X: NDArray[np.uint8], y: NDArray[np.int64], data: TrainingSet
) -> TrainingView:
    names = np.array(data.class_names)
    return TrainingView(embed_images(model, X, fitted.normalisation, classes=names), names[y])


def _nulls(
    spec: ImageRunSpec,
    data: TrainingSet,
    whole: ImageDataset,
    fitted: FittedNetwork,
    model: Judged,
    device: str,
) -> dict[str, pa.Table]:
    """The network beside itself before training, and beside one that was trained on shuffled labels."""
    test, seen = _judged(spec, whole, data)
    X, y = whole.X_test[test], whole.y_test[test]

    def judged(network: nn.Module, given: TrainingSet) -> Judged:
        tested = _embedded(network, fitted, X, y, data)
        return Judged(tested.ce, tested.y, _embedded(network, fitted, given.X[seen], given.y[seen], data))

    mixed_up = replace(data, y=shuffled(data.y, spec.seed), fingerprint=f"{data.fingerprint} shuffled labels")
    misled = fit_network(spec, mixed_up, device=device)
    nulls = {
        "initialisation": judged(initial_network(spec, data), data),
        "shuffled_labels": judged(misled.model, mixed_up),
    }
    return null_tables(model, nulls, random_state=spec.subset_seed)


def _about_network(
    data: TrainingSet, fitted: FittedNetwork, ce: ClassificationEmbeddings
) -> dict[str, pa.Table]:
    """What it was trained on, how the training went, and the head that CEs are made with."""
    counts = np.bincount(data.y, minlength=len(data.class_names))
    made = counts.max() - counts if fitted.n_synthetic else np.zeros_like(counts)
    history = [
        {"epoch": i, "loss": epoch.loss, "accuracy": epoch.accuracy, "lr": epoch.lr}
        for i, epoch in enumerate(fitted.history, 1)
    ]
    classes = {"class": list(data.class_names), "n_train": counts, "n_synthetic": made, "bias": ce.bias}
    head = {
        "class": np.repeat(data.class_names, ce.n_features),
        "feature": np.tile(np.arange(ce.n_features, dtype=np.int32), len(data.class_names)),
        "weight": ce.weights.astype(np.float32).ravel(),
    }
    return {"classes": pa.table(classes), "head": pa.table(head), "history": pa.Table.from_pylist(history)}


def _origin(whole: ImageDataset) -> str:
    """What stands in for the original, without the path of anybody's machine."""
    return whole.info.notes if whole.source.endswith("(JPEG)") else ""
