"""Study: the runs that a chapter asks for, read from the stores, computed where missing, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from cemag.errors import CemagError, SpecError
from cemag.reproduction.runs.grid import grid_specs, run_grid
from cemag.reproduction.runs.image_spec import AnySpec, ImageRunSpec
from cemag.reproduction.runs.keyed import KeyedRecords
from cemag.reproduction.runs.published import published_store
from cemag.reproduction.runs.record import RunRecord
from cemag.reproduction.runs.scales import PAPER_IMAGE_AUGMENTERS, SCALES, image_specs
from cemag.reproduction.runs.selection import PAPER_AUGMENTERS, choose_augmenters, choose_datasets
from cemag.reproduction.runs.store import RunStore, default_store

__all__ = ["Study", "image_study", "open_study", "published_studies", "tabular_study"]

REPETITION = ("dataset", "augmenter", "split", "seed", "subset_seed")  # all other fields set runs apart
BUILD, PUBLISHED = "this build", "published record"


@dataclass(frozen=True, eq=False)
class Study:
    """Records of a set of runs, and which store each came from.

    Attributes
    ----------
    records : tuple of RunRecord
    sources : mapping of key to str
        ``"this build"`` or ``"published record"``.
    not_run : tuple of specifications
        Runs that were asked for, are not stored and were not to be computed.
    """

    records: tuple[RunRecord, ...]
    sources: Mapping[str, str]
    not_run: tuple[AnySpec, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run: what was run, where its record is from, how long it took, its note.

        ``dataset`` names the case that tables, charts and verdicts keep apart: the ``data_set``, and where
        other fields vary in this study (see `dimensions`) their values.
        """
        return pd.DataFrame([self._run_row(record) for record in self.records])

    @cached_property
    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """Fields that vary over the runs of a data set, beside augmenter and repetition, where any does."""
        found: dict[str, dict[str, set[str]]] = {}
        for record in self.records:
            seen = found.setdefault(record.spec.dataset, {})
            for name, value in _fields(record.spec).items():
                seen.setdefault(name, set()).add(repr(value))
        varied = {
            dataset: tuple(name for name, values in seen.items() if len(values) > 1)
            for dataset, seen in found.items()
        }
        return {dataset: names for dataset, names in varied.items() if names}

    def case(self, spec: AnySpec) -> str:
        """The name under which a run's numbers are averaged: its data set, with what varies."""
        fields, varied = _fields(spec), self.dimensions.get(spec.dataset, ())
        return ", ".join([spec.dataset, *(_words(name, fields.get(name)) for name in varied)])

    def table(self, name: str) -> pd.DataFrame:
        """One table of all records, each row with the run that it belongs to.

        Parameters
        ----------
        name : str
            A table of the records, such as ``"required"``. Records without it (only runs of DeepSMOTE
            have a ``"gallery"``) take no part.
        """
        parts = [
            record.tables[name].append_column("key", pa.array([record.spec.key] * len(record.tables[name])))
            for record in self.records
            if name in record.tables
        ]
        if not parts:
            return self.runs.iloc[:0]
        rows = pa.concat_tables(parts).to_pandas()
        runs = self.runs.drop(columns=[c for c in rows.columns if c != "key"], errors="ignore")
        return runs.merge(rows, on="key", validate="one_to_many")

    @property
    def repeats(self) -> str:
        """What a repetition is, in the plural: ``"splits"`` of a table, ``"seeds"`` of a network, or both."""
        of_images = [isinstance(record.spec, ImageRunSpec) for record in self.records]
        return ("seeds" if all(of_images) else "splits or seeds") if any(of_images) else "splits"

    def __add__(self, other: Study) -> Study:
        """Join two studies; a run that is in both counts once."""
        records = {record.spec.key: record for record in (*self.records, *other.records)}
        not_run = {s.key: s for s in (*self.not_run, *other.not_run) if s.key not in records}
        return Study(tuple(records.values()), {**self.sources, **other.sources}, tuple(not_run.values()))

    def _run_row(self, record: RunRecord) -> dict[str, object]:
        spec, origin = record.spec, record.provenance
        return {
            "key": spec.key,
            "dataset": self.case(spec),
            "data_set": spec.dataset,
            "model": spec.model_name,
            "augmenter": spec.augmenter,
            "imbalance_ratio": spec.imbalance_ratio,
            "ratio": _ratio(record),
            "design": "seeds" if isinstance(spec, ImageRunSpec) else "folds",
            "split": spec.repeat,
            "seed": spec.seed,
            "origin": self.sources[spec.key],
            "n_train": origin.n_train,
            "n_synthetic": origin.n_synthetic,
            "n_test": origin.n_test,
            "n_ces": origin.n_ces,
            "n_fitted_ces": origin.n_fitted_ces,
            "fit_seconds": origin.fit_seconds,
            "metric_seconds": origin.metric_seconds,
            "note": origin.note,
        }


