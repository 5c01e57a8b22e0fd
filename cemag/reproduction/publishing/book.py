"""build_book: check, execute, lay out, render; and run_notebook for one notebook alone."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cemag.errors import NotebookError, SpecError, check_known
from cemag.files import file_digest, refuse_target, written_whole
from cemag.reproduction.publishing.cache import Cache, dependencies
from cemag.reproduction.publishing.execution import execute_all, execute_one
from cemag.reproduction.publishing.notebooks import TextNotebook, find_notebooks, share_parameters
from cemag.reproduction.publishing.profiles import load_profile
from cemag.reproduction.publishing.site import lay_out

__all__ = ["BuildResult", "altered_pages", "build_book", "html_folder", "run_notebook", "why"]


JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # version 1 has no __main__


@dataclass(frozen=True)
class BuildResult:
    """A built book.

    Attributes
    ----------
    index : Path
        The page to open.
    executed, reused : tuple of str
        Notebooks that ran, and those whose executed copy still held.
    rendered : bool
        Whether any page was rendered.
    seconds : float
        Wall time.
    """

    index: Path
    executed: tuple[str, ...]
    reused: tuple[str, ...]
    rendered: bool
    seconds: float


def html_folder(root: Path) -> Path:
    """Where the rendered book of a project lies."""
    return root / "_build" / "site" / "_build" / "html"


def build_book(
    root: Path,
    *,
    profile: str = "quick",
    overrides: Mapping[str, Any] | None = None,
    jobs: int = 2,
    force: bool = False,
    report: Any = print,
) -> BuildResult:
    """Execute the notebooks whose inputs changed and render the book.

    Parameters
    ----------
    root : Path
        The project.
    profile : str, default="quick"
        Named parameters in ``notebooks/profiles``.
    overrides : mapping, optional
        Parameters over those of the profile, for every notebook that declares them.
    jobs : int, default=2
        Notebooks at a time.
    force : bool, default=False
        Run every notebook again, and render every page.
    report : callable, default=print
        Takes a line of progress.

    Raises
    ------
    UnknownNameError, SpecError
        Before anything runs: an unknown profile or parameter, a value of another type.
    NotebookError
        If a notebook fails, or a page does not render without a warning; the same again on the next build.
    """
    start = time.perf_counter()
    notebooks, parameters, cache = _planned(root, profile, overrides)
    site = root / "_build" / "site"
    with _alone(root / "_build", report):
        executed, reused = execute_all(notebooks, parameters, cache, jobs=jobs, force=force, report=report)
        digest = lay_out(root, site, {n.name: cache.copy(n) for n in notebooks}, profile)
        rendered = _render(site, digest + _renderer_digest(), force=force, report=report)
    seconds = time.perf_counter() - start
    index = html_folder(root) / "index.html"
    return BuildResult(index, tuple(executed), tuple(reused), rendered, seconds)


def why(
    root: Path, page: str, *, profile: str = "quick", overrides: Mapping[str, Any] | None = None
) -> str | None:
    """Say why the next build would run a notebook again, or None.

    Raises
    ------
    UnknownNameError, SpecError
        As for `build_book`; or there is no such notebook.
    """
    notebooks, parameters, cache = _planned(root, profile, overrides)
    by_name = {notebook.name: notebook for notebook in notebooks}
    name = check_known("notebook", Path(page).stem, list(by_name))
    return cache.stale(by_name[name], parameters[name])


def _planned(
    root: Path, profile: str, overrides: Mapping[str, Any] | None
) -> tuple[list[TextNotebook], dict[str, dict[str, Any]], Cache]:
    """The notebooks of a project, the checked parameters of each, and where their executed copies lie."""
    notebooks = find_notebooks(root / "notebooks")
    named = load_profile(root / "notebooks" / "profiles", profile)
    parameters = share_parameters(notebooks, named.shared, named.own, overrides)
    return notebooks, parameters, Cache(root / "_build" / "executed" / profile, root / "cemag")


@contextmanager
def _alone(folder: Path, report: Any) -> Iterator[None]:
    """Let one build of a project at a time at its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("waiting for another build of this project")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run_notebook(path: Path, parameters: Mapping[str, Any], output: Path) -> Path:
    """Execute one notebook with other parameters and write it, outputs and all.

    Raises
    ------
    UnknownNameError, SpecError, NotebookError
        As for `build_book`.
    """
    if output.suffix != ".ipynb":
        raise SpecError(f"output is {str(output)!r}: a name that ends in .ipynb is needed")
    refuse_target(output)
    notebook = TextNotebook(path.resolve())
    notebook.check(parameters)
    execute_one(notebook, parameters, output.resolve(), {})
    return output


def _renderer_digest() -> str:
    """Digest of what turns sources into pages: this room, and the versions of what it calls."""
    code = [p for p in sorted(Path(__file__).parent.glob("*.py")) if not p.name.startswith("test_")]
    content = (
        b"".join(path.read_bytes() for path in code) + json.dumps(dependencies(), sort_keys=True).encode()
    )
    return hashlib.sha256(content).hexdigest()


def _render(site: Path, digest: str, *, force: bool, report: Any) -> bool:
    """Have Jupyter Book render the site, every warning an error; False if nothing had changed."""
    stamp = site / "_build" / "rendered.json"
    then, altered = _stamp(stamp), _altered(site)
    if not force and then.get("digest") == digest and not altered:
        report("nothing changed since the last build")
        return False
    _check_version()
    # a failed build must not be mistaken for a finished one by the next
    stamp.unlink(missing_ok=True)
    if force or altered or then.get("digest", digest)[64:] != digest[64:]:
        shutil.rmtree(site / "_build", ignore_errors=True)
    report(f"rendering ({altered[0]} was altered or removed)" if altered else "rendering")
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(site), "-W", "-n", "--keep-going", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not (site / "_build" / "html" / "index.html").is_file():
        shutil.rmtree(site / "_build", ignore_errors=True)
        raise NotebookError(f"the book does not render: {_reasons(done.stdout + done.stderr)}")
    with written_whole(stamp) as scratch:
        scratch.write_text(json.dumps({"digest": digest, "pages": _pages(site)}, indent=1), encoding="utf-8")
    return True


def altered_pages(root: Path) -> list[str]:
    """Rendered files that are no longer as they were rendered, or are gone; none where there is no book."""
    return _altered(root / "_build" / "site")


def _altered(site: Path) -> list[str]:
    then, now = _stamp(site / "_build" / "rendered.json").get("pages", {}), _pages(site)
    return [name for name, digest in then.items() if now.get(name) != digest]


def _stamp(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _pages(site: Path) -> dict[str, str | None]:
    html = site / "_build" / "html"
    files = sorted(path for path in html.rglob("*") if path.is_file())
    return {path.relative_to(html).as_posix(): file_digest(path) for path in files}


def _check_version() -> None:
    """Refuse a Jupyter Book that knows nothing of ``_config.yml``."""
    found = version("jupyter-book")
    if int(found.partition(".")[0]) >= 2:
        raise NotebookError(
            f"jupyter-book {found} is installed, which has no _config.yml: this book needs version 1, "
            'as in pip install "jupyter-book<2"'
        )


def _reasons(log: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)  # Sphinx colours its warnings, into a pipe too
    lines = [line.strip() for line in plain.splitlines()]
    telling = [line for line in lines if "WARNING" in line or "ERROR" in line or "Error" in line]
    return "; ".join((telling or lines[-5:])[:8])
