"""From a specification to a trained network, resumed where an earlier attempt stopped. Imports torch.

Keeps one checkpoint a training under ``CEMAG_NETWORKS``, else ``_build/networks`` of the project, else
the user's cache folder. It may be deleted at any time: what is needed again is trained again.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from filelock import FileLock
from numpy.typing import NDArray

from cemag.errors import CemagError, DataError
from cemag.models.deepsmote import train_deepsmote
from cemag.models.heads import capture, replace_head
from cemag.models.images import Normalisation
from cemag.models.resnet import ResNet, resnet
from cemag.reproduction.runs import authors
from cemag.reproduction.runs.gallery import gallery
from cemag.reproduction.runs.image_spec import ImageRunSpec
from cemag.reproduction.runs.keyed import project_root
from cemag.reproduction.runs.source import source_digest
from cemag.reproduction.runs.thresholds import logit_adjusted, tau_normalised
from cemag.reproduction.training import Epoch, Progress, Trained, choose_device, train, train_head
from cemag.samplers import EOS, EmbeddingSMOTE, get_image_augmenter

__all__ = [
    "FittedNetwork",
    "NewHead",
    "TrainingSet",
    "checkpoint_path",
    "fit_extractor",
    "fit_network",
    "initial_network",
    "networks_home",
    "new_head",
    "one_thread",
    "rounded",
]

TRAINING_ROOMS = ("reproduction/datasets", "models", "samplers", "reproduction/training")
Report = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The images that a network is given, thinned as the specification says.

    Attributes
    ----------
    X : ndarray of shape (n, h, w, c), uint8
    y : ndarray of shape (n,)
        Class numbers from 0.
    class_names : tuple of str
    fingerprint : str
        Of the whole data set.
    rows : ndarray of shape (n,)
        Which images of the whole data set's training part they are; none known when not given.
    """

    X: NDArray[np.uint8]
    y: NDArray[np.int64]
    class_names: tuple[str, ...]
    fingerprint: str
    rows: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network after training and augmentation.

    Attributes
    ----------
    model : nn.Module
    normalisation : Normalisation
    history : tuple of Epoch
        Of the training of the whole network.
    device : str
    seconds : float
        All of the fit, also what an earlier attempt took.
    n_synthetic : int
        Images, or points in the embedding, that the augmenter made.
    note : str
        What the augmenter has to say.
    gallery : pyarrow.Table or None
        Some of the images that DeepSMOTE made.
    """

    model: torch.nn.Module
    normalisation: Normalisation
    history: tuple[Epoch, ...]
    device: str
    seconds: float
    n_synthetic: int = 0
    note: str = ""
    gallery: pa.Table | None = None


def networks_home() -> Path:
    """Folder of the checkpoints."""
    if given := os.environ.get("CEMAG_NETWORKS"):
        return Path(given)
    root = project_root()
    if root is None:
        from platformdirs import user_cache_path

        return user_cache_path("cemag") / "networks"
    return root / "_build" / "networks"


def initial_network(spec: ImageRunSpec, data: TrainingSet) -> ResNet:
    """Return the network that a run's training starts from."""
    return resnet(spec.network, len(data.class_names), data.X.shape[-1], seed=spec.seed)


