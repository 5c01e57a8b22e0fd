"""Executed copies of notebooks, and whether each still holds.

A copy holds only while the notebook, its parameters, the package's source, the versions of what is installed
and every run record that it read are unchanged. Jupyter's own cache watches the notebook alone.
"""

from __future__ import annotations

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

from cemag.files import written_whole
from cemag.reproduction.publishing.notebooks import TextNotebook

__all__ = ["Cache", "dependencies_digest"]

REASONS = {
    "notebook": "the notebook changed",
    "parameters": "its parameters changed",
    "package": "the package changed",
    "dependencies": "a dependency changed",
    "data": "CEMAG_DATA changed",
    "published": "a record was published or withdrawn",
}
NOT_RUN_BY_NOTEBOOKS = ("cli", "publishing")
MAKES_THE_COPIES = ("publishing/execution.py", "publishing/notebooks.py")


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
            if not self.copy(notebook).is_file():
                return "never run"
        except (OSError, ValueError):
            return "never run"
        for name, value in self.inputs(notebook, parameters).items():
            if manifest.get(name) != value:
                return REASONS[name]
        changed = any(_file_digest(Path(path)) != digest for path, digest in manifest["records"].items())
        return "a record changed" if changed else None

    def forget(self, notebook: TextNotebook) -> None:
        """Remove a copy, so that a failing notebook leaves none."""
        self._manifest(notebook).unlink(missing_ok=True)
        self.copy(notebook).unlink(missing_ok=True)

    def keep(self, notebook: TextNotebook, made_from: Mapping[str, str], executed: Path, reads: Path) -> None:
        """Take over an executed copy and write down what it was made from: `inputs`, before it ran."""
        lines = reads.read_text(encoding="utf-8").splitlines() if reads.is_file() else []
        entries = [json.loads(line) for line in lines]
        manifest = {
            **made_from,
            "records": {entry["path"]: entry["sha256"] for entry in entries},
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.move(executed, self.copy(notebook))
        with written_whole(self._manifest(notebook)) as scratch:
            scratch.write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def inputs(self, notebook: TextNotebook, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return a digest of each thing, records aside, that an execution depends on."""
        return {
            "notebook": _digest(notebook.text),
            "parameters": _digest(json.dumps(parameters, sort_keys=True, default=str)),
            "package": self._package_digest,
            "dependencies": dependencies_digest(),
            "data": os.environ.get("CEMAG_DATA", ""),
            "published": self._published_digest,
        }

    @cached_property
    def _published_digest(self) -> str:
        """Digest of which records there are: one that was missing when a notebook ran was not read."""
        results = self.package.parent / "results"
        return _digest("\n".join(sorted(path.name for path in results.rglob("*.parquet"))))

    @cached_property
    def _package_digest(self) -> str:
        found = hashlib.sha256()
        for path in sorted(self.package.rglob("*.py")):
            inside = path.relative_to(self.package)
            matters = inside.parts[0] not in NOT_RUN_BY_NOTEBOOKS or inside.as_posix() in MAKES_THE_COPIES
            if matters and not path.name.startswith("test_"):
                found.update(inside.as_posix().encode() + b"\0" + path.read_bytes())
        return found.hexdigest()


@cache
def dependencies_digest() -> str:
    """Digest of the versions of Python and of all that is installed beside it."""
    installed = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()})
    return _digest("\n".join([platform.python_version(), *installed]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
