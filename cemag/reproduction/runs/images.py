"""A run on images: train a network by a specification, measure its CEs on the test set. Imports torch."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import nn

from cemag import __version__
from cemag.embeddings import ClassificationEmbeddings
from cemag.errors import CemagError
from cemag.metrics import TrainingView, cutoffs, measure, sample_per_class
from cemag.models.heads import capture
from cemag.reproduction.datasets import ImageDataset, load_images, subsample_images
from cemag.reproduction.runs.evidence import evidence_tables
from cemag.reproduction.runs.image_spec import ImageRunSpec
from cemag.reproduction.runs.networks import (
    FittedNetwork,
    NewHead,
    TrainingSet,
    fit_extractor,
    initial_network,
    new_head,
    one_thread,
    rounded,
)
from cemag.reproduction.runs.nulls import null_tables, shuffled
from cemag.reproduction.runs.quantities import Judged, instances_table, quantities_table
from cemag.reproduction.runs.record import Provenance, RunRecord
from cemag.reproduction.runs.source import commit, package_versions, processor, source_digest
from cemag.reproduction.training import Progress

__all__ = ["Extracted", "extract", "record_of", "run_images", "training_set"]

INSTANCES_PER_CLASS = 200  # of the test set, by which CEs are judged
Report = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Extracted:
    """A network, and its embedding of all images; what is measured on it needs no network any more.

    Attributes
    ----------
    spec : ImageRunSpec
        Of the network itself; runs whose `extractor` it is share all of this.
    whole : ImageDataset
    data : TrainingSet
    fitted : FittedNetwork
    train, test : ndarray of shape (n, d) and (N, d), float16
    n_changed : int
        Test instances that the network predicts otherwise before its embedding is rounded.
    """

    spec: ImageRunSpec
    whole: ImageDataset
    data: TrainingSet
    fitted: FittedNetwork
    train: NDArray[np.float16]
    test: NDArray[np.float16]
    n_changed: int

    @property
    def names(self) -> NDArray[np.str_]:
        """Names of the classes."""
        return np.array(self.data.class_names)


def run_images(spec: ImageRunSpec, *, device: str = "auto", progress: Report | None = None) -> RunRecord:
    """Train the network that a specification names and measure its CEs.

    Embeddings are rounded to 16 bits before anything is measured on them, so that what a record keeps
    gives its numbers again. Frequency is measured on training images as they are, neither cropped nor made
    up. Beside what `cemag.metrics.measure` gives, the record has ``quantities`` and ``instances``, by the
    rule of the analysis plan; ``classes`` (images given and made, the head's bias) and ``history`` (epoch);
    `evidence_tables`; without augmentation ``cutoff`` and `null_tables` (the network, its head with permuted
    weights, itself at initialisation); for DeepSMOTE ``gallery``.

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
    return record_of(spec, extract(spec, device=device, progress=progress), device=device)


def extract(spec: ImageRunSpec, *, device: str = "auto", progress: Report | None = None) -> Extracted:
    """Train the network whose embeddings a run has, and embed all images.

    Raises
    ------
    CemagError
        As `cemag.reproduction.runs.run` does.
    """
    whole = load_images(spec.dataset, classes=spec.classes, size=spec.size)
    data = training_set(spec, whole)
    with one_thread(device), threadpool_limits(1):  # a grid runs a cell on every core
        fitted = fit_extractor(spec, data, device=device, progress=progress)
        train = _embedding(fitted.model, fitted, data.X)
        test, logits = capture(fitted.model, whole.X_test, normalisation=fitted.normalisation)
    weights, bias = _linear(fitted.model)
    found = ClassificationEmbeddings(rounded(test), weights, bias).predictions  # type: ignore[arg-type]
    n_changed = int((found != logits.argmax(axis=1)).sum())
    return Extracted(spec.extractor, whole, data, fitted, train, rounded(test), n_changed)


def record_of(spec: ImageRunSpec, of: Extracted, *, device: str = "auto") -> RunRecord:
    """Put a run's head on the embedding of its extractor, and measure its CEs."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with one_thread(device), threadpool_limits(1):
        clock = time.perf_counter()
        head = NewHead(*_linear(of.fitted.model), of.fitted.n_synthetic)
        if spec.extractor != spec:
            head = new_head(spec, of.train, of.data, of.fitted)
        fit_seconds, clock = time.perf_counter() - clock, time.perf_counter()
        tables = _tables(spec, of, head)
        metric_seconds = time.perf_counter() - clock
    moved = f"of {len(of.test)} test predictions {of.n_changed} change where the embedding is rounded"
    provenance = Provenance(
        cemag=__version__,
        source=source_digest(),
        commit=commit(),
        system=platform.platform(),
        processor=processor(),
        python=platform.python_version(),
        versions=package_versions("torch", "torchvision", "pillow"),
        device=of.fitted.device,
        data_fingerprint=of.whole.fingerprint,
        started=started,
        fit_seconds=round(of.fitted.seconds + fit_seconds, 4),
        metric_seconds=round(metric_seconds, 4),
        n_train=len(of.data.y),
        n_synthetic=head.n_synthetic,
        n_test=len(of.whole.y_test),
        n_ces=head.weights.shape[1],
        n_fitted_ces=head.weights.shape[1],
        note="; ".join(
            filter(None, [_origin(of.whole), of.fitted.note, head.note, moved if of.n_changed else ""])
        ),
    )
    return RunRecord(spec=spec, tables=tables, provenance=provenance)


def training_set(spec: ImageRunSpec, whole: ImageDataset) -> TrainingSet:
    """The images that a specification's network is given.

    Raises
    ------
    CemagError
        If there are too few of a class.
    """
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
    y = whole.y_train[rows]
    if spec.labels == "shuffled":
        y = shuffled(y, spec.seed)
    return TrainingSet(whole.X_train[rows], y, whole.class_names, whole.fingerprint, rows)


def _linear(model: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    layer = model.get_submodule("linear")
    weights, bias = (getattr(layer, part).detach().float().cpu().numpy() for part in ("weight", "bias"))
    return weights, bias


def _embedding(model: nn.Module, fitted: FittedNetwork, X: NDArray[np.uint8]) -> NDArray[np.float16]:
    return rounded(capture(model, X, normalisation=fitted.normalisation)[0])


def _tables(spec: ImageRunSpec, of: Extracted, head: NewHead) -> dict[str, pa.Table]:
    """Everything that is measured on a network."""
    judged = None if spec.weights == "authors" else INSTANCES_PER_CLASS
    rows = sample_per_class(of.whole.y_test, judged, random_state=spec.subset_seed)
    whole = _judged(of, head, of.train, of.test, of.whole.y_test)
    own = replace(whole, ce=whole.ce.take(rows), y=whole.y[rows])
    tables = measure(whole.ce, whole.y, train=own.train, max_per_class=judged, random_state=spec.subset_seed)
    tables |= _about_network(of.data, of.fitted, head)
    nulls = {}
    if spec.augmenter == "none":
        if spec.labels == "own" and spec.weights == "trained":
            nulls["initialisation"] = _initial(spec, of, rows)
        tables |= null_tables(own, nulls, random_state=spec.subset_seed)
        tables["cutoff"] = cutoffs(own.ce, own.y, train=own.train)
    counts = np.bincount(of.data.y, minlength=len(of.names))
    n_train = dict(zip(of.data.class_names, counts.tolist(), strict=True))
    tables["quantities"] = quantities_table(
        own, nulls, n_train, permuted=spec.augmenter == "none", random_state=spec.subset_seed
    )
    tables["instances"] = instances_table(own, rows)
    tables |= evidence_tables(
        head.weights,
        own.centre,
        of.data.class_names,
        test=(rows, of.whole.y_test[rows], of.test[rows]) if spec.extractor == spec else None,
        train=(of.data.rows, of.data.y, of.train) if _keeps_training_rows(spec) else None,
    )
    if of.fitted.gallery is not None:
        tables["gallery"] = of.fitted.gallery
    return tables


def _keeps_training_rows(spec: ImageRunSpec) -> bool:
    return spec.augmenter == "none" and spec.labels == "own" and spec.weights == "trained"


def _judged(
    of: Extracted,
    head: NewHead,
    train: NDArray[np.float16],
    test: NDArray[np.float16],
    y_test: NDArray[np.int64],
) -> Judged:
    """A head on embedded test images, and on all of the training images."""
    ce, seen = (
        ClassificationEmbeddings(features, head.weights, head.bias, of.names)  # type: ignore[arg-type]
        for features in (test, train)
    )
    labels = of.names[of.data.y]
    return Judged(ce, of.names[y_test], TrainingView(seen, labels), seen.class_mean(labels))


def _initial(spec: ImageRunSpec, of: Extracted, rows: NDArray[np.intp]) -> Judged:
    """The network before it was trained, on the same images."""
    start = initial_network(spec, of.data)
    train, test = (_embedding(start, of.fitted, images) for images in (of.data.X, of.whole.X_test[rows]))
    return _judged(of, NewHead(*_linear(start)), train, test, of.whole.y_test[rows])


def _about_network(data: TrainingSet, fitted: FittedNetwork, head: NewHead) -> dict[str, pa.Table]:
    """What it was trained on, and how the training went."""
    counts = np.bincount(data.y, minlength=len(data.class_names))
    made = counts.max() - counts if head.n_synthetic else np.zeros_like(counts)
    classes = {
        "class": list(data.class_names),
        "n_train": counts,
        "n_synthetic": made,
        "bias": head.bias.astype(np.float64),
    }
    tables = {"classes": pa.table(classes)}
    if fitted.history:
        tables["history"] = pa.Table.from_pylist(
            [
                {"epoch": i, "loss": epoch.loss, "accuracy": epoch.accuracy, "lr": epoch.lr}
                for i, epoch in enumerate(fitted.history, 1)
            ]
        )
    return tables


def _origin(whole: ImageDataset) -> str:
    """What stands in for the original, without the path of anybody's machine."""
    return whole.info.notes if whole.source.endswith("(JPEG)") else ""
