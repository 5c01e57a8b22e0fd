"""From a specification to a stored record: one run, and grids of them.

`RunSpec` -> `run` -> `RunRecord` -> `RunStore`. Writes only inside the store that it is given.
"""

from cemag.runs.execute import run
from cemag.runs.grid import GridResult, grid_specs, run_grid
from cemag.runs.record import RECORD_VERSION, Provenance, RunRecord
from cemag.runs.spec import RunSpec
from cemag.runs.store import RunStore, default_store, published_store
from cemag.runs.study import Study, open_study, tabular_study

__all__ = [
    "RECORD_VERSION",
    "GridResult",
    "Provenance",
    "RunRecord",
    "RunSpec",
    "RunStore",
    "Study",
    "default_store",
    "grid_specs",
    "open_study",
    "published_store",
    "run",
    "run_grid",
    "tabular_study",
]
