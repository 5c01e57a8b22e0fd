"""Audit a model of one's own: how few features carry each of its classes, in tables, words and pictures.

Reads the model, the data and the files that it is handed, and writes only to a path that it is given.
Imports torch, scikit-learn and Altair only when what needs them is used.

Examples
--------
>>> made = factors([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], labels=[0], class_names=["cat", "dog"])
>>> made.empty_classes
('dog',)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cemag.auditing.auditor import audit, audit_factors
from cemag.auditing.comparison import Comparison, compare
from cemag.auditing.findings import Statement
from cemag.auditing.result import Audit, read_audit
from cemag.embeddings.factors import KINDS, Factors, Kind, factors
from cemag.embeddings.from_files import load_factors
from cemag.embeddings.from_sklearn import sklearn_factors

if TYPE_CHECKING:
    from cemag.auditing.examples import digits_example
    from cemag.embeddings.from_torch import torch_factors
    from cemag.models.resnet import checkpoint_model

_WHEN_USED = {
    "checkpoint_model": "cemag.models.resnet",
    "digits_example": "cemag.auditing.examples",
    "torch_factors": "cemag.embeddings.from_torch",
}

__all__ = [
    "KINDS",
    "Audit",
    "Comparison",
    "Factors",
    "Kind",
    "Statement",
    "audit",
    "audit_factors",
    "checkpoint_model",
    "compare",
    "digits_example",
    "factors",
    "load_factors",
    "read_audit",
    "sklearn_factors",
    "torch_factors",
]


def __getattr__(name: str) -> object:
    if name in _WHEN_USED:
        return getattr(import_module(_WHEN_USED[name]), name)
    raise AttributeError(f"module 'cemag.auditing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
