"""Training of networks on images: named recipes, one resumable loop, evaluation, and new heads.

`Recipe` and `RECIPES` are plain settings; all else imports torch, on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cemag.reproduction.training.recipe import RECIPES, Recipe, get_recipe

if TYPE_CHECKING:
    from cemag.reproduction.training.device import choose_device
    from cemag.reproduction.training.evaluate import class_accuracy, predict_logits
    from cemag.reproduction.training.head import Head, train_head
    from cemag.reproduction.training.loop import train
    from cemag.reproduction.training.progress import progress_bar
    from cemag.reproduction.training.result import Epoch, Progress, Trained

__all__ = [
    "RECIPES",
    "Epoch",
    "Head",
    "Progress",
    "Recipe",
    "Trained",
    "choose_device",
    "class_accuracy",
    "get_recipe",
    "predict_logits",
    "progress_bar",
    "train",
    "train_head",
]

_HOMES = {
    "Epoch": "result",
    "Head": "head",
    "Progress": "result",
    "Trained": "result",
    "choose_device": "device",
    "class_accuracy": "evaluate",
    "predict_logits": "evaluate",
    "progress_bar": "progress",
    "train": "loop",
    "train_head": "head",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"cemag.reproduction.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'cemag.reproduction.training' has no attribute {name!r}")
