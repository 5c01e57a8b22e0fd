"""The augmenters of image runs by name, in the paper's order. Pure data; builds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cemag.errors import check_known

__all__ = ["IMAGE_AUGMENTERS", "ImageAugmenter", "get_image_augmenter"]


@dataclass(frozen=True)
class ImageAugmenter:
    """One way to treat an imbalanced set of images.

    Parameters
    ----------
    name, title, reference, description : str
        As of an `Augmenter`.
    stage : {"training", "embedding", "images"}
        Where it acts: on the batches of the training; on the trained network's embedding or head, with
        another head that is put back; on the images, before the training.
    sampling, mixing : str, optional
        Options of `cemag.reproduction.training.train`.
    variant : str, optional
        Form of EOS.

    Examples
    --------
    >>> get_image_augmenter("eos").stage
    'embedding'
    """

    name: str
    title: str
    reference: str
    description: str
    stage: Literal["training", "embedding", "images"]
    sampling: Literal["instance", "class_balanced"] = "instance"
    mixing: Literal["remix", "rebalanced_mixup"] | None = None
    variant: Literal["paper", "published_code"] = "paper"


_ALL = (
    ImageAugmenter("none", "none", "", "The training set as it is.", "training"),
    ImageAugmenter(
        "ros",
        "ROS",
        "batista2004study",
        "Random over-sampling: every batch is drawn from all classes alike.",
        "training",
        sampling="class_balanced",
    ),
    ImageAugmenter(
        "remix",
        "REMIX",
        "bellinger2020remix",
        "Balanced batches whose images are mixed with one another, labels in the same proportion.",
        "training",
        sampling="class_balanced",
        mixing="remix",
    ),
    ImageAugmenter(
        "rebalanced_mixup",
        "Rebalanced Mixup",
        "chou2020remix",
        "Images of a batch are mixed; a much rarer class takes the whole label.",
        "training",
        mixing="rebalanced_mixup",
    ),
    ImageAugmenter(
        "dsm",
        "DSM",
        "dablain2022deepsmote",
        "SMOTE in the embedding of the trained network, then a new head for it.",
        "embedding",
    ),
    ImageAugmenter(
        "eos",
        "EOS",
        "dablain2022eos",
        "New points between minority points and their nearest enemies in the embedding, then a new head.",
        "embedding",
    ),
    ImageAugmenter(
        "eos_published_code",
        "EOS, shifted as published",
        "dablain2022eos",
        "EOS with the neighbour list off by one place, as in the authors' program.",
        "embedding",
        variant="published_code",
    ),
    ImageAugmenter(
        "threshold",
        "threshold moved",
        "menon2021long",
        "The trained network with the logarithms of the class shares taken from its bias: no CE changes.",
        "embedding",
    ),
    ImageAugmenter(
        "tau_norm",
        "tau-normalised",
        "kang2020decoupling",
        "The trained network with each class's weights and bias divided by the weights' norm.",
        "embedding",
    ),
    ImageAugmenter(
        "crt",
        "head on balanced batches",
        "kang2020decoupling",
        "A new head for the trained network's embedding, each class drawn as often as any other.",
        "embedding",
    ),
    ImageAugmenter(
        "deepsmote",
        "DeepSMOTE",
        "dablain2022deepsmote",
        "New images, decoded from SMOTE's points in the code of an encoder and decoder.",
        "images",
    ),
)

IMAGE_AUGMENTERS: Mapping[str, ImageAugmenter] = MappingProxyType({a.name: a for a in _ALL})


def get_image_augmenter(name: str) -> ImageAugmenter:
    """Return the image augmenter of that name.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest.

    Examples
    --------
    >>> get_image_augmenter("deep_smote")
    Traceback (most recent call last):
    ...
    cemag.errors.UnknownNameError: unknown augmenter 'deep_smote': did you mean 'deepsmote'? known: ...
    """
    return IMAGE_AUGMENTERS[check_known("augmenter", name, IMAGE_AUGMENTERS)]