def _fields(spec: AnySpec) -> dict[str, Any]:
    """Every field of a specification but those of `REPETITION`, nested ones under a dotted name."""
    flat: dict[str, Any] = {}
    for name, value in spec.model_dump().items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        elif name not in REPETITION:
            flat[name] = value
    return flat


def _words(name: str, value: Any) -> str:
    if name == "imbalance_ratio":
        return "its own ratio" if value is None else f"{value:g}:1"
    return f"{name.replace('model.', '')} {value}"


def _ratio(record: RunRecord) -> float:
    """Training rows of the largest class to those of the smallest, as asked for or as it is by nature."""
    from cemag.reproduction.datasets import get_dataset_info

    spec = record.spec
    if spec.imbalance_ratio is not None:
        return float(spec.imbalance_ratio)
    if not isinstance(spec, ImageRunSpec):
        return float(get_dataset_info(spec.dataset).imbalance_ratio)
    sizes = record.tables["classes"]["n_train"].to_pylist() if "classes" in record.tables else []
    return max(sizes) / min(sizes) if sizes else float("nan")


def open_study(
    specs: Sequence[AnySpec],
    *,
    store: KeyedRecords | None = None,
    published: KeyedRecords | None = None,
    compute: bool = True,
    jobs: int | None = None,
    progress: bool = False,
    device: str = "auto",
) -> Study:
    """Gather the records of some runs: published ones, then stored ones, then computed ones.

    Parameters
    ----------
    specs : sequence of RunSpec and ImageRunSpec
    store : RunStore, optional
        Where new records go; `default_store()` when not given.
    published : KeyedRecords, optional
        Read only; `published_store()` when not given.
    compute : bool, default=True
        Whether to run what is stored nowhere; otherwise it is listed as not run.
    jobs, progress, device
        As for `run_grid`.

    Raises
    ------
    CemagError
        If a run fails, naming it, or a record is damaged.

    Examples
    --------
    >>> from cemag.reproduction.runs import RunSpec
    >>> study = open_study([RunSpec(dataset="breast_cancer")], store=RunStore("none"), compute=False)
    >>> len(study), study.not_run[0].dataset
    (0, 'breast_cancer')
    """
    store = default_store() if store is None else store  # an empty store is false
    published = published_store() if published is None else published
    elsewhere = [spec for spec in specs if spec not in published]
    if compute:
        if not isinstance(store, RunStore):
            raise CemagError(
                f"{store.root}: published records take no runs: give a RunStore, or compute=False"
            )
        failed = run_grid(elsewhere, store, jobs=jobs, progress=progress, device=device).failed
        for spec, reason in failed.items():
            raise CemagError(f"{len(failed)} run(s) failed, the first: {spec.label}: {reason}")
    sources, records, not_run = {}, [], []
    for spec in {spec.key: spec for spec in specs}.values():
        home: KeyedRecords = published if spec in published else store
        if spec not in home:
            not_run.append(spec)
            continue
        records.append(home.get(spec))
        sources[spec.key] = PUBLISHED if home is published else BUILD
    return Study(tuple(records), sources, tuple(not_run))


