"""train: a network on uint8 images by a recipe, resumable at any moment, the data set on the device."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cemag.embeddings.from_torch import evaluating
from cemag.errors import CemagError, DataError
from cemag.models.images import Normalisation, image_tensor
from cemag.reproduction.training.augment import BatchAugment
from cemag.reproduction.training.batches import Draws, EpochPlan, Mixing, Sampling, sampling_of
from cemag.reproduction.training.checkpoint import read_checkpoint, tensors_digest, write_checkpoint
from cemag.reproduction.training.device import choose_device, explain_out_of_memory, keep_memory
from cemag.reproduction.training.recipe import Recipe
from cemag.reproduction.training.result import Epoch, Progress, Trained

__all__ = ["train"]

REPORT_SECONDS = 0.5  # reading loss and accuracy waits for the device: not after every step


def train(
    model: nn.Module,
    X: Any,
    y: ArrayLike,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str = "auto",
    sampling: Sampling | None = None,
    mixing: Mixing | None = None,
    images_per_epoch: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 5,
    resume: bool = True,
    compile: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a network; the same arguments give the same weights, to the last bit on one and the same CPU.

    Every method takes the same number of steps: an epoch shows as many images as there are (or
    `images_per_epoch`), however they are drawn. torch's global generators are neither used nor moved.

    Parameters
    ----------
    model : nn.Module
        Network on normalised images (n, c, h, w) that returns logits (n, C). Changed in place.
    X : array_like or Tensor, uint8
        Images, (n, h, w, c), (n, c, h, w) or (n, h, w).
    y : array_like of shape (n,)
        Class numbers from 0.
    recipe : Recipe
        See there.
    seed : int, default=0
        Of order, augmentation and mixing. The initial weights are the caller's.
    device : {"auto", "cpu", "cuda"}
        See `choose_device`.
    sampling : {"instance", "class_balanced"}, optional
        Each image once an epoch, or random over-sampling: as many images of each class. By default
        the former, and with ``mixing="remix"`` the latter.
    mixing : {"remix", "rebalanced_mixup"}, optional
        Mix each image of a batch with another one of it, soft labels included; `cemag.samplers` has
        the references.
    images_per_epoch : int, optional
        Images that an epoch shows, of those there are; all when not given. Keeps the number of steps
        where images were added beforehand.
    checkpoint : path, optional
        File to keep the state in, every few epochs and at the end.
    checkpoint_every : int, default=5
        Epochs between.
    resume : bool, default=True
        Go on from `checkpoint` if it is there. It must be of this very training.
    compile : bool, default=False
        Compile the network with ``torch.compile``, with CUDA graphs on a GPU. A CPU gains nothing by it.
    progress : callable, optional
        Given a `Progress` about twice a second, and at the end of each epoch.

    Returns
    -------
    Trained

    Raises
    ------
    CemagError
        If the device is absent, its memory too small, images, labels and network do not fit, the
        checkpoint is another training's, or the loss stops being finite.

    Examples
    --------
    >>> from cemag.models.resnet import resnet
    >>> X, y = np.zeros((4, 8, 8), dtype=np.uint8), np.array([0, 1, 0, 1])
    >>> recipe = Recipe(epochs=1, milestones=(), warmup_epochs=0, batch_size=2)
    >>> trained = train(resnet("resnet20", 2, 1), X, y, recipe, device="cpu")
    >>> len(trained.history), trained.device
    (1, 'cpu')
    """
    target = choose_device(device)
    images, labels = image_tensor(X), np.asarray(y)
    chosen = sampling_of(sampling, mixing)
    normalisation = (
        Normalisation(recipe.mean, recipe.std) if recipe.mean and recipe.std else Normalisation.of(images)
    )
    n_classes = _check(model, images, labels, normalisation)
    if images_per_epoch is not None and images_per_epoch not in range(1, len(labels) + 1):
        raise CemagError(
            f"images_per_epoch is {images_per_epoch}: it must be a whole number from 1 to {len(labels)}"
        )
    path = None if checkpoint is None else Path(checkpoint)
    digest = ""
    if path is not None:
        settings = f"{recipe.digest} {seed} {chosen} {mixing} {images_per_epoch} {compile}"
        data = {"X": images, "y": torch.from_numpy(labels.astype(np.int64))}
        digest = tensors_digest(settings, data, model.state_dict())
    with ExitStack() as stack:
        stack.enter_context(keep_memory(target))
        if target.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(benchmark=True))
        with explain_out_of_memory(None, target):
            model.to(target, memory_format=torch.channels_last)  # type: ignore[call-overload]
            batches = BatchAugment(images.to(target), normalisation, recipe.crop_padding)
        draws = Draws(labels.astype(np.intp), n_classes, recipe, chosen, mixing, seed, images_per_epoch)
        run = _Run(model, recipe, draws, batches, target, compile)
        if path is not None and resume and (state := read_checkpoint(path, digest)) is not None:
            run.restore(state)
        stack.enter_context(explain_out_of_memory(recipe.batch_size, target))
        while len(run.history) < recipe.epochs:
            run.one_epoch(progress)
            done = len(run.history)
            if path is not None and (done % max(1, checkpoint_every) == 0 or done == recipe.epochs):
                write_checkpoint(path, digest, run.state())
    model.eval()
    name = "cpu" if target.type == "cpu" else torch.cuda.get_device_name(target)
    seconds = sum(draws.n_shown / epoch.images_per_second for epoch in run.history)
    return Trained(model, tuple(run.history), normalisation, name, seconds)


