"""Which runs are published together, and how complete ones move from a working store into those files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from cemag.errors import StoreError
from cemag.reproduction.runs.grid import grid_specs
from cemag.reproduction.runs.image_spec import AnySpec
from cemag.reproduction.runs.published import PublishedStore, write_published
from cemag.reproduction.runs.scales import (
    MOVED_THRESHOLDS,
    PAPER_IMAGE_AUGMENTERS,
    authors_specs,
    image_specs,
    shuffled_label_specs,
)
from cemag.reproduction.runs.selection import PAPER_AUGMENTERS, choose_datasets
from cemag.reproduction.runs.store import RunStore

__all__ = ["Published", "publish", "published_groups"]

SCALE = "cpu"  # the scale of the plan
TABULAR = (*PAPER_AUGMENTERS, "threshold")
N_SPLITS = 5


@dataclass
class Published:
    """What became of the records of a working store.

    Attributes
    ----------
    written : list of Path
    moved : int
        Records that are published now and no longer in the working store.
    incomplete : dict of str to int
        Name of each file that would hold some of the records, and how many of its runs are missing.
    unplanned : list of str
        Keys of records that no published file is to hold.
    """

    written: list[Path] = field(default_factory=list)
    moved: int = 0
    incomplete: dict[str, int] = field(default_factory=dict)
    unplanned: list[str] = field(default_factory=list)


def published_groups() -> dict[str, list[AnySpec]]:
    """Runs of each published file, by its name: family, set and repetition; what is beside them

    Examples
    --------
    >>> groups = published_groups()
    >>> [spec.augmenter for spec in groups["svm-scene-0"]][-2:], len(groups["cnn-miniplaces-3-others"])
    (['class_weight', 'threshold'], 3)
    """
    groups: dict[str, list[AnySpec]] = {}
    for model, name in product(("logistic", "svm"), choose_datasets(["paper"])):
        for spec in grid_specs([name], [model], TABULAR, n_splits=N_SPLITS):
            groups.setdefault(f"{model}-{name}-{spec.split}", []).append(spec)
            if model == "logistic":
                unscaled = spec.with_(standardise=False)
                groups.setdefault(f"{model}-{name}-{spec.split}-unscaled", []).append(unscaled)
    core = {*PAPER_IMAGE_AUGMENTERS, *MOVED_THRESHOLDS}
    for image_spec in (*image_specs(SCALE), *shuffled_label_specs(SCALE)):
        of_core = image_spec.augmenter in core and image_spec.labels == "own"
        name = f"cnn-{image_spec.dataset}-{image_spec.seed}{'' if of_core else '-others'}"
        groups.setdefault(name, []).append(image_spec)
    groups["authors-cifar10-0"] = list(authors_specs())
    return groups


def publish(store: RunStore, into: Path, *, keep: bool = False) -> Published:
    """Move every complete group of a working store into the published files.

    Parameters
    ----------
    store : RunStore
    into : path
        Folder of the published records.
    keep : bool, default=False
        Leave the records in the working store as well.

    Raises
    ------
    StoreError
        If a file is there already with other runs or other values; nothing of it is changed.

    Examples
    --------
    >>> publish(RunStore("no/such/folder"), Path("nowhere")).moved
    0
    """
    result, known = Published(), set()
    for name, specs in published_groups().items():
        known |= {spec.key for spec in specs}
        here = [spec for spec in specs if spec in store]
        if not here:
            continue
        there = PublishedStore(into)
        missing = [spec for spec in specs if spec not in store and spec not in there]
        if missing:
            result.incomplete[name] = len(missing)
            continue
        records = [(store if spec in store else there).get(spec) for spec in specs]
        result.written += write_published(records, name, into)
        result.moved += len(here)
        _verify(here, store, PublishedStore(into))
        for spec in [] if keep else here:
            store.path(spec).unlink()
    result.unplanned = [key for key in store.keys() if key not in known]  # noqa: SIM118 - a method
    return result


def _verify(specs: Sequence[AnySpec], store: RunStore, there: PublishedStore) -> None:
    """Before a record leaves the working store: is every value of it published?"""
    for spec in specs:
        if there.get(spec).digest != store.get(spec).digest:
            raise StoreError(f"{there.path(spec)}: {spec.key} reads back otherwise than it was written")
