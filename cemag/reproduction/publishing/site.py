"""The folder that Jupyter Book renders: prose, executed notebooks, configuration with execution off."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["lay_out"]

COPIED = ("_toc.yml", "book", "CHANGELOG.md", "README.md")
GENERATED_BRANCH = "generated-notebooks"


def lay_out(root: Path, site: Path, executed: Mapping[str, Path], profile: str) -> str:
    """Bring the site's sources up to date, touching only files whose content changed.

    Parameters
    ----------
    root : Path
        The project.
    site : Path
        Where the sources go.
    executed : mapping of notebook name to Path
        Executed copies, placed where the text notebooks are in the project.
    profile : str
        Named in the configuration, for the pages.

    Returns
    -------
    str
        Digest of every file of the site.
    """
    wanted: dict[Path, bytes] = {}
    for source in [root / name for name in COPIED if (root / name).exists()]:
        files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
        wanted |= {path.relative_to(root): path.read_bytes() for path in files}
    for name, copy in executed.items():
        wanted[Path("notebooks") / f"{name}.ipynb"] = copy.read_bytes()
    wanted[Path("_config.yml")] = _configuration(root / "_config.yml", profile)
    _write(site, wanted)
    found = hashlib.sha256()
    for path, content in sorted(wanted.items()):
        found.update(path.as_posix().encode() + b"\0" + hashlib.sha256(content).digest())
    return found.hexdigest()


def _configuration(path: Path, profile: str) -> bytes:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["execute"] = {"execute_notebooks": "off"}
    config["only_build_toc_files"] = True
    config.setdefault("parse", {}).setdefault("myst_substitutions", {})["profile"] = profile
    if repository := os.environ.get("CEMAG_REPOSITORY"):
        _lead_to(config, repository)
    return yaml.safe_dump(config, sort_keys=True).encode()


def _lead_to(config: dict[str, Any], repository: str) -> None:
    """Show the buttons that a repository makes work: its issues, and its notebooks in Binder and Colab.

    Both open the generated notebooks, which the workflow that publishes the pages keeps on a branch of
    their own: the sources are text, which neither runs.
    """
    config["repository"] = {"url": repository, "branch": GENERATED_BRANCH}
    config.setdefault("html", {}).update(use_issues_button=True, use_repository_button=True)
    config.setdefault("launch_buttons", {}).update(
        binderhub_url="https://mybinder.org", colab_url="https://colab.research.google.com"
    )


def _write(site: Path, wanted: Mapping[Path, bytes]) -> None:
    site.mkdir(parents=True, exist_ok=True)
    for path in sorted(site.rglob("*"), reverse=True):
        inside = path.relative_to(site)
        if inside.parts[0] == "_build":
            continue
        if path.is_file() and inside not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
    for inside, content in wanted.items():
        target = site / inside
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
