"""What is done to a training set against its imbalance: the paper's augmenters, by name.

`augment` is the one entry: training data in, what a classifier's ``fit`` gets out. `Remix` and
`RebalancedMixup` are the two methods called REMIX, as imbalanced-learn samplers; `harden` is how
their soft labels reach a classifier that takes hard ones. `EOS` and `EmbeddingSMOTE` over-sample an
embedding. Arrays in, arrays out: touches no file,
no data set and no model, and never imports torch. imbalanced-learn is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cemag.samplers.augment import AugmentedData, augment
from cemag.samplers.image_registry import IMAGE_AUGMENTERS, ImageAugmenter, get_image_augmenter
from cemag.samplers.mixing import harden, mix_labels, mix_rows, mixing_factors, rebalanced_label_factor
from cemag.samplers.registry import AUGMENTERS, Augmenter, get_augmenter

if TYPE_CHECKING:
    from cemag.samplers.eos import EOS, EmbeddingSMOTE
    from cemag.samplers.mixup import RebalancedMixup
    from cemag.samplers.remix import Remix

__all__ = [
    "AUGMENTERS",
    "EOS",
    "IMAGE_AUGMENTERS",
    "AugmentedData",
    "Augmenter",
    "EmbeddingSMOTE",
    "ImageAugmenter",
    "RebalancedMixup",
    "Remix",
    "augment",
    "get_augmenter",
    "get_image_augmenter",
    "harden",
    "mix_labels",
    "mix_rows",
    "mixing_factors",
    "rebalanced_label_factor",
]

# A specification is checked against AUGMENTERS before every run; importing imbalanced-learn for
# that would add seconds to each start of the command line.
_HOMES = {
    "EOS": "cemag.samplers.eos",
    "EmbeddingSMOTE": "cemag.samplers.eos",
    "RebalancedMixup": "cemag.samplers.mixup",
    "Remix": "cemag.samplers.remix",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cemag.samplers' has no attribute {name!r}")
