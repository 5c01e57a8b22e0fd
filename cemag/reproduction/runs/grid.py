"""Grids of runs: whatever is not stored yet is computed, each cell on its own, through one Executor."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from cemag.errors import CemagError, one_line
from cemag.reproduction.runs.image_spec import AnySpec, ImageRunSpec, parse_spec
from cemag.reproduction.runs.spec import RunSpec
from cemag.reproduction.runs.store import RunStore

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["GridResult", "grid_specs", "run_grid"]


LIMIT = {
    "table": 2 * 3600.0,
    "image": 48 * 3600.0,
}  # seconds: a cell that hangs does not stall its grid for ever
LOOK_AGAIN = 1.0  # seconds between two looks at what another grid computes
Cell = Literal["computed", "stored already", "in another's hands"]
SVM_COST = {"none": 1, "class_weight": 1, "rebalanced_mixup": 1, "remix": 4}  # against 2 for the others


@dataclass
class GridResult:
    """What became of a grid.

    Attributes
    ----------
    computed, skipped : list of specifications
        Stored by this call, and found stored already, or by another grid meanwhile.
    failed : dict of specification to str
        Reason, in one line, of each cell that gave no record.
    """

    computed: list[AnySpec] = field(default_factory=list)
    skipped: list[AnySpec] = field(default_factory=list)
    failed: dict[AnySpec, str] = field(default_factory=dict)


def grid_specs(
    datasets: Sequence[str],
    models: Sequence[str],
    augmenters: Sequence[str],
    *,
    n_splits: int = 5,
    seeds: Sequence[int] = (0,),
    **fixed: Any,
) -> list[RunSpec]:
    """All combinations of data sets, models, augmenters, seeds and splits, validated.

    Examples
    --------
    >>> len(grid_specs(["breast_cancer"], ["logistic", "svm"], ["none", "smote"]))
    20
    """
    return [
        RunSpec.parse(
            {
                "dataset": dataset,
                "model": model,
                "augmenter": augmenter,
                "seed": seed,
                "split": split,
                "n_splits": n_splits,
                **fixed,
            }
        )
        for dataset, model, augmenter, seed, split in product(
            datasets, models, augmenters, seeds, range(n_splits)
        )
    ]


def run_grid(
    specs: Iterable[AnySpec],
    store: RunStore,
    *,
    executor: Executor | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    retries: int = 1,
    progress: bool = False,
    device: str = "auto",
) -> GridResult:
    """Compute and store every run of a grid that is not stored yet.

    Parameters
    ----------
    specs : iterable of RunSpec and ImageRunSpec
        The cells; equal ones count once.
    store : RunStore
        Where records are, and where new ones go as each is done: killing a grid costs at most the
        cells that were running, and starting it again goes on where it stopped. Several grids on one store
        share its cells: none is computed twice.
    executor : concurrent.futures.Executor, optional
        Where cells run: ``dask.distributed.Client().get_executor()`` for a cluster that shares the
        store's folder. A pool of `jobs` local processes when not given.
    jobs : int, optional
        Local processes; one a core when not given.
    timeout : float, optional
        Seconds after which a local cell is killed: `LIMIT` when not given, far beyond what any takes.
    retries : int, default=1
        How often a cell whose process died or timed out is tried again. Bad input is not.
    progress : bool, default=False
        Show a bar on standard error.
    device : {"auto", "cpu", "cuda"}
        Where networks are trained.

    Returns
    -------
    GridResult

    Raises
    ------
    CemagError
        Before any work: a data set that is missing or altered, a damaged record among those to skip,
        a GPU that is asked for and absent.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     grid = run_grid(grid_specs(["breast_cancer"], ["logistic"], ["none"]), RunStore(folder), jobs=1)
    >>> len(grid.computed), len(grid.skipped)
    (5, 0)
    """
    unique = {spec.key: spec for spec in specs}
    result = GridResult(skipped=[spec for spec in unique.values() if spec in store])
    for spec in result.skipped:
        store.get(spec)
    missing = sorted((s for s in unique.values() if s not in store), key=_expected_cost, reverse=True)
    if device != "auto" and any(isinstance(spec, ImageRunSpec) for spec in missing):
        from cemag.reproduction.training import choose_device

        choose_device(device)  # first: data may have to be downloaded
    _check_data(missing)
    if not missing:
        return result
    if timeout is None:
        timeout = max(LIMIT["image" if isinstance(spec, ImageRunSpec) else "table"] for spec in missing)
    with _executor(executor, jobs, timeout) as pool, _bar(len(missing), progress) as advance:
        _drain(missing, store, pool, retries, result, advance, device)
    return result


def compute_cell(spec_json: str, store_root: str, device: str = "auto") -> Cell:
    """Compute one run and store it, unless another grid has; this is what travels to a worker.

    A cell in hand is one whose lock is held: the system lets go of it when the process ends, however it ends.
    """
    from filelock import FileLock, Timeout

    from cemag.reproduction.runs.execute import run

    spec, store = parse_spec(json.loads(spec_json)), RunStore(store_root)
    store.root.mkdir(parents=True, exist_ok=True)
    lock = store.root / f".{spec.key}.lock"
    try:
        with FileLock(lock, blocking=False):
            new = spec not in store
            if new:
                store.put(run(spec, device=device))
            with suppress(OSError):  # whoever makes a lock of this name from now on finds the record
                lock.unlink()
            return "computed" if new else "stored already"
    except Timeout:
        return "in another's hands"


def _drain(
    specs: Sequence[AnySpec],
    store: RunStore,
    pool: Executor,
    retries: int,
    result: GridResult,
    advance: Callable[[], None],
    device: str,
) -> None:
    """Submit all cells and collect them; those of lost processes, and in another grid's hands, come again."""
    waiting, lost = list(specs), Counter[str]()
    while waiting:
        cells: dict[Future[Cell], AnySpec] = {
            pool.submit(compute_cell, spec.model_dump_json(), str(store.root.resolve()), device): spec
            for spec in waiting
        }
        waiting, elsewhere = [], []
        for cell in as_completed(cells):
            spec, error = cells[cell], cell.exception()
            lost[spec.key] += error is not None
            if error is not None and not isinstance(error, CemagError) and lost[spec.key] <= retries:
                waiting.append(spec)
                continue
            if error is not None:
                result.failed[spec] = one_line(error) if isinstance(error, CemagError) else _named(error)
            elif (outcome := cell.result()) == "in another's hands":
                elsewhere.append(spec)
                continue
            else:
                (result.computed if outcome == "computed" else result.skipped).append(spec)
            advance()
        if elsewhere and not waiting:
            time.sleep(LOOK_AGAIN)
        waiting += elsewhere


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def _check_data(specs: Iterable[AnySpec]) -> None:
    from cemag.reproduction.datasets import load_images, load_tabular

    tables = {spec.dataset for spec in specs if isinstance(spec, RunSpec)}
    images = {(s.dataset, s.classes, s.size) for s in specs if isinstance(s, ImageRunSpec)}
    for name in sorted(tables):
        load_tabular(name)
    for name, classes, size in sorted(images, key=str):
        load_images(name, classes=classes, size=size)


def _expected_cost(spec: AnySpec) -> float:
    """Order in which to start: the slow cells first, so that none is left for last.

    Image runs keep the order they are given in: what was asked for first is there first.
    """
    from cemag.reproduction.datasets import get_dataset_info

    if isinstance(spec, ImageRunSpec):
        return 0

    n = get_dataset_info(spec.dataset).n_samples
    return n**2 * SVM_COST.get(spec.augmenter, 2) if spec.model.name == "svm" else n


@contextmanager
def _executor(given: Executor | None, jobs: int | None, timeout: float | None) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    from cemag.reproduction.runs.local import LocalExecutor

    with LocalExecutor(jobs or os.cpu_count() or 1, timeout) as pool:
        yield pool


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[], None]]:
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = ("runs", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), "left", TimeRemainingColumn())
    bar: Progress
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task: TaskID = bar.add_task("runs", total=total)
        yield lambda: bar.advance(task)
