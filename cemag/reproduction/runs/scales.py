"""How large an image experiment is: for a minute, for some hours, or for a GPU. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from cemag.errors import check_known
from cemag.reproduction.runs.image_spec import ImageRunSpec

__all__ = [
    "AUTHORS",
    "MOVED_THRESHOLDS",
    "PAPER_IMAGE_AUGMENTERS",
    "SCALES",
    "Scale",
    "authors_specs",
    "image_specs",
    "scale_of",
    "shuffled_label_specs",
]

PAPER_IMAGE_AUGMENTERS = ("none", "ros", "remix", "dsm", "eos")
MOVED_THRESHOLDS = ("threshold", "tau_norm", "crt")
OTHERS = ("rebalanced_mixup", "eos_published_code", "deepsmote")
ALL = (*PAPER_IMAGE_AUGMENTERS, *MOVED_THRESHOLDS, *OTHERS)
AUTHORS = ("none", "eos", "threshold", "tau_norm")  # as trained, published EOS head, bias moved, normalised
N_OTHERS = 3  # repetitions of the other methods, and of networks trained on shuffled labels
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
    seeds : dict of str to tuple of int
        Repetitions of each set: each draws its own images (`subset_seed`) and its own training. The paper's
        methods and the moved thresholds have all of them, the others the first three.
    deepsmote : tuple of str
        Sets for which DeepSMOTE, the dearest, is run.
    """

    name: str
    title: str
    datasets: Mapping[str, Mapping[str, Any]]
    seeds: Mapping[str, tuple[int, ...]]
    deepsmote: tuple[str, ...]

    def seeds_of(self, dataset: str, augmenter: str, labels: str = "own") -> tuple[int, ...]:
        """Repetitions of a method on a set; of a set that is not the scale's, those of its first one.

        Examples
        --------
        >>> len(SCALES["cpu"].seeds_of("cifar10", "eos")), len(SCALES["cpu"].seeds_of("cifar10", "deepsmote"))
        (12, 3)
        """
        of_set = self.seeds.get(LIKE.get(dataset, dataset), next(iter(self.seeds.values())))
        if augmenter == "deepsmote" and dataset not in self.deepsmote:
            return ()
        return of_set[:N_OTHERS] if augmenter in OTHERS or labels == "shuffled" else of_set


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
                {"digits_images": (0, 1, 2)},
                ("digits_images",),
            ),
            Scale(
                "cpu",
                "real images, reduced: some hours on 2 cores",
                {
                    "cifar10": {
                        "imbalance_ratio": 30.0,  # at 100:1 the smallest class would have 15 images
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
                {
                    "cifar10": tuple(range(12)),
                    "miniplaces": tuple(range(3, 15)),
                    "tiny_imagenet_taxa": tuple(range(3, 15)),
                },
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
                dict.fromkeys(("cifar10", "miniplaces", "tiny_imagenet_taxa"), (0, 1, 2)),
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
    """All runs of a scale, repetition by repetition, so that a grid cut short has whole ones.

    Parameters
    ----------
    scale : str
        Name in `SCALES`.
    datasets, augmenters, seeds : sequence, optional
        The scale's own when not given; ``"paper"``, ``"moved"`` and ``"all"`` are groups of augmenters.
        Places and iNaturalist have the settings of the sets that stand in for them, with classes of one's
        own. A method that is asked for by name has all of the seeds that are asked for.
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
    (180, 'cifar10', 'none', 14)
    """
    from cemag.reproduction.datasets import IMAGE_DATASETS

    chosen = SCALES[check_known("scale", scale, SCALES)]
    names = [check_known("image set", name, IMAGE_DATASETS) for name in datasets or chosen.datasets]
    methods = _augmenters(augmenters or ["all"])

    def of(name: str, method: str) -> Sequence[int]:
        own = chosen.seeds_of(name, method)
        if seeds is None:
            return own or (chosen.seeds_of(name, "none")[:N_OTHERS] if augmenters else ())
        return seeds if augmenters or own else ()

    cells = [
        (place, name, method, seed)
        for name in names
        for method in methods
        for place, seed in enumerate(of(name, method))
    ]
    return [
        ImageRunSpec.parse(
            _settings(chosen, name)
            | {"dataset": name, "augmenter": method, "seed": seed, "subset_seed": seed}
            | changes
        )
        for _, name, method, seed in sorted(cells, key=lambda cell: cell[0])
    ]


def shuffled_label_specs(scale: str, **choices: Any) -> list[ImageRunSpec]:
    """Runs of a scale on shuffled labels: the null of a network that learns nothing of them.

    Examples
    --------
    >>> specs = shuffled_label_specs("cpu", datasets=["miniplaces"])
    >>> [spec.seed for spec in specs], specs[0].labels
    ([3, 4, 5], 'shuffled')
    """
    specs = image_specs(scale, augmenters=["none"], **choices)
    return [
        spec.with_(labels="shuffled")
        for spec in specs
        if spec.seed in SCALES[scale].seeds_of(spec.dataset, "none", "shuffled")
    ]


def authors_specs() -> list[ImageRunSpec]:
    """Runs on the network that the paper's first author published: its own head and others.

    Examples
    --------
    >>> [spec.augmenter for spec in authors_specs()]
    ['none', 'eos', 'threshold', 'tau_norm']
    """
    return image_specs("paper", datasets=["cifar10"], augmenters=AUTHORS, seeds=[0], weights="authors")


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
    return frozenset(spec.key for spec in (*image_specs(scale), *shuffled_label_specs(scale)))


def _augmenters(names: Sequence[str]) -> list[str]:
    from cemag.samplers import IMAGE_AUGMENTERS

    groups = {"paper": PAPER_IMAGE_AUGMENTERS, "moved": MOVED_THRESHOLDS, "all": ALL}
    chosen: list[str] = []
    for name in names:
        check_known("augmenter", name, [*IMAGE_AUGMENTERS, *groups])
        chosen += groups.get(name, (name,))
    return list(dict.fromkeys(chosen))
