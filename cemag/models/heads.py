"""From a network to its CEs: find the last linear layer, capture its input, put another one in its place.

Works for any ``nn.Module`` that ends in a linear layer. Imports torch.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cemag.embeddings import ClassificationEmbeddings
from cemag.embeddings.from_torch import evaluating
from cemag.errors import CemagError, DataError, extra
from cemag.models.images import CIFAR10, Normalisation, image_tensor

with extra("torch"):
    import torch
    from torch import Tensor, nn

__all__ = [
    "capture",
    "embed_images",
    "find_last_linear",
    "replace_head",
]

Floats = NDArray[np.float32]


def capture(
    module: nn.Module,
    X: Any,
    *,
    layer: nn.Linear | None = None,
    normalisation: Normalisation | None = None,
    batch_size: int = 512,
) -> tuple[Floats, Floats]:
    """Run a network over its inputs and keep what goes into its last linear layer, and what comes out.

    Parameters
    ----------
    module : nn.Module
        Any network; its mode, weights and statistics are left as they are. Inputs go to its device.
    X : array_like or Tensor of shape (n, ...)
        What the network takes; with `normalisation`, uint8 images in any usual layout.
    layer : nn.Linear, optional
        The layer to capture; found with the first row of `X` when not given.
    normalisation : Normalisation, optional
        Makes the network's input of uint8 images.
    batch_size : int, default=512
        Rows at a time.

    Returns
    -------
    features : ndarray of shape (n, d)
        Input of the layer, float32.
    logits : ndarray of shape (n, C)
        Output of the layer, float32.

    Raises
    ------
    CemagError
        If the layer is not found, or works on something else than one vector an instance.

    Examples
    --------
    >>> net = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    >>> capture(net, torch.tensor([[-1.0, 2.0]]))[0]
    array([[0., 2.]], dtype=float32)
    """
    if batch_size < 1:
        raise CemagError(f"batch_size is {batch_size}: at least 1 is needed")
    images = image_tensor(X) if normalisation is not None else torch.as_tensor(X)
    if len(images) == 0:
        raise DataError("there is no row to run the network on")
    where = next((p.device for p in module.parameters()), torch.device("cpu"))

    def batch(start: int, stop: int) -> Tensor:
        rows = images[start:stop].to(where, non_blocking=True)
        return rows if normalisation is None else normalisation(rows)

    if layer is None:
        layer = find_last_linear(module, batch(0, 1))
    seen: list[tuple[Tensor, Tensor]] = []
    hook = layer.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    try:
        with evaluating(module):
            for start in range(0, len(images), batch_size):
                module(batch(start, start + batch_size))
    finally:
        hook.remove()
    if sum(len(given) for given, _ in seen) != len(images) or seen[0][0].ndim != 2:
        found = tuple(seen[0][0].shape) if seen else "never called"
        raise CemagError(f"the linear layer has input {found}: one vector an instance is needed")
    features, logits = (torch.cat(parts).float().cpu().numpy() for parts in zip(*seen, strict=True))
    return features, logits


def embed_images(
    model: nn.Module,
    X: Any,
    normalisation: Normalisation = CIFAR10,
    *,
    layer: nn.Linear | None = None,
    classes: ArrayLike | None = None,
    batch_size: int = 512,
) -> ClassificationEmbeddings:
    """CEs of a network on images: captured features, and weights and bias of the last linear layer.

    Parameters
    ----------
    model : nn.Module
        Network on normalised images (n, c, h, w).
    X : array_like or Tensor, uint8
        Images, (n, h, w, c), (n, c, h, w) or (n, h, w).
    normalisation : Normalisation, default=CIFAR10
        The one that the network was trained with.
    layer : nn.Linear, optional
        The last layer, where it is not to be found.
    classes : array_like of shape (C,), optional
        Labels; 0, 1, ... when not given.
    batch_size : int, default=512
        Images at a time.

    Returns
    -------
    ClassificationEmbeddings
        Its logits are the network's own, up to rounding.

    Examples
    --------
    >>> from cemag.models.resnet import resnet
    >>> ce = embed_images(resnet("resnet20"), np.zeros((2, 32, 32, 3), dtype=np.uint8))
    >>> ce.n_instances, ce.n_features, len(ce.classes)
    (2, 64, 10)
    """
    if layer is None:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        layer = find_last_linear(model, normalisation(image_tensor(X[:1]).to(device)))
    features, _ = capture(model, X, layer=layer, normalisation=normalisation, batch_size=batch_size)
    weights = layer.weight.detach().float().cpu().numpy()
    bias = None if layer.bias is None else layer.bias.detach().float().cpu().numpy()
    return ClassificationEmbeddings(features, weights, bias, classes)  # type: ignore[arg-type]


def replace_head(
    model: nn.Module, weights: ArrayLike, bias: ArrayLike, *, layer: nn.Linear | None = None
) -> nn.Module:
    """Return a copy of a network with other weights (C, d) and bias (C,) in its last linear layer.

    Raises
    ------
    CemagError
        If the shapes are not those of the layer.
    """
    target = find_last_linear(model) if layer is None else layer
    new = [torch.tensor(np.asarray(values), dtype=target.weight.dtype) for values in (weights, bias)]
    shapes = tuple(new[0].shape), tuple(new[1].shape)
    C, d = target.weight.shape
    if shapes != ((C, d), (C,)) or target.bias is None:
        raise CemagError(f"the new head has shapes {shapes}: the network needs {((C, d), (C,))}")
    name = next(n for n, part in model.named_modules() if part is target)
    changed = copy.deepcopy(model)
    own = changed.get_submodule(name)
    with torch.no_grad():
        own.weight.copy_(new[0])  # type: ignore[operator]
        own.bias.copy_(new[1])  # type: ignore[operator]
    return changed


def find_last_linear(module: nn.Module, example: Any = None) -> nn.Linear:
    """Find the linear layer that makes the logits.

    Parameters
    ----------
    module : nn.Module
        Any network.
    example : Tensor, optional
        An input of the network. Needed where there are several linear layers: the network is run on
        it, and the layer taken whose output is the network's.

    Returns
    -------
    nn.Linear
        The layer itself, not a copy.

    Raises
    ------
    CemagError
        If there is none, or it cannot be told which of several; lists the candidates.

    Examples
    --------
    >>> find_last_linear(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2)))
    Linear(in_features=16, out_features=2, bias=True)
    """
    layers = {name or "itself": part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    kind = type(module).__name__
    if not layers:
        raise CemagError(f"{kind} has no linear layer (nn.Linear), and CEs are defined by the last one")
    if len(layers) == 1:
        return next(iter(layers.values()))
    listed = ", ".join(f"{name} ({p.in_features} to {p.out_features})" for name, p in layers.items())
    if example is None:
        raise CemagError(f"{kind} has {len(layers)} linear layers: {listed}; pass an example or the layer")
    calls: list[tuple[nn.Linear, Tensor]] = []
    hooks = [p.register_forward_hook(lambda p, _, out: calls.append((p, out))) for p in layers.values()]
    try:
        with evaluating(module):
            out = module(example)
    finally:
        for hook in hooks:
            hook.remove()
    for layer, own in reversed(calls):
        if own is out:
            return layer
    if calls and isinstance(out, Tensor) and calls[-1][1].shape == out.shape:  # a softmax follows, say
        return calls[-1][0]
    raise CemagError(f"{kind} does not end in one of its {len(layers)} linear layers: {listed}")
