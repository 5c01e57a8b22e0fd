"""What a build of the book rests on: commit, versions, time and state of each notebook."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["environment_rows", "notebook_rows"]

PACKAGES = (
    *("cemag", "numpy", "scipy", "scikit-learn", "imbalanced-learn", "torch", "torchvision", "pandas"),
    *("altair", "vl-convert-python", "jupyter-book", "myst-nb", "papermill"),
)


def environment_rows(source: Path, what: str = "environment") -> list[tuple[str, str]]:
    """Name and value of each thing around a build, for a project's folder or one within it.

    Parameters
    ----------
    source : Path
    what : {"environment", "edition"}
        All of them, or only what names this edition of the book.
    """
    repository = os.environ.get("CEMAG_REPOSITORY", "")
    edition = [
        ("version", _version("cemag")),
        ("commit", _commit(source)),
        ("built", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("paper", "[arXiv:2407.10165](https://arxiv.org/abs/2407.10165)"),
        *([("repository", f"[{repository}]({repository})")] if repository else []),
        ("licence", "MIT"),
    ]
    if what == "edition":
        return edition
    rows = [
        *edition[1:3],
        ("Python", platform.python_version()),
        ("machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"),
        ("published records", _digest_of_records(source)),
    ]
    return rows + [(name, _version(name)) for name in PACKAGES]


def notebook_rows(notebooks: Path) -> list[tuple[str, str, str]]:
    """Name, state and seconds of each executed notebook of a folder; of one in text, that Sphinx runs it."""
    rows = []
    for path in sorted(p for p in notebooks.glob("*") if p.suffix in (".ipynb", ".md")):
        if path.suffix == ".md":
            rows.append((path.stem, "executed while the page was made", ""))
            continue
        about = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        state = "failed" if about.get("exception") else "executed without an error"
        seconds = about.get("duration")
        rows.append((path.stem, state, "" if seconds is None else f"{seconds:.0f}"))
    return rows


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "unknown: git is not installed"
    return done.stdout.strip() if done.returncode == 0 else "unknown: not a checkout"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _digest_of_records(folder: Path) -> str:
    """Number of published files, and one digest over the digests of all."""
    root = next((p for p in (folder, *folder.parents) if (p / "results").is_dir()), None)
    if root is None:
        return "none here"
    files = sorted(p for p in (root / "results").rglob("*") if p.is_file())
    digest = hashlib.sha256(b"".join(hashlib.sha256(p.read_bytes()).digest() for p in files)).hexdigest()
    return f"{len(files)} files, SHA-256 {digest[:16]}"
