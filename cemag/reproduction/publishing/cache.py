"""Executed copies of notebooks, and whether each still holds.

A copy holds only while it is as it was written, and the notebook, its parameters, the package (its data files
included; comments and docstrings aside), the versions of what is installed and every stored file that it read
are unchanged. Jupyter's own cache watches the notebook alone.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from cemag.files import file_digest, written_whole
from cemag.reproduction.publishing.notebooks import TextNotebook

__all__ = ["Cache", "altered_copies", "dependencies"]

NOT_RUN_BY_NOTEBOOKS = ("cli", "publishing")
MAKES_THE_COPIES = ("publishing/execution.py", "publishing/notebooks.py")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Inputs = Mapping[str, Any]


class Cache:
    """A folder of executed copies, each with a manifest of what it was made from.

    Parameters
    ----------
    folder : Path
    package : Path
        The package's source.
    """

    def __init__(self, folder: Path, package: Path) -> None:
        self.folder = folder
        self.package = package

    def copy(self, notebook: TextNotebook) -> Path:
        """Where the executed copy of a notebook lies."""
        return self.folder / f"{notebook.name}.ipynb"

    def _manifest(self, notebook: TextNotebook) -> Path:
        return self.folder / f"{notebook.name}.json"

    def stale(self, notebook: TextNotebook, parameters: Mapping[str, Any]) -> str | None:
        """Say why a notebook has to run again; None while its copy holds."""
        try:
            manifest = json.loads(self._manifest(notebook).read_text(encoding="utf-8"))
            read, copied = dict(manifest["records"]), manifest["copy"]
        except (OSError, ValueError, LookupError, TypeError):
            return "never run"
        if not self.copy(notebook).is_file():
            return "never run"
        if reason := _difference(manifest, self.inputs(notebook, parameters)):
            return reason
        if changed := [path for path, digest in read.items() if file_digest(Path(path)) != digest]:
            return f"{self._inside(Path(changed[0]))} changed"
        return None if file_digest(self.copy(notebook)) == copied else "its executed copy was altered"

    def _inside(self, path: Path) -> Path:
        root = self.package.parent
        return path.relative_to(root) if path.is_relative_to(root) else path

    def forget(self, notebook: TextNotebook) -> None:
        """Remove a copy, so that a failing notebook leaves none."""
        self._manifest(notebook).unlink(missing_ok=True)
        self.copy(notebook).unlink(missing_ok=True)

    def keep(self, notebook: TextNotebook, made_from: Inputs, executed: Path, reads: Path) -> None:
        """Take over an executed copy and write down what it was made from: `inputs`, before it ran."""
        lines = reads.read_text(encoding="utf-8").splitlines() if reads.is_file() else []
        entries = [json.loads(line) for line in lines]
        manifest = {
            **made_from,
            "records": {entry["path"]: entry["sha256"] for entry in entries},
            "copy": file_digest(executed),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.move(executed, self.copy(notebook))
        with written_whole(self._manifest(notebook)) as scratch:
            scratch.write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def inputs(self, notebook: TextNotebook, parameters: Mapping[str, Any]) -> Inputs:
        """Return each thing, stored files that it reads aside, that an execution depends on."""
        return {
            "notebook": _digest(notebook.text),
            "parameters": json.dumps(parameters, sort_keys=True, default=str),
            "package": self._package,
            "dependencies": dependencies(),
            "data": os.environ.get("CEMAG_DATA", ""),
            "published": self._published,
        }

    @cached_property
    def _published(self) -> list[str]:
        """Which stored files there are: one that was missing when a notebook ran was not read."""
        results = self.package.parent / "results"
        return sorted(path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file())

    @cached_property
    def _package(self) -> dict[str, str]:
        """Digest of each file of the package that a notebook may run or read."""
        found = {}
        for path in sorted(self.package.rglob("*")):
            inside = path.relative_to(self.package)
            matters = inside.parts[0] not in NOT_RUN_BY_NOTEBOOKS or inside.as_posix() in MAKES_THE_COPIES
            left_out = path.name.startswith(("test_", ".")) or "__pycache__" in inside.parts
            if matters and not left_out and path.is_file():
                found[f"{self.package.name}/{inside.as_posix()}"] = _digest(_meaning(path))
        return found


def altered_copies(folder: Path) -> list[str]:
    """Executed copies in a folder of a `Cache` that are not as they were written, or are gone."""
    found = []
    for manifest in sorted(folder.glob("*.json")):
        copy = manifest.with_suffix(".ipynb")
        try:
            written = json.loads(manifest.read_text(encoding="utf-8"))["copy"]
        except (OSError, ValueError, LookupError, TypeError):
            written = None
        if written is None or file_digest(copy) != written:
            found.append(copy.name)
    return found


def _difference(then: Inputs, now: Inputs) -> str | None:
    """Name the first thing that is not as it was."""
    for name, words in (("notebook", "the notebook"), ("parameters", "its parameters")):
        if then.get(name) != now[name]:
            return f"{words} changed"
    for name in ("package", "dependencies"):
        if changed := _changed(then.get(name), now[name]):
            return f"{changed} changed"
    if then.get("data") != now["data"]:
        return "CEMAG_DATA changed"
    listed = set(now["published"]) ^ set(then.get("published") or [])
    return f"results/{min(listed)} was published or withdrawn" if listed else None


def _changed(then: Any, now: Mapping[str, str]) -> str | None:
    then = then if isinstance(then, dict) else {}
    return min((name for name in {*then, *now} if then.get(name) != now.get(name)), default=None)


def _meaning(path: Path) -> str:
    """What a file says: of Python, the syntax tree without docstrings; of others, the content."""
    content = path.read_bytes()
    if path.suffix == ".py":
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            return content.hex()
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:]
        return ast.dump(tree)
    return content.hex()


@cache
def dependencies() -> dict[str, str]:
    """Versions of Python and of all that is installed beside it."""
    return {"Python": platform.python_version()} | {d.metadata["Name"]: d.version for d in distributions()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
