"""Recipe: everything about a training that is not data, network or seed. Never imports torch."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from cemag.errors import check_known

__all__ = ["RECIPES", "Recipe", "get_recipe"]


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "input should be a number")
    return value


Whole = Annotated[int, BeforeValidator(_refuse_bool)]
Number = Annotated[float, BeforeValidator(_refuse_bool), Field(allow_inf_nan=False)]
Channels = tuple[Annotated[Number, Field(ge=0, le=1)], ...]


class Recipe(BaseModel):
    """Stochastic gradient descent with a stepped learning rate, and what is done to the images.

    The defaults are the long-tailed CIFAR recipe of LDAM-DRW [1]_.

    Parameters
    ----------
    epochs : int
        An epoch is as many images as the training set has, however they are drawn.
    batch_size : int
        Images a step; the last step of an epoch may have fewer.
    lr : float
        Learning rate after the warm-up.
    momentum, weight_decay : float
        Of the optimiser; the decay is on all parameters.
    warmup_epochs : int
        Over which the learning rate grows, linearly from epoch to epoch, to `lr`.
    milestones : tuple of int
        From these epochs on (counted from 0) the learning rate is multiplied by `lr_factor`.
    lr_factor : float
        See there.
    crop_padding : int
        Zero pixels put on each side before a random crop of the image's own size; 0 for no crop.
    flip : bool
        Whether half of the images are mirrored.
    mean, std : tuple of float, optional
        Of each channel, on a scale from 0 to 1; the training set's own when not given.
    mixed_precision : {"bf16", "fp16", "none"}
        On a GPU only; a CPU always computes in float32.

    References
    ----------
    .. [1] K. Cao, C. Wei, A. Gaidon, N. Arechiga, T. Ma, "Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss", NeurIPS 2019.

    Examples
    --------
    >>> recipe = RECIPES["long_tailed_200"]
    >>> [round(recipe.learning_rate(epoch), 9) for epoch in (0, 4, 159, 160, 180)]
    [0.02, 0.1, 0.1, 0.001, 1e-05]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Whole = Field(default=200, ge=1)
    batch_size: Whole = Field(default=128, ge=2)
    lr: Number = Field(default=0.1, gt=0)
    momentum: Number = Field(default=0.9, ge=0, lt=1)
    weight_decay: Number = Field(default=2e-4, ge=0)
    warmup_epochs: Whole = Field(default=5, ge=0)
    milestones: tuple[Whole, ...] = (160, 180)
    lr_factor: Number = Field(default=0.01, gt=0, le=1)
    crop_padding: Whole = Field(default=4, ge=0)
    flip: bool = True
    mean: Channels | None = None
    std: Channels | None = None
    mixed_precision: Literal["bf16", "fp16", "none"] = "bf16"

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        marks = (self.warmup_epochs, *self.milestones)
        if self.milestones and not (
            all(a < b for a, b in pairwise(self.milestones))
            and marks[0] <= marks[1]
            and marks[-1] < self.epochs
        ):
            raise PydanticCustomError(
                "milestones",
                "milestones {found}: they must increase, from warmup_epochs {first} to below epochs {last}",
                {"found": self.milestones, "first": self.warmup_epochs, "last": self.epochs},
            )
        if self.warmup_epochs > self.epochs:
            raise PydanticCustomError("warmup", "warmup_epochs must not be above epochs")
        if (self.mean is None) != (self.std is None) or len(self.mean or ()) != len(self.std or ()):
            raise PydanticCustomError("channels", "mean and std must be given together, one value a channel")
        if self.std is not None and not all(value > 0 for value in self.std):
            raise PydanticCustomError("channels", "std must be above 0")
        return self

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if epoch < self.warmup_epochs:
            return self.lr * (epoch + 1) / self.warmup_epochs
        return self.lr * self.lr_factor ** sum(epoch >= mark for mark in self.milestones)

    def steps(self, n: int) -> int:
        """Number of steps an epoch for n training images: the same for every method."""
        return -(-n // self.batch_size)

    @property
    def digest(self) -> str:
        """SHA-256 of all fields."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


_CIFAR = Recipe(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))


def _shortened(**changes: Any) -> Recipe:
    return Recipe(**{**_CIFAR.model_dump(), **changes})


RECIPES: dict[str, Recipe] = {
    "long_tailed_200": _CIFAR,
    "long_tailed_100": _shortened(epochs=100, milestones=(80, 90)),
    "long_tailed_60": _shortened(epochs=60, milestones=(48, 54)),
    "long_tailed_30": _shortened(epochs=30, warmup_epochs=2, milestones=(24, 28), lr_factor=0.1),
    "short_20": _shortened(epochs=20, batch_size=64, warmup_epochs=2, milestones=(15, 18), lr_factor=0.1),
    "short_30": Recipe(epochs=30, batch_size=32, warmup_epochs=2, milestones=(23, 27), lr_factor=0.1),
    "digits": Recipe(
        epochs=8, batch_size=64, warmup_epochs=1, milestones=(5, 7), lr_factor=0.1, crop_padding=1, flip=False
    ),
}


def get_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest.

    Examples
    --------
    >>> get_recipe("long_tailed_30").epochs
    30
    """
    return RECIPES[check_known("recipe", name, RECIPES)]
