"""From a network of torch, torchvision, timm or transformers to its factors, checked against its output.

Runs the network on what it is given, and leaves its mode, weights and hooks as they were. Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from cemag.auditing.factors import Factors, factors
from cemag.auditing.torch_batches import Batch, batches, class_names_of
from cemag.auditing.torch_calls import apart, as_numpy, call, rows_of, speaking, tolerance
from cemag.errors import CemagError, DataError, check_known
from cemag.models.heads import evaluating, find_last_linear

__all__ = ["torch_factors"]

LISTED = 8


def torch_factors(
    model: nn.Module,
    X: Any,
    y: Any = None,
    *,
    layer: nn.Module | str | None = None,
    batch_size: int = 128,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    model_name: str | None = None,
) -> Factors:
    """CEs of a network that ends in a linear layer, on labelled instances.

    Parameters
    ----------
    model : nn.Module
        Of torchvision, timm or transformers (sequence and image classifiers), or any other. Runs on
        its own device, in evaluation mode; its mode is put back.
    X : Tensor, array_like, mapping of tensors, map-style Dataset, DataLoader or iterable of batches
        What the network takes. Items of a Dataset, and batches of a loader, are inputs, ``(x, y)``, or
        mappings of argument names (`input_ids`, `attention_mask`, `pixel_values`, `labels`, ...).
    y : array_like of shape (N,), optional
        True classes, 0 to C - 1 or class names; needed where `X` comes without labels.
    layer : nn.Linear or str, optional
        The layer that makes the logits, or its dotted name; found when not given.
    batch_size : int, default=128
        Instances at a time; a loader has its own.
    class_names : sequence of C str, optional
        When not given: ``classes`` of the Dataset, ``id2label`` of the model's configuration, or numbers.
    feature_names : sequence of d str, optional
        Numbered when not given.
    model_name : str, optional
        What a report calls the model; its class when not given.

    Returns
    -------
    Factors
        Its logits are the network's output up to rounding. Where the network does more with them (a
        softmax, a temperature), its predictions are the same, and a note says so.

    Raises
    ------
    CemagError
        If the linear layer is not found or not known, or does not make the network's output.
    DataError
        If `X` or `y` does not fit.

    Examples
    --------
    >>> net = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    >>> made = torch_factors(net, [[-1.0, 2.0]], [1])
    >>> made.ce.features, made.model_name
    (array([[0., 2.]]), 'Sequential')
    """
    if not isinstance(model, nn.Module):
        raise CemagError(f"model is a {type(model).__name__}: a torch.nn.Module is needed")
    model = getattr(model, "_orig_mod", model)  # a compiled network runs past the hooks of its parts
    _refuse_task(model)
    stream = batches(X, y, batch_size, model)
    with evaluating(model), speaking(model):
        try:
            first = next(stream)
        except StopIteration:
            raise DataError("X is empty: at least one instance is needed") from None
        head = _layer(model, layer, first)
        captured = _captured(model, head, chain([first], stream))
    notes = _check_promise(model, head, captured)
    if captured.labels is None:
        raise DataError("y is missing, and X comes without labels: the true class of every row is needed")
    return factors(
        captured.features,
        head.weight,
        head.bias,
        captured.labels,
        class_names=class_names or _class_names(model, X, head),
        feature_names=feature_names,
        model_name=model_name or type(model).__name__,
        notes=notes,
    )


# ---------------------------------------------------------------------- running the network


@dataclass(frozen=True)
class _Captured:
    """Input (N, d) and output (N, C) of the layer, output (N, C) of the network, labels (N,)."""

    features: NDArray[Any]
    made: NDArray[Any]
    output: NDArray[Any]
    labels: NDArray[Any] | None


def _captured(model: nn.Module, layer: nn.Linear, stream: Iterator[Batch]) -> _Captured:
    calls: list[tuple[Tensor, Tensor]] = []
    parts: list[tuple[NDArray[Any], ...]] = []
    labels: list[Any] = []
    handle = layer.register_forward_hook(lambda _, given, out: calls.append((given[0], out)))
    try:
        for batch in stream:
            calls.clear()
            output = call(model, batch)
            if len(calls) != 1:
                raise CemagError(f"the layer is called {len(calls)} times a batch: once is needed")
            taken = (*rows_of(*calls[0], output), output)
            parts.append(tuple(as_numpy(part) for part in taken))
            labels.append(batch.labels)
    finally:
        handle.remove()
    features, made, outputs = (np.concatenate(column) for column in zip(*parts, strict=True))
    known = None if any(one is None for one in labels) else np.concatenate(labels)
    return _Captured(features, made, outputs, known)


# ---------------------------------------------------------------------- the layer


def _layer(model: nn.Module, layer: nn.Module | str | None, first: Batch) -> nn.Linear:
    linear = {name or "itself": part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    kind = type(model).__name__
    if isinstance(layer, str):
        parts = dict(model.named_modules())
        if layer in parts and layer not in linear:
            raise CemagError(f"layer {layer!r} is a {type(parts[layer]).__name__}: nn.Linear is needed")
        return linear[check_known("layer", layer, linear)]
    if layer is not None:
        if not any(part is layer for part in linear.values()):
            raise CemagError(f"layer {layer} is no linear layer of {kind}; known: {_listed(linear)}")
        return layer  # type: ignore[return-value]
    get_classifier: Any = getattr(model, "get_classifier", None)  # the name that timm gives it
    own = get_classifier() if callable(get_classifier) else None
    if isinstance(own, tuple | list):
        raise CemagError(f"{kind} averages {len(own)} classifiers: supported is one linear layer")
    if isinstance(own, nn.Linear):
        return own
    if len(linear) < 2:
        return find_last_linear(model)
    example = first.head(2)
    output = call(model, example)
    try:
        return find_last_linear(model, example)
    except CemagError:
        return _of_tokens(model, linear, example, output)


def _of_tokens(model: nn.Module, linear: dict[str, nn.Linear], example: Batch, output: Tensor) -> nn.Linear:
    """Find the layer that is applied to every token and makes the logits at one of them."""
    calls: list[tuple[nn.Linear, Tensor, Tensor]] = []
    handles = [
        part.register_forward_hook(lambda part, given, out: calls.append((part, given[0], out)))
        for part in linear.values()
    ]
    try:
        call(model, example)
    finally:
        for handle in handles:
            handle.remove()
    for part, given, made in reversed(calls):
        if given.ndim > 2 and len(given) == len(output) and made.shape[-1] == output.shape[-1]:
            _, row = rows_of(given, made, output)
            if apart(as_numpy(row), as_numpy(output)) <= tolerance(part):
                return part
    fitting = {name: p for name, p in linear.items() if p.out_features == output.shape[1]}
    raise CemagError(
        f"{type(model).__name__} has {len(linear)} linear layers, and none makes its output "
        f"{tuple(output.shape)} as it is; pass layer=NAME, one of {_listed(fitting or linear)}"
    )


def _same_width(model: nn.Module, layer: nn.Linear) -> tuple[str, dict[str, nn.Linear]]:
    """Name of a layer, and the linear layers that give as many values."""
    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    own = next((name for name, part in linear.items() if part is layer), "given")
    wide = {n: p for n, p in linear.items() if p is not layer and p.out_features == layer.out_features}
    return f"{own} ({layer.in_features} to {layer.out_features})", wide


def _listed(linear: dict[str, nn.Linear]) -> str:
    names = [f"{name} ({part.in_features} to {part.out_features})" for name, part in linear.items()]
    return ("..., " if len(names) > LISTED else "") + ", ".join(names[-LISTED:])


# ---------------------------------------------------------------------- the promise


def _check_promise(model: nn.Module, layer: nn.Linear, captured: _Captured) -> tuple[str, ...]:
    kind, allowed = type(model).__name__, tolerance(layer)
    weights = as_numpy(layer.weight.detach())
    bias = 0 if layer.bias is None else as_numpy(layer.bias.detach())
    sums = captured.features @ weights.T + bias
    if (distance := apart(sums, captured.made)) > allowed:
        raise CemagError(
            f"the layer of {kind} gives other values than its weighted sums: they differ by "
            f"{distance:.3g} of the largest"
        )
    if sums.shape == captured.output.shape and apart(sums, captured.output) <= allowed:
        return ()
    if sums.shape != captured.output.shape:
        raise CemagError(
            f"the layer of {kind} gives {sums.shape[1]} values a row, and the network "
            f"{captured.output.shape[1]}: the layer that makes the output is needed"
        )
    ours, own = _decided(sums), _decided(captured.output, probability=_within_0_and_1(captured.output))
    if (wrong := ours != own).any():
        name, others = _same_width(model, layer)
        raise CemagError(
            f"the output of {kind} is not that of the layer {name}, and predicts otherwise in {wrong.sum()} "
            f"of {len(wrong)} rows (values differ by {np.abs(sums - captured.output).max():.3g})"
            + (f"; of its width are also {_listed(others)}: pass layer=NAME if one decides" if others else "")
        )
    return (f"{kind} does more after its last linear layer, which changes none of its predictions here.",)


def _decided(logits: NDArray[Any], *, probability: bool = False) -> NDArray[Any]:
    if logits.shape[1] == 1:
        return logits[:, 0] > (0.5 if probability else 0)
    return logits.argmax(axis=1)


def _within_0_and_1(values: NDArray[Any]) -> bool:
    return bool(values.min() >= 0 and values.max() <= 1)


# ---------------------------------------------------------------------- what the model says of itself


def _refuse_task(model: nn.Module) -> None:
    task = getattr(getattr(model, "config", None), "problem_type", None)
    if task in ("regression", "multi_label_classification"):
        raise CemagError(f"{type(model).__name__} has problem_type {task!r}: one class an instance is needed")


def _class_names(model: nn.Module, X: Any, layer: nn.Linear) -> list[str] | None:
    n_classes = max(2, layer.out_features)
    named = class_names_of(X)
    if named is not None:
        if len(named) != n_classes:
            raise DataError(
                f"X names {len(named)} classes and the network has {n_classes}: pass class_names, in the "
                "order of the network's outputs"
            )
        return named
    labels = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(labels, dict) or len(labels) != n_classes:
        return None
    names = [str(labels.get(c, labels.get(str(c), c))) for c in range(n_classes)]
    return None if names == [f"LABEL_{c}" for c in range(n_classes)] else names
