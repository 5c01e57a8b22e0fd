"""A new linear head on fixed embeddings: how EOS and DSM bring their samples into a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional as F

from cemag.errors import CemagError, DataError

__all__ = ["Head", "train_head"]


@dataclass(frozen=True)
class Head:
    """A linear head, to be put in place by `cemag.models.heads.replace_head`.

    Attributes
    ----------
    weights : ndarray of shape (C, d)
    bias : ndarray of shape (C,)
    loss : float
        Mean of the last epoch.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    loss: float


def train_head(
    features: ArrayLike,
    y: ArrayLike,
    n_classes: int,
    *,
    epochs: int = 10,
    batch_size: int = 128,
    lr: float = 0.1,
    warmup_epochs: int = 5,
    momentum: float = 0.9,
    weight_decay: float = 2e-4,
    seed: int = 0,
    balanced: bool = False,
) -> Head:
    """Train a linear head on embeddings (n, d) by stochastic gradient descent, from random weights.

    Settings are those of the published EOS code, which is the usual long-tailed recipe cut to its
    first 10 epochs: half of them are warm-up. That code then keeps the epoch that is best on the
    test set; here the last one is kept.

    Parameters
    ----------
    features : array_like of shape (n, d)
        Embeddings, augmented or not.
    y : array_like of shape (n,)
        Class numbers from 0.
    n_classes : int
        Number of classes C.
    epochs, batch_size, lr, warmup_epochs, momentum, weight_decay
        As in a `Recipe` without milestones.
    seed : int, default=0
        Of the initial weights and the order.
    balanced : bool, default=False
        Draw each class as often as any other, with replacement, as many rows an epoch as there are.

    Returns
    -------
    Head
        Of the last epoch.

    Raises
    ------
    CemagError
        If shapes or labels do not fit, or the loss stops being finite.

    Examples
    --------
    >>> head = train_head([[1.0, 0.0], [0.0, 1.0]] * 50, [0, 1] * 50, 2)
    >>> (head.weights @ [1.0, 0.0] + head.bias).argmax()
    np.int64(0)
    """
    X = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
    labels: Any = np.asarray(y)
    if X.ndim != 2 or labels.shape != X.shape[:1] or len(X) == 0:
        raise DataError(
            f"features have shape {tuple(X.shape)} and y {labels.shape}: (n, d) and (n,) are needed"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= n_classes:
        raise DataError(f"y must be class numbers from 0 to {n_classes - 1}")
    if not torch.isfinite(X).all():
        raise DataError("features hold NaN or infinite values: all must be finite")
    target = torch.from_numpy(labels.astype(np.int64))
    generator = torch.Generator().manual_seed(seed)
    weights = torch.empty(n_classes, X.shape[1])
    torch.nn.init.kaiming_normal_(weights, generator=generator)
    bias = torch.zeros(n_classes)
    parameters = [weights.requires_grad_(), bias.requires_grad_()]
    optimiser = torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
    mean = float("nan")
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = lr * min(1.0, (epoch + 1) / max(1, warmup_epochs))
        total = torch.zeros((), dtype=torch.float64)
        for rows in _order(target, balanced, generator).split(batch_size):
            loss = F.cross_entropy(F.linear(X[rows], weights, bias), target[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(rows)
        mean = float(total) / len(X)
        if not np.isfinite(mean):
            raise CemagError(f"the loss of the new head is {mean}: a smaller lr than {lr} is needed")
    return Head(weights.detach().numpy(), bias.detach().numpy(), mean)


def _order(y: torch.Tensor, balanced: bool, generator: torch.Generator) -> torch.Tensor:
    """Rows of an epoch, in the order in which they are shown."""
    if not balanced:
        return torch.randperm(len(y), generator=generator)
    weights = 1 / torch.bincount(y)[y].double()
    return torch.multinomial(weights, len(y), replacement=True, generator=generator)
