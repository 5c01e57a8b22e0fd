"""What computed a record: the source of the package, and the libraries below it. Light."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

__all__ = ["commit", "package_versions", "processor", "source_digest"]

LIBRARIES = ("numpy", "scipy", "scikit-learn", "imbalanced-learn")
COMPUTING_ROOMS = (
    *("embeddings", "metrics", "samplers", "models"),
    *("reproduction/datasets", "reproduction/training", "reproduction/runs"),
)


@lru_cache
def source_digest(rooms: tuple[str, ...] = COMPUTING_ROOMS) -> str:
    """Digest of the rooms of the package that decide what a run finds: 12 hexadecimal digits."""
    home = Path(__file__).parents[2]
    found = hashlib.sha256()
    for room in rooms:
        for path in sorted((home / room).rglob("*.py")):
            if not path.name.startswith("test_"):
                found.update(path.relative_to(home).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


@lru_cache
def package_versions(*more: str) -> dict[str, str]:
    """Versions of the libraries that a run's numbers depend on."""
    return {name: version(name) for name in (*LIBRARIES, *more)}


@lru_cache
def commit() -> str:
    """Commit of the project that makes a record; empty where it is not a clone."""
    home = Path(__file__).parents[3]
    if not (home / ".git").exists():  # installed, or a folder within somebody else's repository
        return ""
    try:
        asked = ["git", "-C", str(home), "rev-parse", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@lru_cache
def processor() -> str:
    """The processor's own name: Python knows but its family on some systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
