"""cemag: how few features carry the minority classes of a model?

The public names are imported on first use, so that ``import cemag`` is instant and loads no
heavy library.

Examples
--------
>>> import cemag
>>> ce = cemag.ClassificationEmbeddings(features=[[1.0, 2.0]], weights=[[3.0, -1.0]], bias=[0.5])
>>> ce.logits()
array([[1.5]])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cemag.auditing import Audit, audit, compare
    from cemag.embeddings import ClassificationEmbeddings, KernelFeatures
    from cemag.errors import CemagError
    from cemag.metrics import measure

__version__ = "0.2.0"

_HOMES = {
    "Audit": "cemag.auditing",
    "CemagError": "cemag.errors",
    "ClassificationEmbeddings": "cemag.embeddings",
    "KernelFeatures": "cemag.embeddings",
    "audit": "cemag.auditing",
    "compare": "cemag.auditing",
    "measure": "cemag.metrics",
}

__all__ = [
    "Audit",
    "CemagError",
    "ClassificationEmbeddings",
    "KernelFeatures",
    "audit",
    "compare",
    "measure",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cemag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
