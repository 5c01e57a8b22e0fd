"""What a training reports while it runs, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from cemag.models.images import Normalisation

__all__ = ["Epoch", "Progress", "Trained"]


class Epoch(NamedTuple):
    """One epoch: means over the images shown, as they were augmented and while the weights changed."""

    loss: float
    accuracy: float
    lr: float
    images_per_second: float


@dataclass(frozen=True)
class Progress:
    """How far a training is; `loss` and `accuracy` are those of the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Trained:
    """What `train` returns.

    Attributes
    ----------
    model : nn.Module
        The network that was passed in, trained, in evaluation mode, on its device.
    history : tuple of Epoch
        One entry an epoch, those before a resumption included.
    normalisation : Normalisation
        To be used on every image that the network is to see.
    device : str
        ``"cpu"``, or the GPU's name.
    seconds : float
        Of the epochs' own time.
    """

    model: nn.Module
    history: tuple[Epoch, ...]
    normalisation: Normalisation
    device: str
    seconds: float