def image_study(
    scale: str,
    datasets: Sequence[str] | None = None,
    augmenters: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    with_published: bool = True,
    jobs: int | None = None,
    device: str = "auto",
    **changes: Any,
) -> Study:
    """Gather all runs of an image chapter: those of a scale, and the best published ones of each real set.

    Parameters
    ----------
    scale : str
        Name in `SCALES`: what is computed in this build.
    datasets, augmenters, seeds, **changes
        As for `image_specs`; None leaves the scale's own.
    with_published : bool, default=True
        Whether to add what is stored under ``results/``: for each set the largest scale that has a whole
        repetition there.
    jobs, device
        As for `run_grid`.

    Raises
    ------
    CemagError
        For an unknown name or a value out of range, before any work.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    specs = image_specs(scale, datasets=datasets, augmenters=augmenters, seeds=seeds, **changes)
    _with_none(list(dict.fromkeys(spec.augmenter for spec in specs)))
    if with_published:
        published = published_store()
        asked = {spec.dataset for spec in specs}
        for name in sorted({d for s in SCALES.values() for d in s.datasets} - asked):
            specs += _best_published(name, augmenters, published)
    return open_study(specs, jobs=jobs, device=device)


def published_studies() -> dict[str, Study]:
    """Gather what is published, by family of models: the paper's tables, the best of each image set.

    Nothing is computed: what is not stored is listed as not run.
    """
    published = published_store()
    tables = choose_datasets(["paper"])
    specs: dict[str, list[AnySpec]] = {
        model: list(grid_specs(tables, [model], PAPER_AUGMENTERS)) for model in ("logistic", "svm")
    }
    real = dict.fromkeys(name for scale in SCALES.values() for name in scale.datasets)
    specs["cnn"] = [spec for name in real for spec in _best_published(name, None, published)]
    return {
        family: open_study(wanted, store=published, published=published, compute=False)
        for family, wanted in specs.items()
    }


def _best_published(
    dataset: str, augmenters: Sequence[str] | None, published: KeyedRecords
) -> list[ImageRunSpec]:
    """Published runs of a set at the largest scale that has a whole repetition, or at the largest."""
    partial: list[ImageRunSpec] = []
    for scale in reversed(list(SCALES.values())):
        if dataset not in scale.datasets:
            continue
        asked = image_specs(scale.name, datasets=[dataset], augmenters=augmenters)
        stored = [spec for spec in asked if spec in published]
        needed = [spec for spec in asked if augmenters or spec.augmenter in PAPER_IMAGE_AUGMENTERS]
        if {spec.seed for spec in needed} - {spec.seed for spec in needed if spec not in published}:
            return stored
        partial = partial or stored
    return partial


def tabular_study(
    model: str,
    datasets: Sequence[str] = ("quick",),
    augmenters: Sequence[str] = PAPER_AUGMENTERS,
    *,
    imbalance_ratio: float | Sequence[float] | None = None,
    n_splits: int = 5,
    seed: int = 0,
    with_published: bool = True,
    jobs: int | None = None,
) -> Study:
    """Gather all runs of a tabular chapter: those asked for, and the published ones of the paper's five sets.

    Parameters
    ----------
    model : str
        ``"logistic"`` or ``"svm"``.
    datasets, augmenters : sequence of str
        Names, or ``"quick"`` and ``"paper"`` for groups of them.
    imbalance_ratio : float or sequence of float, optional
        Thins the minority of a set whose own ratio is lower; the others stay as they are. Of several, each
        makes a case of its own.
    n_splits, seed, jobs
        As for `RunSpec` and `run_grid`.
    with_published : bool, default=True
        Whether to add what is stored under ``results/`` for the paper's sets.

    Raises
    ------
    CemagError
        For an unknown name or a value out of range, or without ``"none"`` among the augmenters, before any
        work.
    """
    from cemag.reproduction.datasets import get_dataset_info

    chosen = choose_augmenters(augmenters)
    _with_none(chosen)
    fixed: dict[str, Any] = {"n_splits": n_splits, "seeds": [seed]}
    asked = list(imbalance_ratio) if isinstance(imbalance_ratio, Sequence) else [imbalance_ratio]
    specs = []
    for name in choose_datasets(datasets):
        own = get_dataset_info(name).imbalance_ratio
        for ratio in dict.fromkeys(one if one is not None and one > own else None for one in asked or [None]):
            specs += grid_specs([name], [model], chosen, imbalance_ratio=ratio, **fixed)
    if with_published:
        published = published_store()
        specs += [
            s for s in grid_specs(choose_datasets(["paper"]), [model], chosen, **fixed) if s in published
        ]
    return open_study(specs, jobs=jobs)


def _with_none(augmenters: Sequence[str]) -> None:
    if "none" not in augmenters:
        raise SpecError(
            f"augmenters are {', '.join(augmenters)}: 'none' is needed among them, which every chart and "
            "claim holds the others against"
        )
