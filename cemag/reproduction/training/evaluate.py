"""A network's logits and accuracy on images, in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from cemag.embeddings.from_torch import evaluating
from cemag.errors import DataError
from cemag.models.images import Normalisation, image_tensor

__all__ = ["class_accuracy", "predict_logits"]


def predict_logits(
    model: nn.Module, X: Any, normalisation: Normalisation, *, batch_size: int = 1000
) -> NDArray[np.float32]:
    """Run a network on uint8 images, (n, h, w, c), (n, c, h, w) or (n, h, w).

    Returns
    -------
    ndarray of shape (n, C)
        float32; the network's mode and statistics are left as they are.

    Examples
    --------
    >>> from cemag.models.resnet import resnet
    >>> X = np.zeros((3, 8, 8), dtype=np.uint8)
    >>> predict_logits(resnet("resnet20", 2, 1), X, Normalisation((0.5,), (0.5,))).shape
    (3, 2)
    """
    images = image_tensor(X)
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    with evaluating(model):
        parts = [model(normalisation(rows.to(where))).float() for rows in images.split(batch_size)]
    return torch.cat(parts).cpu().numpy()


def class_accuracy(logits: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Share of right predictions in each class (C,), NaN for a class without instances.

    Parameters
    ----------
    logits : array_like of shape (n, C)
    y : array_like of shape (n,)
        Class numbers.

    Examples
    --------
    >>> class_accuracy([[2.0, 1.0], [0.0, 1.0], [3.0, 1.0]], [0, 1, 1])
    array([1. , 0.5])
    """
    logits, y = np.asarray(logits), np.asarray(y)
    if y.shape != logits.shape[:1]:
        raise DataError(f"y has shape {y.shape}: {logits.shape[:1]} is needed, one label a row of logits")
    right = np.bincount(y[logits.argmax(axis=1) == y], minlength=logits.shape[1])
    with np.errstate(invalid="ignore"):
        return right / np.bincount(y, minlength=logits.shape[1])
