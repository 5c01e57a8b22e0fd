"""How large an image experiment is: for a minute, for some hours, or for a GPU. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from types import MappingProxyType
from typing import Any

from cemag.errors import check_known
from cemag.reproduction.runs.image_spec import ImageRunSpec

__all__ = ["PAPER_IMAGE_AUGMENTERS", "SCALES", "Scale", "image_specs", "scale_of"]

PAPER_IMAGE_AUGMENTERS = ("none", "ros", "remix", "dsm", "eos")
ALL = ("none", "ros", "remix", "rebalanced_mixup", "dsm", "eos", "eos_published_code", "deepsmote")
LIKE = {"places": "miniplaces", "inaturalist": "tiny_imagenet_taxa"}  # the real set, and what stands in
MINIPLACES = ("airport_terminal", "amusement_park", "aquarium", "baseball_field", "shed")  # the first five


@dataclass(frozen=True)
class Scale:
    """A named size of the image experiments.

    Parameters
    ----------
    name, title : str
    datasets : mapping of str to dict
        For each image set the fields of its `ImageRunSpec`.
    augmenters : tuple of str
        Methods; DeepSMOTE, the dearest, for the sets in `deepsmote` alone.
    seeds : tuple of int
        Repetitions: each draws its own images (`subset_seed`) and its own training.
    deepsmote : tuple of str
        Sets for which DeepSMOTE is run.
    """

    name: str
    title: str
    datasets: Mapping[str, Mapping[str, Any]]
    augmenters: tuple[str, ...]
    seeds: tuple[int, ...]
    deepsmote: tuple[str, ...]


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        scale.name: scale
        for scale in (
            Scale(
                "quick",
                "embedded digits, minutes on a laptop",
                {
                    "digits_images": {
                        "imbalance_ratio": 10.0,
                        "network": "resnet20",
                        "recipe": "digits",
                        "deepsmote_epochs": 20,
                        "deepsmote_width": 8,
                    }
                },
                ALL,
                (0, 1, 2),
                ("digits_images",),
            ),
            Scale(
                "cpu",
                "real images, reduced: some hours on 2 cores",
                {
                    "cifar10": {
                        "imbalance_ratio": 100.0,
                        "n_max": 1500,
                        "network": "resnet32",
                        "recipe": "short_20",
                    },
                    "miniplaces": {
                        "classes": MINIPLACES,
                        "size": 32,
                        "imbalance_ratio": 20.0,
                        "n_max": 500,
                        "network": "resnet20",
                        "recipe": "short_30",
                    },
                    "tiny_imagenet_taxa": {
                        "imbalance": "natural",
                        "n_max": 500,
                        "network": "resnet20",
                        "recipe": "short_30",
                    },
                },
                ALL,
                (0, 1, 2),
                ("cifar10",),
            ),
            Scale(
                "paper",
                "as the paper: 200 epochs, on a GPU",
                {
                    "cifar10": {"imbalance_ratio": 100.0, "n_max": 5000, "network": "resnet32"},
                    "miniplaces": {
                        "classes": MINIPLACES,
                        "imbalance_ratio": 20.0,
                        "n_max": 900,
                        "network": "resnet56",
                    },
                    "tiny_imagenet_taxa": {"imbalance": "natural", "network": "resnet56"},
                },
                ALL,
                (0, 1, 2),
                ("cifar10", "miniplaces", "tiny_imagenet_taxa"),
            ),
        )
    }
)


def image_specs(
    scale: str,
    *,
    datasets: Sequence[str] | None = None,
    augmenters: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    **changes: Any,
) -> list[ImageRunSpec]:
    """All runs of a scale, seed by seed, so that a grid cut short has whole repetitions.

    Parameters
    ----------
    scale : str
        Name in `SCALES`.
    datasets, augmenters, seeds : sequence, optional
        The scale's own when not given; ``"paper"`` and ``"all"`` are groups of augmenters. Places and
        iNaturalist have the settings of the sets that stand in for them, with classes of one's own.
    **changes
        Fields that differ from the scale's, for all sets.

    Raises
    ------
    UnknownNameError, SpecError
        For an unknown name or a value out of range.

    Examples
    --------
    >>> specs = image_specs("cpu", augmenters=["paper"])
    >>> len(specs), specs[0].dataset, specs[0].augmenter, specs[-1].seed
    (45, 'cifar10', 'none', 2)
    """
    from cemag.reproduction.datasets import IMAGE_DATASETS

    chosen = SCALES[check_known("scale", scale, SCALES)]
    names = [check_known("image set", name, IMAGE_DATASETS) for name in datasets or chosen.datasets]
    methods = _augmenters(augmenters or chosen.augmenters)
    specs = []
    for seed, name, augmenter in product(seeds or chosen.seeds, names, methods):
        if augmenter == "deepsmote" and augmenters is None and name not in chosen.deepsmote:
            continue
        settings = _settings(chosen, name)
        settings |= {"dataset": name, "augmenter": augmenter, "seed": seed, "subset_seed": seed}
        specs.append(ImageRunSpec.parse(settings | changes))
    return specs


def _settings(scale: Scale, name: str) -> dict[str, Any]:
    """The scale's own settings of a set; else those of what stands in for it, or of another scale."""
    if name in LIKE:
        known = scale.datasets.get(LIKE[name], {})
        return {field: value for field, value in known.items() if field != "classes"}
    known = next((s.datasets[name] for s in (scale, *SCALES.values()) if name in s.datasets), {})
    return dict(known)


def scale_of(spec: ImageRunSpec) -> str:
    """Return the scale that a run belongs to, or ``"own settings"``.

    Examples
    --------
    >>> spec = image_specs("cpu")[0]
    >>> scale_of(spec), scale_of(spec.with_(n_max=900))
    ('cpu', 'own settings')
    """
    return next((name for name in SCALES if spec.key in _keys(name)), "own settings")


@lru_cache
def _keys(scale: str) -> frozenset[str]:
    return frozenset(spec.key for spec in image_specs(scale, augmenters=["all"]))


def _augmenters(names: Sequence[str]) -> list[str]:
    from cemag.samplers import IMAGE_AUGMENTERS

    groups = {"paper": PAPER_IMAGE_AUGMENTERS, "all": ALL}
    chosen: list[str] = []
    for name in names:
        check_known("augmenter", name, [*IMAGE_AUGMENTERS, *groups])
        chosen += groups.get(name, (name,))
    return list(dict.fromkeys(chosen))