@dataclass(frozen=True)
class NewHead:
    """What a method puts in place of a trained network's last layer.

    Attributes
    ----------
    weights : ndarray of shape (C, d)
    bias : ndarray of shape (C,)
    n_synthetic : int
        Points in the embedding that were made for it.
    note : str
        What the augmenter has to say.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    n_synthetic: int = 0
    note: str = ""


def fit_network(
    spec: ImageRunSpec, data: TrainingSet, *, device: str = "auto", progress: Report | None = None
) -> FittedNetwork:
    """Train the network of a specification, with its augmenter, for the same steps as any other.

    Raises
    ------
    CemagError
        If a class is too small for the augmenter's neighbours, or for what `train` refuses.
    """
    base = fit_extractor(spec, data, device=device, progress=progress)
    if spec.extractor == spec:
        return base
    clock = time.perf_counter()
    features, _ = capture(base.model, data.X, normalisation=base.normalisation)
    head = new_head(spec, rounded(features), data, base)
    return replace(
        base,
        model=replace_head(base.model, head.weights, head.bias),
        seconds=base.seconds + time.perf_counter() - clock,
        n_synthetic=head.n_synthetic,
        note=head.note,
    )


def fit_extractor(
    spec: ImageRunSpec, data: TrainingSet, *, device: str = "auto", progress: Report | None = None
) -> FittedNetwork:
    """Train the network whose embeddings a run has, or take what the paper's authors published.

    Raises
    ------
    CemagError
        As `fit_network` does, before any training.
    """
    _check_method(spec, data)
    if spec.weights == "authors":
        own = Normalisation(spec.recipe.mean or (), spec.recipe.std or ())
        return FittedNetwork(authors.network(), own, (), "cpu", 0.0, note=authors.NOTE)
    spec = spec.extractor
    if get_image_augmenter(spec.augmenter).stage == "images":
        return _fit_with_images(spec, data, device, progress)
    return _fit_plain(spec, data, device, progress)


def rounded(features: NDArray[np.floating]) -> NDArray[np.float16]:
    """Embeddings as a record keeps them: in 16 bits, before anything is measured on them."""
    return np.asarray(features, dtype=np.float16)


def new_head(
    spec: ImageRunSpec, features: NDArray[np.float16], data: TrainingSet, base: FittedNetwork
) -> NewHead:
    """Head that a method puts on a trained network, from the embedding of the training images alone.

    Parameters
    ----------
    spec : ImageRunSpec
        Of a method whose stage is ``"embedding"``.
    features : ndarray of shape (n, d), float16
        Embedding of the training images.
    data : TrainingSet
    base : FittedNetwork
        The network that is to have it.
    """
    how = get_image_augmenter(spec.augmenter)
    trained: Any = base.model.get_submodule("linear")
    weights, bias = (p.detach().cpu().numpy() for p in (trained.weight, trained.bias))
    X, n_classes = features.astype(np.float32), len(data.class_names)
    if spec.weights == "authors" and how.name == "eos":
        return NewHead(*authors.eos_head(), note=authors.EOS_NOTE)
    if how.name == "threshold":
        moved = logit_adjusted(bias, np.bincount(data.y, minlength=n_classes))
        return NewHead(weights, moved.astype(np.float32))
    if how.name == "tau_norm":
        rows, biases = tau_normalised(weights, bias)
        return NewHead(rows.astype(np.float32), biases.astype(np.float32))
    if how.name == "crt":
        head = train_head(X, data.y, n_classes, epochs=spec.head_epochs, seed=spec.seed, balanced=True)
        return NewHead(head.weights, head.bias)
    sampler: Any = EmbeddingSMOTE(k_neighbors=spec.k_neighbors, random_state=spec.seed)
    if how.name != "dsm":
        sampler = EOS(n_neighbors=spec.eos_neighbors, variant=how.variant, random_state=spec.seed)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        made, y = sampler.fit_resample(X, data.y)
    head = train_head(made, y, n_classes, epochs=spec.head_epochs, seed=spec.seed)
    note = "; ".join(_by_name(str(warning.message), data) for warning in said)
    return NewHead(head.weights, head.bias, len(y) - len(data.y), note)


def _fit_plain(spec: ImageRunSpec, data: TrainingSet, device: str, progress: Report | None) -> FittedNetwork:
    how = get_image_augmenter(spec.augmenter)
    trained = _trained(spec, data, data.X, data.y, device, progress, sampling=how.sampling, mixing=how.mixing)
    return FittedNetwork(
        trained.model, trained.normalisation, trained.history, trained.device, trained.seconds
    )


def _fit_with_images(
    spec: ImageRunSpec, data: TrainingSet, device: str, progress: Report | None
) -> FittedNetwork:
    """Add DeepSMOTE's images until the classes are equal, then train for the usual number of steps."""
    clock = time.perf_counter()
    maker = train_deepsmote(
        data.X,
        data.y,
        epochs=spec.deepsmote_epochs,
        width=spec.deepsmote_width,
        seed=spec.seed,
        device=choose_device(device),
    )
    made, labels = maker.generate(data.X, data.y, random_state=spec.seed, n_neighbors=spec.k_neighbors)
    seconds = time.perf_counter() - clock
    trained = _trained(
        spec,
        data,
        np.concatenate([data.X, made]),
        np.concatenate([data.y, labels]),
        device,
        progress,
        images_per_epoch=len(data.y),
    )
    return FittedNetwork(
        trained.model,
        trained.normalisation,
        trained.history,
        trained.device,
        seconds + trained.seconds,
        n_synthetic=len(labels),
        gallery=gallery(data, made, labels, maker),
    )


