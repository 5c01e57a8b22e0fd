"""From a specification to a stored record: one run, and grids of them.

`RunSpec` or `ImageRunSpec` -> `run` -> `RunRecord` -> `RunStore`, and once complete -> `PublishedStore`.
Writes only inside the store that it is given, and checkpoints of networks in a folder of their own.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cemag.reproduction.runs.evidence import centre_of, factors_of, training_view
    from cemag.reproduction.runs.execute import run
    from cemag.reproduction.runs.explorable import Explorable, explorables
    from cemag.reproduction.runs.grid import GridResult, grid_specs, run_grid
    from cemag.reproduction.runs.image_spec import NETWORKS, AnySpec, ImageRunSpec, parse_spec, read_spec
    from cemag.reproduction.runs.keyed import KeyedRecords, RunSummary, project_root
    from cemag.reproduction.runs.publication import Published, publish, published_groups
    from cemag.reproduction.runs.published import (
        PublishedStore,
        published_classes,
        published_instances,
        published_required,
        published_store,
    )
    from cemag.reproduction.runs.record import Provenance, RunRecord
    from cemag.reproduction.runs.scales import (
        MOVED_THRESHOLDS,
        PAPER_IMAGE_AUGMENTERS,
        SCALES,
        Scale,
        authors_specs,
        image_specs,
        scale_of,
        shuffled_label_specs,
    )
    from cemag.reproduction.runs.spec import RECORD_VERSION, RunSpec
    from cemag.reproduction.runs.store import RunStore, default_store
    from cemag.reproduction.runs.study import (
        Study,
        image_study,
        open_study,
        published_studies,
        tabular_study,
    )

# the command line lists records without what computes them
_HOMES = {
    "evidence": ["centre_of", "factors_of", "training_view"],
    "execute": ["run"],
    "explorable": ["Explorable", "explorables"],
    "grid": ["GridResult", "grid_specs", "run_grid"],
    "image_spec": ["NETWORKS", "AnySpec", "ImageRunSpec", "parse_spec", "read_spec"],
    "keyed": ["KeyedRecords", "RunSummary", "project_root"],
    "publication": ["Published", "publish", "published_groups"],
    "published": [
        "PublishedStore",
        "published_classes",
        "published_instances",
        "published_required",
        "published_store",
    ],
    "record": ["Provenance", "RunRecord"],
    "scales": [
        *("MOVED_THRESHOLDS", "PAPER_IMAGE_AUGMENTERS", "SCALES", "Scale"),
        *("authors_specs", "image_specs", "scale_of", "shuffled_label_specs"),
    ],
    "spec": ["RECORD_VERSION", "RunSpec"],
    "store": ["RunStore", "default_store"],
    "study": ["Study", "image_study", "open_study", "published_studies", "tabular_study"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "MOVED_THRESHOLDS",
    "NETWORKS",
    "PAPER_IMAGE_AUGMENTERS",
    "RECORD_VERSION",
    "SCALES",
    "AnySpec",
    "Explorable",
    "GridResult",
    "ImageRunSpec",
    "KeyedRecords",
    "Provenance",
    "Published",
    "PublishedStore",
    "RunRecord",
    "RunSpec",
    "RunStore",
    "RunSummary",
    "Scale",
    "Study",
    "authors_specs",
    "centre_of",
    "default_store",
    "explorables",
    "factors_of",
    "grid_specs",
    "image_specs",
    "image_study",
    "open_study",
    "parse_spec",
    "project_root",
    "publish",
    "published_classes",
    "published_groups",
    "published_instances",
    "published_required",
    "published_store",
    "published_studies",
    "read_spec",
    "run",
    "run_grid",
    "scale_of",
    "shuffled_label_specs",
    "tabular_study",
    "training_view",
]


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"cemag.reproduction.runs.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'cemag.reproduction.runs' has no attribute {name!r}")
