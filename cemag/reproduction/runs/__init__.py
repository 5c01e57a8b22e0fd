"""From a specification to a stored record: one run, and grids of them.

`RunSpec` or `ImageRunSpec` -> `run` -> `RunRecord` -> `RunStore`. Writes only inside the
store that it is given, and checkpoints of networks in a folder of their own.
"""

from cemag.reproduction.runs.execute import run
from cemag.reproduction.runs.grid import GridResult, grid_specs, run_grid
from cemag.reproduction.runs.image_spec import NETWORKS, AnySpec, ImageRunSpec, parse_spec, read_spec
from cemag.reproduction.runs.record import RECORD_VERSION, Provenance, RunRecord
from cemag.reproduction.runs.scales import PAPER_IMAGE_AUGMENTERS, SCALES, Scale, image_specs, scale_of
from cemag.reproduction.runs.spec import RunSpec
from cemag.reproduction.runs.store import RunStore, default_store, published_store
from cemag.reproduction.runs.study import Study, image_study, open_study, published_studies, tabular_study

__all__ = [
    "NETWORKS",
    "PAPER_IMAGE_AUGMENTERS",
    "RECORD_VERSION",
    "SCALES",
    "AnySpec",
    "GridResult",
    "ImageRunSpec",
    "Provenance",
    "RunRecord",
    "RunSpec",
    "RunStore",
    "Scale",
    "Study",
    "default_store",
    "grid_specs",
    "image_specs",
    "image_study",
    "open_study",
    "parse_spec",
    "published_store",
    "published_studies",
    "read_spec",
    "run",
    "run_grid",
    "scale_of",
    "tabular_study",
]
