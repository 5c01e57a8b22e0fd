"""ImageRunSpec: everything that a run on images depends on, validated before any work starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cemag.errors import SpecError, check_known
from cemag.models import Number, Whole
from cemag.reproduction.runs.spec import RunSpec, Spec, digest_of, essentials
from cemag.reproduction.training import RECIPES, Recipe

__all__ = ["NETWORKS", "AnySpec", "ImageRunSpec", "parse_spec", "read_spec"]

NETWORKS = ("resnet20", "resnet32", "resnet44", "resnet56")
AFTER_TRAINING = frozenset(
    {"augmenter", "k_neighbors", "eos_neighbors", "head_epochs", "deepsmote_epochs", "deepsmote_width"}
)


class ImageRunSpec(Spec):
    """One run on images: a set and its imbalance, a network and its recipe, an augmenter, the seeds.

    Parameters
    ----------
    dataset : str
        Name in ``cemag.reproduction.datasets.IMAGE_DATASETS``.
    classes : tuple of str, optional
        Classes to keep, the first the largest; all when not given.
    size : int, optional
        Side in pixels; the set's own when not given.
    imbalance : {"exp", "step", "natural"}, default="exp"
        Profile of the class sizes.
    imbalance_ratio : float, optional
        Largest class over smallest: needed for ``"exp"`` and ``"step"``, refused for ``"natural"``.
    n_max : int, optional
        Training images of the largest class; as many as there are when not given.
    subset_seed : int, default=0
        Draws the training images, and the instances that CEs are judged by.
    network : {"resnet20", "resnet32", "resnet44", "resnet56"}, default="resnet32"
    recipe : Recipe, or the name of one
        How to train; the 200-epoch long-tailed recipe when not given.
    augmenter : str, default="none"
        Name in ``cemag.samplers.IMAGE_AUGMENTERS``.
    seed : int, default=0
        Draws initial weights, order, crops and what the augmenter draws.
    k_neighbors : int, default=5
        Neighbours of DSM and DeepSMOTE.
    eos_neighbors : int, default=10
        Neighbours among which EOS looks for enemies.
    head_epochs : int, default=10
        Epochs of the new head of DSM and EOS.
    deepsmote_epochs, deepsmote_width : int, default=30, 32
        Training of DeepSMOTE's encoder and decoder, and channels of their outermost layer.
    labels : {"own", "shuffled"}, default="own"
        ``"shuffled"`` deals the training labels at random: the null of a network that learns nothing of them.
    weights : {"trained", "authors"}, default="trained"
        ``"authors"`` takes the network that the paper's first author published, in place of training one.

    Raises
    ------
    SpecError
        From `parse` and `with_`, in one line; the constructor itself raises pydantic's error.

    Examples
    --------
    >>> spec = ImageRunSpec(dataset="digits_images", imbalance_ratio=10, recipe="digits")
    >>> spec.recipe.epochs, spec.with_(augmenter="eos").training_key == spec.training_key
    (8, True)
    """

    dataset: str
    classes: tuple[str, ...] | None = None
    size: Whole | None = Field(default=None, ge=4, le=1024)
    imbalance: Literal["exp", "step", "natural"] = "exp"
    imbalance_ratio: Number | None = Field(default=None, ge=1, allow_inf_nan=False)
    n_max: Whole | None = Field(default=None, ge=1)
    subset_seed: Whole = Field(default=0, ge=0, lt=2**32)
    network: Literal["resnet20", "resnet32", "resnet44", "resnet56"] = "resnet32"
    recipe: Recipe = RECIPES["long_tailed_200"]
    augmenter: str = "none"
    seed: Whole = Field(default=0, ge=0, lt=2**32)
    k_neighbors: Whole = Field(default=5, ge=1)
    eos_neighbors: Whole = Field(default=10, ge=1)
    head_epochs: Whole = Field(default=10, ge=1)
    deepsmote_epochs: Whole = Field(default=30, ge=1)
    deepsmote_width: Whole = Field(default=32, ge=4)
    labels: Literal["own", "shuffled"] = "own"
    weights: Literal["trained", "authors"] = "trained"

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        from cemag.reproduction.datasets import IMAGE_DATASETS

        return check_known("image set", value, IMAGE_DATASETS)

    @field_validator("augmenter")
    @classmethod
    def _known_augmenter(cls, value: str) -> str:
        from cemag.samplers import IMAGE_AUGMENTERS

        return check_known("augmenter", value, IMAGE_AUGMENTERS)

    @field_validator("network", mode="before")
    @classmethod
    def _known_network(cls, value: Any) -> Any:
        return check_known("network", value, NETWORKS) if isinstance(value, str) else value

    @field_validator("recipe", mode="before")
    @classmethod
    def _recipe_by_name(cls, value: Any) -> Any:
        return RECIPES[check_known("recipe", value, RECIPES)] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _ratio_goes_with_profile(self) -> Self:
        if self.imbalance == "natural" and self.imbalance_ratio is not None:
            raise ValueError(
                f"imbalance_ratio is {self.imbalance_ratio:g}: imbalance 'natural' keeps the set's own"
            )
        if self.imbalance != "natural" and self.imbalance_ratio is None:
            raise ValueError(
                f"imbalance_ratio is missing: imbalance {self.imbalance!r} needs one, at least 1"
            )
        return self

    @model_validator(mode="after")
    def _authors_have_one_network(self) -> Self:
        if self.weights == "trained":
            return self
        from cemag.samplers import IMAGE_AUGMENTERS

        fixed = {"dataset": "cifar10", "imbalance_ratio": 100, "n_max": 5000, "network": "resnet32"}
        fixed |= {"classes": None, "size": None, "imbalance": "exp", "labels": "own"}
        for field, value in fixed.items():
            if (found := getattr(self, field)) != value:
                raise ValueError(f"{field} is {found!r}: the authors' network has {value!r}")
        if self.augmenter != "none" and IMAGE_AUGMENTERS[self.augmenter].stage != "embedding":
            raise ValueError(f"augmenter is {self.augmenter!r}: the authors' network is not trained anew")
        return self

    @property
    def model_name(self) -> str:
        """What was trained, in one word."""
        return self.network

    @property
    def repeat(self) -> int:
        """Number of the repetition that this run is: here the seed."""
        return self.seed

    @property
    def label(self) -> str:
        """The run in a few words."""
        what = "the authors' network" if self.weights == "authors" else self.network
        shuffled = ", shuffled labels" if self.labels == "shuffled" else ""
        return f"{self.dataset}, {what}, {self.augmenter}{shuffled}, seed {self.seed}"

    @property
    def training_key(self) -> str:
        """Address of the network without augmentation that this run starts from, or is compared with."""
        return digest_of({k: v for k, v in essentials(self).items() if k not in AFTER_TRAINING})

    @property
    def extractor(self) -> Self:
        """The run whose embeddings this one has: without augmentation where only a head is put on them."""
        from cemag.samplers import IMAGE_AUGMENTERS

        if IMAGE_AUGMENTERS[self.augmenter].stage != "embedding":
            return self
        return self.with_(augmenter="none")


AnySpec = RunSpec | ImageRunSpec


def parse_spec(values: Mapping[str, Any], where: str = "specification") -> AnySpec:
    """Validate a mapping as the kind of specification that its data set calls for.

    Raises
    ------
    SpecError
        For every fault, in one line.
    UnknownNameError
        If no set, of tables or of images, has the name.

    Examples
    --------
    >>> type(parse_spec({"dataset": "breast_cancer"})).__name__
    'RunSpec'
    """
    from cemag.reproduction.datasets import DATASETS, IMAGE_DATASETS

    name = values.get("dataset")
    if isinstance(name, str):
        check_known("data set", name, [*DATASETS, *IMAGE_DATASETS])
    of_images = isinstance(name, str) and name in IMAGE_DATASETS
    kind: type[AnySpec] = ImageRunSpec if of_images else RunSpec
    return kind.parse(values, where)


def read_spec(path: Path, **changes: Any) -> AnySpec:
    """Read a JSON file, change some fields, and validate.

    Raises
    ------
    SpecError
        If the file is not a JSON object, or for every fault in it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not a readable JSON specification ({error})") from None
    if not isinstance(values, dict):
        raise SpecError(f"{path}: holds a {type(values).__name__}: a JSON object is needed")
    return parse_spec(values | changes, str(path))