def _check(model: nn.Module, images: Tensor, y: NDArray[Any], normalisation: Normalisation) -> int:
    """Refuse what cannot be trained on; return the network's number of classes."""
    if y.shape != (len(images),) or len(images) == 0:
        raise DataError(f"X has {len(images)} images and y shape {y.shape}: one label an image is needed")
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"y is of dtype {y.dtype}: class numbers from 0 are needed")
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        with evaluating(model):
            n_classes = model(normalisation(images[:1].to(where))).shape[1]
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise CemagError(
            f"the network does not take images of shape {tuple(images.shape[1:])}: {first}"
        ) from None
    if y.min() < 0 or y.max() >= n_classes:
        raise DataError(f"y is from {y.min()} to {y.max()}: the network has classes 0 to {n_classes - 1}")
    return int(n_classes)


class _Run:
    """Everything that changes in the course of a training."""

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        draws: Draws,
        batches: BatchAugment,
        device: torch.device,
        compile: bool,
    ) -> None:
        self.model, self.recipe, self.draws = model, recipe, draws
        self.batches, self.device = batches, device
        self.labels = torch.from_numpy(draws.y).to(device)
        self.forward: Callable[[Tensor], Tensor] = model
        if compile:
            mode = "reduce-overhead" if device.type == "cuda" else "default"
            self.forward = torch.compile(model, mode=mode)
        self.optimiser = torch.optim.SGD(
            model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        mixed = recipe.mixed_precision if device.type == "cuda" else "none"
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(mixed)
        self.scaler = torch.amp.GradScaler(device.type, enabled=mixed == "fp16")
        self.history: list[Epoch] = []

    def one_epoch(self, progress: Callable[[Progress], None] | None) -> None:
        """Take the steps of one epoch and add it to the history."""
        epoch, n, size = len(self.history), self.draws.n_shown, self.recipe.batch_size
        lr = self.recipe.learning_rate(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        started = reported = time.perf_counter()
        plan = self.draws.epoch().to(self.device)
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)  # loss, right
        self.model.train()
        for step, start in enumerate(range(0, n, size), 1):
            totals += self.one_step(plan, slice(start, min(start + size, n)))
            last, now = start + size >= n, time.perf_counter()
            if not last and (progress is None or now - reported < REPORT_SECONDS):
                continue
            shown = min(start + size, n)
            loss, accuracy = (totals / shown).tolist()
            if not math.isfinite(loss):
                raise CemagError(
                    f"the loss is {loss} in epoch {epoch + 1}: a smaller lr than {self.recipe.lr} is needed"
                )
            reported = time.perf_counter()
            speed = shown / max(reported - started, 1e-9)
            if last:
                self.history.append(Epoch(loss, accuracy, lr, speed))
            if progress is not None:
                left = (n * (self.recipe.epochs - epoch) - shown) / speed
                place = (epoch + 1, self.recipe.epochs, step, self.recipe.steps(n))
                progress(Progress(*place, loss, accuracy, speed, left))

    def one_step(self, plan: EpochPlan, rows: slice) -> Tensor:
        """Take one step; return the sum of the losses, and how many predictions were right."""
        numbers = plan.numbers[rows]
        with torch.no_grad():
            batch = self.batches(numbers, plan.draws[rows])
            labels = target = self.labels[numbers]
            if plan.soft is not None and plan.partner is not None and plan.factor is not None:
                factor = plan.factor[rows].view(-1, 1, 1, 1)
                batch = torch.lerp(batch[plan.partner[rows]], batch, factor)
                target = plan.soft[rows]
                labels = target.argmax(1)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            try:
                logits = self.forward(batch)
            except ValueError as error:  # batch normalisation of one image whose map is one pixel
                raise CemagError(
                    f"a batch of {len(numbers)} cannot be trained on ({error}): choose another batch_size "
                    f"than {self.recipe.batch_size}, or larger images"
                ) from None
            loss = F.cross_entropy(logits.float(), target)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimiser)
        self.scaler.update()
        with torch.no_grad():
            right = (logits.argmax(1) == labels).sum()
            return torch.stack([loss.double() * len(numbers), right.double()])

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "generators": self.draws.state(),
            "history": [list(epoch) for epoch in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.draws.restore(state["generators"])
        self.history = [Epoch(*epoch) for epoch in state["history"]]
