"""Many small networks at once, one per seed and weight decay, trained in step. Imports torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.errors import extra
from cemag.reproduction.experiments.planted import (
    N_CLASSES,
    SIDE,
    Cell,
    blurred,
    digits,
    paste,
    planted_digits,
)

with extra("torch"):
    import torch
    from torch import Tensor
    from torch.nn import functional as F

__all__ = ["planted_networks"]

WIDTHS = (SIDE * SIDE, 64, 64, N_CLASSES)  # two hidden layers; the head has 64 features, as a ResNet-32's
EPOCHS, BATCH, LEARNING_RATE, MOMENTUM = 25, 64, 0.05, 0.9


def planted_networks(cell: Cell) -> dict[str, NDArray[Any]]:
    """Train a network per seed and weight decay, and measure what each planted texture does.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    dict of ndarray
        Columns of a table with one row per network and texture: ``seed``, ``weight_decay``, ``feature``,
        ``class``, ``frequency``, ``n_on`` (images of the class that have it), ``effect`` (what pasting
        the texture into test images adds to the lead of its class over the mean of the others) and
        ``accuracy`` on test images without textures.

    Notes
    -----
    Networks of one seed have the same data, initial weights and order; they differ in weight decay alone.
    The same cell on the same machine gives the same numbers.
    """
    repeats = len(cell.weight_decays)
    planted = [planted_digits(cell, seed) for seed in cell.seeds]
    X = torch.from_numpy(np.stack([one.X.reshape(len(one.X), -1) for one in planted]))
    y = torch.from_numpy(np.stack([one.y for one in planted]))
    decay = torch.tensor(cell.weight_decays).repeat(len(cell.seeds))
    weights = _trained(X, y, decay, cell.seeds)
    rows: dict[str, list[Any]] = {}
    for s, (seed, one) in enumerate(zip(cell.seeds, planted, strict=True)):
        mine = [part[s * repeats : (s + 1) * repeats] for part in weights]
        _, _, test, labels = digits(seed)
        test = blurred(test, np.random.default_rng((seed, 3)))
        plain = _on(test, mine)
        accuracy = (plain.argmax(axis=2) == labels).mean(axis=1)
        for k, own in enumerate(one.classes):
            on = np.arange(len(one.classes)) == np.full((len(test), 1), k)
            moved = (_on(paste(test, on, one.places), mine) - plain).mean(axis=1)
            for network, of_class in enumerate(moved):
                row = {
                    "seed": seed,
                    "weight_decay": cell.weight_decays[network],
                    "feature": k,
                    "class": int(own),
                    "frequency": cell.frequency_of(seed)[k],
                    "n_on": int(one.on[one.y == own, k].sum()),
                    "effect": of_class[own] - np.delete(of_class, own).mean(),
                    "accuracy": accuracy[network],
                }
                for name, value in row.items():
                    rows.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in rows.items()}


def _on(images: NDArray[np.float32], weights: list[Tensor]) -> NDArray[np.float64]:
    """Logits (M, n, C) of M networks on the same images."""
    flat = torch.from_numpy(images.reshape(1, len(images), -1)).expand(len(weights[0]), -1, -1)
    return _logits(flat, weights).double().numpy()


def _logits(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Logits (M, n, C) of M networks on n images each (M, n, 256)."""
    for layer in range(0, len(weights) - 2, 2):
        x = F.relu(torch.baddbmm(weights[layer + 1], x, weights[layer]))
    return torch.baddbmm(weights[-1], x, weights[-2])


def _initial(seeds: tuple[int, ...], repeats: int) -> list[Tensor]:
    """Weights and biases of each layer, all networks side by side (M, ...); alike within a seed."""
    networks: list[list[Tensor]] = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for inside, outside in pairwise(WIDTHS):
            gain = (2 / inside) ** 0.5
            drawn += [gain * torch.randn(inside, outside, generator=generator), torch.zeros(1, outside)]
        networks += [drawn] * repeats
    return [torch.stack(parts) for parts in zip(*networks, strict=True)]


def _trained(X: Tensor, y: Tensor, decay: Tensor, seeds: tuple[int, ...]) -> list[Tensor]:
    """Train by stochastic gradient descent with momentum and a cosine schedule, all networks in step."""
    repeats = len(decay) // len(seeds)
    weights = [part.requires_grad_() for part in _initial(seeds, repeats)]
    velocity = [torch.zeros_like(part) for part in weights]
    generators = [torch.Generator().manual_seed(1000 + seed) for seed in seeds]
    n, step, which = X.shape[1], 0, torch.arange(len(seeds)).repeat_interleave(repeats)[:, None]
    steps = EPOCHS * (n // BATCH)
    for _ in range(EPOCHS):
        orders = torch.stack([torch.randperm(n, generator=generator) for generator in generators])
        for start in range(0, n - BATCH + 1, BATCH):
            rows = orders[which[:, 0], start : start + BATCH]
            logits = _logits(X[which, rows], weights)
            loss = F.cross_entropy(logits.flatten(0, 1), y[which, rows].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / BATCH, weights)
            warm = min(1.0, 20 * (step + 1) / steps)
            rate = LEARNING_RATE * warm * 0.5 * (1 + np.cos(np.pi * step / steps))
            with torch.no_grad():
                for part, moving, gradient in zip(weights, velocity, gradients, strict=True):
                    moving.mul_(MOMENTUM).add_(gradient + decay[:, None, None] * part)
                    part.sub_(moving, alpha=float(rate))
            step += 1
    return [part.detach() for part in weights]
