"""What computed a record: the source of the package, and the libraries below it. Light."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

__all__ = ["package_versions", "source_digest"]

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
