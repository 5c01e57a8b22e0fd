"""The names that a grid or a notebook may be given for sets of data sets and augmenters."""

from __future__ import annotations

from collections.abc import Sequence

from cemag.errors import check_known

__all__ = ["PAPER_AUGMENTERS", "choose_augmenters", "choose_datasets"]

PAPER_AUGMENTERS = ("none", "ros", "smote", "adasyn", "remix", "class_weight")


def choose_datasets(names: Sequence[str]) -> list[str]:
    """Replace ``quick`` by the embedded data sets and ``paper`` by the paper's, and check the rest.

    Examples
    --------
    >>> choose_datasets(["quick", "scene"])
    ['breast_cancer', 'digits', 'scene']
    """
    from cemag.reproduction.datasets import DATASETS

    groups = {
        "quick": [name for name, info in DATASETS.items() if info.embedded],
        "paper": [name for name, info in DATASETS.items() if not info.embedded],
    }
    return _expand("data set", names, groups, list(DATASETS))


def choose_augmenters(names: Sequence[str]) -> list[str]:
    """Replace ``paper`` by the six of the paper's tabular experiments, and check the rest.

    Examples
    --------
    >>> choose_augmenters(["none", "paper"])
    ['none', 'ros', 'smote', 'adasyn', 'remix', 'class_weight']
    """
    from cemag.samplers import AUGMENTERS

    return _expand("augmenter", names, {"paper": list(PAPER_AUGMENTERS)}, list(AUGMENTERS))


def _expand(kind: str, names: Sequence[str], groups: dict[str, list[str]], known: list[str]) -> list[str]:
    chosen: list[str] = []
    for name in names:
        check_known(kind, name, [*known, *groups])
        chosen += groups.get(name, [name])
    return list(dict.fromkeys(chosen))
