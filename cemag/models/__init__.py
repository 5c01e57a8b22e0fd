"""The models of the paper, each by name with validated settings, and their CEs once fitted.

Tabular models only use scikit-learn; importing this room never imports torch.
"""

from cemag.models.tabular import (
    MODELS,
    LogisticModel,
    ModelSpec,
    Number,
    SVMModel,
    Whole,
    embed,
    fit_model,
)

__all__ = [
    "MODELS",
    "LogisticModel",
    "ModelSpec",
    "Number",
    "SVMModel",
    "Whole",
    "embed",
    "fit_model",
]