def checkpoint_path(spec: ImageRunSpec, data: TrainingSet, device: str = "cpu") -> Path:
    """Where the checkpoint of a training lies, or would."""
    what = f"{spec.training_key} {spec.augmenter}"
    if get_image_augmenter(spec.augmenter).stage == "images":
        what = spec.key  # its settings decide what is trained on
    parts = f"{what} {data.fingerprint} {device} {source_digest(TRAINING_ROOMS)}"
    return networks_home() / f"{hashlib.sha256(parts.encode()).hexdigest()[:32]}.pt"


def _trained(
    spec: ImageRunSpec,
    data: TrainingSet,
    X: NDArray[np.uint8],
    y: NDArray[np.int64],
    device: str,
    progress: Report | None,
    **options: Any,
) -> Trained:
    """Train, or take up the checkpoint of the same training; two processes never train the same."""
    path = checkpoint_path(spec, data, choose_device(device).type)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CemagError(f"{path.parent}: cannot be made ({error.strerror or error})") from None
    with FileLock(path.with_suffix(".lock")):
        return train(
            initial_network(spec, data),
            X,
            y,
            spec.recipe,
            seed=spec.seed,
            device=device,
            checkpoint=path,
            progress=progress,
            **options,
        )


def _check_method(spec: ImageRunSpec, data: TrainingSet) -> None:
    """Refuse, before a network is trained, what the method cannot work on."""
    name = spec.augmenter
    if name in ("dsm", "deepsmote"):
        _check_neighbours(spec, data, spec.k_neighbors)
    elif name in ("eos", "eos_published_code"):
        _check_neighbours(spec, data, 0)
        if len(data.y) <= spec.eos_neighbors:
            raise DataError(
                f"{spec.dataset}: {name} looks at eos_neighbors = {spec.eos_neighbors} other images of "
                f"each, and there are {len(data.y)} in all"
            )


def _check_neighbours(spec: ImageRunSpec, data: TrainingSet, k_neighbors: int) -> None:
    """Before a network is trained for it: has each class the points that SMOTE draws from?"""
    counts = np.bincount(data.y, minlength=len(data.class_names))
    small = [c for c, n in enumerate(counts) if n <= k_neighbors and n < counts.max()]
    if small:
        listed = ", ".join(f"{data.class_names[c]} has {counts[c]}" for c in small)
        raise CemagError(
            f"{spec.dataset}: {spec.augmenter} needs more than k_neighbors = {k_neighbors} images of each "
            f"class to be filled up, and {listed}"
        )


def _by_name(message: str, data: TrainingSet) -> str:
    """One line, with the classes called by their names."""
    line = " ".join(message.split())
    return re.sub(r"\bclass (\d+)", lambda found: f"class {data.class_names[int(found[1])]}", line)


@contextmanager
def one_thread(device: str = "auto") -> Iterator[None]:
    """On a CPU, sums are made in an order that depends on the number of threads: one, and a grid of cells."""
    before = torch.get_num_threads()
    if choose_device(device).type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
