"""Execute notebooks with papermill, each in a process of its own, re-using what is unchanged."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

from cemag.errors import CemagError, NotebookError, extra
from cemag.reproduction.publishing.cache import Cache
from cemag.reproduction.publishing.notebooks import TextNotebook

with extra("book"):
    import nbformat

__all__ = ["execute_all", "execute_one"]

READS_VARIABLE = "CEMAG_READS"
Report = Callable[[str], None]


def execute_all(
    notebooks: Sequence[TextNotebook],
    parameters: Mapping[str, Mapping[str, Any]],
    cache: Cache,
    *,
    jobs: int,
    force: bool,
    report: Report,
) -> tuple[list[str], list[str]]:
    """Bring the executed copy of every notebook up to date.

    Returns
    -------
    executed, reused : lists of str
        Names of the notebooks that ran, and of those whose copy still held.

    Raises
    ------
    NotebookError
        If one failed, naming its cell. Those already running finish, and keep their copies.
    """
    if not force and not any(cache.stale(n, parameters[n.name]) for n in notebooks):
        return [], [notebook.name for notebook in notebooks]
    from cemag.reproduction.runs.local import (
        LocalExecutor,  # takes seconds to import, and an unchanged book needs none
    )

    executed: list[str] = []
    reused: list[str] = []
    waiting = {notebook.name: notebook for notebook in notebooks}
    running: dict[Future[None], TextNotebook] = {}
    failures: list[BaseException] = []
    with LocalExecutor(jobs) as pool:
        while (waiting and not failures) or running:
            unfinished = {*waiting, *(notebook.name for notebook in running.values())}
            ready = [n for n in waiting.values() if not failures and unfinished.isdisjoint(n.after)]
            for notebook in ready:
                del waiting[notebook.name]
                # asked only now: those that it runs after may have changed records that it reads
                reason = "forced" if force else cache.stale(notebook, parameters[notebook.name])
                if reason is None:
                    reused.append(notebook.name)
                    continue
                report(f"running {notebook.path.name} ({reason})")
                # taken now: an edit made while the notebook runs must not pass for what it ran with
                made_from = cache.inputs(notebook, parameters[notebook.name])
                call = (_execute_into, cache, notebook, parameters[notebook.name], made_from)
                running[pool.submit(*call)] = notebook
            if not running:
                continue
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                notebook = running.pop(done)
                if error := done.exception():
                    failures.append(_blame(notebook, error))
                else:
                    executed.append(notebook.name)
        if failures:  # within the pool, so that it is stopped and not waited for: it may be broken
            raise failures[0]
    return executed, reused


def _blame(notebook: TextNotebook, error: BaseException) -> CemagError:
    """Return an error that names its notebook, also where the process died rather than the notebook."""
    if isinstance(error, CemagError):
        return error
    return NotebookError(f"{notebook.path.name}: its process ended ({type(error).__name__}: {error})")


def _execute_into(
    cache: Cache, notebook: TextNotebook, parameters: Mapping[str, Any], made_from: Mapping[str, str]
) -> None:
    from cemag.charts.renderer import BOOK_VARIABLE

    cache.forget(notebook)
    with tempfile.TemporaryDirectory() as folder:
        reads = Path(folder) / "reads"
        output = Path(folder) / "executed.ipynb"
        execute_one(notebook, parameters, output, {READS_VARIABLE: str(reads), BOOK_VARIABLE: "1"})
        cache.keep(notebook, made_from, output, reads)


def execute_one(
    notebook: TextNotebook, parameters: Mapping[str, Any], output: Path, variables: Mapping[str, str]
) -> None:
    """Execute one notebook to a file.

    Parameters
    ----------
    notebook : TextNotebook
    parameters : mapping
        Checked already; lists and numbers as YAML has them.
    output : Path
        Written when the notebook ran to its end.
    variables : mapping of str to str
        Added to the environment, of this process and so of its kernel.

    Raises
    ------
    NotebookError
        With the file, the cell's number and first line, and the error.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    node = notebook.read()
    os.environ.update(variables)
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of annotations that it cannot read
    try:
        executed = papermill.execute_notebook(
            node,
            None,
            parameters=dict(parameters),
            cwd=str(notebook.path.parent),
            progress_bar=False,
            kernel_manager_class=_kernel_of_this_interpreter(),
        )
    except PapermillExecutionError as error:
        if os.environ.get("CEMAG_TRACEBACK"):
            print("\n".join(error.traceback), file=sys.stderr)
        raise NotebookError(_describe(notebook, error, injected=bool(parameters))) from None
    except Exception as error:  # the kernel did not start, or died
        raise NotebookError(f"{notebook.path.name}: {type(error).__name__}: {error}") from None
    _without_injection_noise(executed)
    nbformat.write(executed, output)


def _kernel_of_this_interpreter() -> type:
    """Return a manager that starts this interpreter, whatever kernels a user has installed."""
    from jupyter_client.manager import AsyncKernelManager

    class ThisInterpreter(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]
            return [*command, "--IPKernelApp.log_level=CRITICAL", *(extra_arguments or [])]

    return ThisInterpreter


def _without_injection_noise(executed: Any) -> None:
    """Fold the injected parameters cell away on the rendered page."""
    for cell in executed.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("hide-input")
            cell.metadata["mystnb"] = {"code_prompt_show": "Parameters of this build"}


def _describe(notebook: TextNotebook, error: Any, *, injected: bool) -> str:
    source = str(error.source).strip().splitlines()
    first = source[0] if source else ""
    number = error.cell_index + 1 - (injected and _is_after_parameters(notebook, error.cell_index))
    text = f"{notebook.path.name}, cell {number} ({first!r}): {error.ename}: {error.evalue}"
    return " ".join(text.split())


def _is_after_parameters(notebook: TextNotebook, index: int) -> bool:
    """Whether papermill's index also counts the cell that it injects, which the file does not have."""
    cells = notebook.read().cells
    declared = next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    return index > declared
