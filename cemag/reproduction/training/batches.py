"""Which images an epoch shows, in what order, how cropped, and with what mixed: drawn an epoch at once.

All randomness of a training is here, on the CPU, in two generators of its own; no step draws anything:
the same seed means the same images on any device, and the state to keep is small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cemag.errors import CemagError, DataError, check_known
from cemag.reproduction.training.augment import AugmentDraws
from cemag.reproduction.training.recipe import Recipe
from cemag.samplers.mixing import mix_labels, mixing_factors, rebalanced_label_factor

__all__ = ["Draws", "EpochPlan", "Mixing", "Sampling", "balanced_order", "sampling_of"]

Sampling = Literal["instance", "class_balanced"]
Mixing = Literal["remix", "rebalanced_mixup"]
ALPHA: dict[str, float] = {"remix": 0.2, "rebalanced_mixup": 1.0}  # as in cemag.samplers


@dataclass(frozen=True)
class EpochPlan:
    """One epoch: tensors of one row an image shown, in order.

    Parameters
    ----------
    numbers : Tensor of shape (n,)
        Which image.
    draws : AugmentDraws
        Its crop and flip.
    partner : Tensor of shape (n,) or None
        Place, within its batch, of the image that it is mixed with.
    factor : Tensor of shape (n,) or None
        Its own share of the mixture.
    soft : Tensor of shape (n, C) or None
        Labels of the mixtures, float32; rows sum to 1.
    """

    numbers: Tensor
    draws: AugmentDraws
    partner: Tensor | None = None
    factor: Tensor | None = None
    soft: Tensor | None = None

    def to(self, device: torch.device) -> EpochPlan:
        """Move to a device."""
        parts = (None if t is None else t.to(device) for t in (self.partner, self.factor, self.soft))
        return EpochPlan(self.numbers.to(device), self.draws.to(device), *parts)


def sampling_of(sampling: str | None, mixing: str | None) -> Sampling:
    """Return the sampling in effect; REMIX resamples its batches until they are balanced.

    Examples
    --------
    >>> sampling_of(None, "remix"), sampling_of(None, None)
    ('class_balanced', 'instance')
    """
    if mixing is not None:
        check_known("mixing", mixing, ALPHA)
    if sampling is not None:
        check_known("sampling", sampling, ["instance", "class_balanced"])
    if mixing == "remix" and sampling == "instance":
        raise CemagError("mixing 'remix' has balanced batches: sampling 'instance' does not go with it")
    return "class_balanced" if sampling == "class_balanced" or mixing == "remix" else "instance"


def balanced_order(y: NDArray[np.intp], n_classes: int, generator: torch.Generator) -> Tensor:
    """Draw as many numbers as there are labels (n,), the same number of each class, in random order.

    Of a class of more images than its share a part is shown, each at most once; of a smaller one,
    all are shown in turn until the share is full. Shares differ by one at most.

    Examples
    --------
    >>> y = np.array([0] * 7 + [1])
    >>> np.bincount(y[balanced_order(y, 2, torch.Generator().manual_seed(0)).numpy()])
    array([4, 4])
    """
    counts = np.bincount(y, minlength=n_classes)
    share = torch.full((n_classes,), len(y) // n_classes)
    share[torch.randperm(n_classes, generator=generator)[: len(y) % n_classes]] += 1
    drawn = []
    for c, count in enumerate(counts.tolist()):
        if count == 0:
            raise DataError(f"class {c} has no image: balanced sampling needs at least one of each class")
        rounds = [torch.randperm(count, generator=generator) for _ in range(-(-int(share[c]) // count))]
        drawn.append(
            torch.from_numpy(np.flatnonzero(y == c))[torch.cat([torch.empty(0).long(), *rounds])[: share[c]]]
        )
    return torch.cat(drawn)[torch.randperm(len(y), generator=generator)]


class Draws:
    """The two generators of a training, and the plan of each epoch.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Class numbers.
    n_classes : int
        Number of classes C.
    recipe : Recipe
        Batch size, crop and flip.
    sampling, mixing : str
        As in `train`.
    seed : int
        Of both generators.
    images_per_epoch : int, optional
        Images that an epoch shows, drawn anew each time; all when not given.

    Notes
    -----
    In training as in the published code, one factor is drawn a batch, and partners are a permutation
    of the batch.
    """

    def __init__(
        self,
        y: NDArray[np.intp],
        n_classes: int,
        recipe: Recipe,
        sampling: Sampling,
        mixing: Mixing | None,
        seed: int,
        images_per_epoch: int | None = None,
    ) -> None:
        self.n_shown = len(y) if images_per_epoch is None else images_per_epoch
        self.y, self.n_classes, self.recipe = y, n_classes, recipe
        self.sampling, self.mixing = sampling, mixing
        self.counts = np.bincount(y, minlength=n_classes)
        self.torch = torch.Generator().manual_seed(seed)
        self.numpy = np.random.default_rng(seed)

    def epoch(self) -> EpochPlan:
        """Draw the next epoch."""
        n, size = self.n_shown, self.recipe.batch_size
        if self.sampling == "class_balanced":
            numbers = balanced_order(self.y, self.n_classes, self.torch)[:n]
        else:
            numbers = torch.randperm(len(self.y), generator=self.torch)[:n]
        draws = AugmentDraws.draw(
            n, padding=self.recipe.crop_padding, flip=self.recipe.flip, generator=self.torch
        )
        if self.mixing is None:
            return EpochPlan(numbers, draws)
        starts = np.arange(0, n, size)
        batch = np.arange(n) // size
        partner = np.concatenate([self.numpy.permutation(min(size, n - s)) for s in starts.tolist()])
        factor = mixing_factors(self.numpy, len(starts), ALPHA[self.mixing])[batch]
        own = self.y[numbers.numpy()]
        other = own[starts[batch] + partner]
        weight = factor
        if self.mixing == "rebalanced_mixup":
            weight = rebalanced_label_factor(factor, self.counts[own], self.counts[other])
        soft = mix_labels(own, other, weight, self.n_classes)
        as_float = (torch.from_numpy(a).float() for a in (factor, soft))
        return EpochPlan(numbers, draws, torch.from_numpy(partner), *as_float)

    def state(self) -> dict[str, Any]:
        """Return both generators' states: a tensor, and JSON text."""
        return {"torch": self.torch.get_state(), "numpy": json.dumps(self.numpy.bit_generator.state)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state again."""
        self.torch.set_state(state["torch"])
        self.numpy.bit_generator.state = json.loads(state["numpy"])
