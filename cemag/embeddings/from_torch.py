"""From a network to its factors: what goes into its last linear step, checked against its own logits.

Runs the network and takes its hooks away again; weights, modes and statistics stay. Imports torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cemag.embeddings.arrays import as_array
from cemag.embeddings.factors import Factors, factors
from cemag.errors import CemagError, DataError, check_known, extra

with extra("torch"):
    import torch
    from torch import Tensor, nn
    from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler

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


# ---------------------------------------------------------------------- batches

LABELS = ("labels", "label", "y", "target")


@dataclass(frozen=True)
class Batch:
    """Arguments of one call of a network, and the labels of its instances where they came along.

    Parameters
    ----------
    args : tuple of Tensor
        Positional arguments.
    kwargs : dict of str to Tensor
        Named arguments.
    labels : array_like of shape (n,), optional
        True classes.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    labels: Any = None

    @property
    def size(self) -> int:
        """Number of instances n."""
        return len(next(iter((*self.args, *self.kwargs.values()))))

    def head(self, n: int) -> Batch:
        """Return the first instances, with every argument that has a row for each."""
        return self._changed(lambda value: value[:n] if len(value) == self.size else value)

    def on(self, device: torch.device, floats: torch.dtype) -> Batch:
        """Return the batch on a device, its floating-point values of the network's type."""
        return self._changed(
            lambda value: value.to(device, floats if value.is_floating_point() else None, non_blocking=True)
        )

    def _changed(self, change: Any) -> Batch:
        kwargs = {name: change(value) for name, value in self.kwargs.items()}
        return replace(self, args=tuple(change(value) for value in self.args), kwargs=kwargs)


def batches(X: Any, y: Any, batch_size: int, model: nn.Module) -> Iterator[Batch]:
    """Iterate over whatever a network can be run on.

    Parameters
    ----------
    X : Tensor, array_like, mapping of tensors, map-style Dataset, DataLoader or iterable of batches
        Items of a Dataset, and batches of a loader, are inputs, ``(x, y)``, or mappings of argument
        names, labels among them (`labels` or `label`).
    y : array_like of shape (N,), optional
        True classes, where `X` has none.
    batch_size : int
        Instances at a time; a loader has its own.
    model : nn.Module
        Whose ``forward`` says which names of a mapping are arguments.

    Yields
    ------
    Batch
        On the CPU, or wherever a loader has put it.

    Raises
    ------
    DataError
        If there is nothing to iterate over, or labels are given twice or not in order.

    Examples
    --------
    >>> found = list(batches(torch.zeros(5, 3), [0, 1, 0, 1, 0], 2, nn.Linear(3, 2)))
    >>> [(batch.size, len(batch.labels)) for batch in found]
    [(2, 2), (2, 2), (1, 1)]
    """
    if batch_size < 1:
        raise CemagError(f"batch_size is {batch_size}: at least 1 is needed")
    labels = None if y is None else as_array("labels", y)
    start = 0
    for raw in _raw(X, batch_size, given=labels is not None):
        batch = _batch(raw, model)
        if labels is not None:
            if batch.labels is not None:
                raise DataError("y is given, and X comes with labels of its own: one of them is needed")
            batch = replace(batch, labels=labels[start : start + batch.size])
        start += batch.size
        yield batch
    if start == 0:
        raise DataError("X is empty: at least one instance is needed")
    if labels is not None and labels.shape != (start,):
        raise DataError(f"y has shape {labels.shape}: ({start},) is needed, one label an instance")


def class_names_of(X: Any) -> list[str] | None:
    """Return the names that a Dataset gives its classes (`classes`), through loaders and subsets.

    Examples
    --------
    >>> class_names_of(torch.zeros(2)) is None
    True
    """
    while X is not None:
        classes = getattr(X, "classes", None)
        if isinstance(classes, Sequence) and not isinstance(classes, str):
            return [str(name) for name in classes]
        X = getattr(X, "dataset", None)
    return None


def _raw(X: Any, batch_size: int, *, given: bool) -> Iterable[Any]:
    if isinstance(X, Mapping):
        return _slices_of_mapping(X, batch_size)
    if isinstance(X, Tensor | np.ndarray) or hasattr(X, "to_numpy"):
        return _slices(X, batch_size)
    if isinstance(X, list | tuple) and not (len(X) and _is_item(X[0])):
        return _slices(as_array("X", X), batch_size)
    if isinstance(X, DataLoader):
        if given and not _in_order(X):
            raise DataError(
                "y is given, and the DataLoader may draw X in another order: shuffle=False and no sampler "
                "are needed, or labels from the DataLoader itself"
            )
        return X
    if isinstance(X, Dataset | list | tuple) or (hasattr(X, "__getitem__") and hasattr(X, "__len__")):
        if not isinstance(X, IterableDataset) and len(X) == 0:
            raise DataError("X is empty: at least one instance is needed")
        return _loaded(X, batch_size)
    if isinstance(X, Iterable):
        return X
    raise DataError(f"X is a {type(X).__name__}: a tensor, an array, a Dataset or a DataLoader is needed")


def _in_order(loader: DataLoader) -> bool:
    """Whether a loader is known to give every instance once, from the first to the last."""
    if isinstance(loader.dataset, IterableDataset):
        return True
    batches = loader.batch_sampler
    samplers = [loader.sampler] if batches is None else [loader.sampler, getattr(batches, "sampler", None)]
    plain = batches is None or type(batches) is BatchSampler
    return plain and all(type(sampler) is SequentialSampler for sampler in samplers)


def _is_item(item: Any) -> bool:
    """Tell an instance of a data set kept in a list from a row of a matrix typed as lists."""
    first = item[0] if isinstance(item, list | tuple) and item else item
    return isinstance(first, Tensor | np.ndarray | Mapping)


def _loaded(dataset: Any, batch_size: int) -> Iterator[Any]:
    try:
        yield from DataLoader(dataset, batch_size=batch_size)
    except (TypeError, RuntimeError) as error:
        first = str(error).splitlines()[0].split("; found")[0]
        raise DataError(
            f"items of {type(dataset).__name__} make no batch ({first}): tensors are needed"
        ) from None


def _slices(X: Any, batch_size: int) -> Iterator[Any]:
    whole = X if isinstance(X, Tensor) else as_array("X", X)
    if not isinstance(whole, Tensor) and whole.dtype.kind not in "fiub":
        raise DataError(f"X is of dtype {whole.dtype}: numbers are needed")
    for start in range(0, len(whole), batch_size):
        rows = whole[start : start + batch_size]
        # a copy: torch warns of arrays that it may not write to, as mapped files are
        yield rows if isinstance(rows, Tensor) else torch.tensor(rows)


def _slices_of_mapping(X: Mapping[str, Any], batch_size: int) -> Iterator[dict[str, Any]]:
    lengths = {name: len(value) for name, value in X.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"X has entries of different lengths: {lengths}")
    for start in range(0, max(lengths.values(), default=0), batch_size):
        yield {name: value[start : start + batch_size] for name, value in X.items()}


def _batch(raw: Any, model: nn.Module) -> Batch:
    if isinstance(raw, Mapping):
        return _named(raw, model)
    if isinstance(raw, Tensor | np.ndarray) and (value := _tensor(raw)) is not None:
        return Batch((value,), {})
    if isinstance(raw, list | tuple) and len(raw) in (1, 2):
        inner = _batch(raw[0], model)
        return inner if len(raw) == 1 else replace(inner, labels=as_array("labels", raw[1]))
    found = f"{len(raw)} parts" if isinstance(raw, list | tuple) else f"a {type(raw).__name__}"
    raise DataError(f"a batch of X has {found}: x, (x, y) or a mapping of names to tensors is needed")


def _named(raw: Mapping[str, Any], model: nn.Module) -> Batch:
    labels = next((as_array("labels", raw[name]) for name in LABELS if name in raw), None)
    tensors = {name: _tensor(value) for name, value in raw.items() if name not in LABELS}
    values = {name: value for name, value in tensors.items() if value is not None}
    parameters = inspect.signature(model.forward).parameters
    known = {name: value for name, value in values.items() if name in parameters}
    if known:
        return Batch((), known, labels)
    if len(values) == 1:  # a network with one input, whatever the data set calls it
        return Batch(tuple(values.values()), {}, labels)
    raise DataError(
        f"a batch of X has {', '.join(raw)}, and {type(model).__name__} takes {', '.join(parameters)}"
    )


def _tensor(value: Any) -> Tensor | None:
    """Return numbers, a row for each instance, as a tensor; None for anything else (texts, a scalar)."""
    if isinstance(value, Tensor):
        return value if value.ndim else None
    if not isinstance(value, np.ndarray | list):
        return None
    array = as_array("X", value)
    return torch.as_tensor(array) if array.ndim and array.dtype.kind in "fiub" else None


# ---------------------------------------------------------------------- calls

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # TF32 keeps three digits; half types fewer
HALF_TOLERANCE = 5e-2
SMALLEST = 1e-2  # below it, differences count as if the largest value were this


@contextmanager
def speaking(model: nn.Module) -> Iterator[None]:
    """While open, ``model(batch)`` takes a `Batch` and returns its logits (n, C) alone.

    With hooks instead of a wrapper, the names of its parts stay those that the caller knows.

    Examples
    --------
    >>> net = nn.Linear(2, 3)
    >>> with speaking(net):
    ...     net(Batch((torch.zeros(1, 2),), {})).shape
    torch.Size([1, 3])
    """
    device, floats = _place(model)

    def before(
        _: nn.Module, args: tuple[Batch], __: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        batch = args[0].on(device, floats)
        return batch.args, batch.kwargs

    handles = [
        model.register_forward_pre_hook(before, with_kwargs=True),
        model.register_forward_hook(lambda _, __, out: _logits_of(out)),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _place(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    floats = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return device, floats


def _logits_of(out: Any) -> Tensor:
    """Return what a network gives, be it a tensor, a ModelOutput, a dict or a tuple, as logits (n, C)."""
    found = getattr(out, "logits", out)
    if isinstance(found, dict):
        found = found.get("logits", found.get("out"))
    if isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise CemagError(f"the network gives a {type(out).__name__} without logits: a tensor is needed")
    if found.ndim == 1:  # a binary network that squeezes its single sum
        found = found[:, None]
    if found.ndim != 2:
        raise CemagError(f"the network gives shape {tuple(found.shape)}: one row of logits a row is needed")
    return found


def call(model: nn.Module, batch: Batch) -> Tensor:
    """Logits (n, C) of a network that is `speaking`; what it raises becomes one line.

    Raises
    ------
    CemagError
        If the network fails; names the shape of the batch.

    Examples
    --------
    >>> net = nn.Linear(2, 3)
    >>> with speaking(net):
    ...     call(net, Batch((torch.zeros(1, 2),), {})).shape
    torch.Size([1, 3])
    """
    try:
        output: Tensor = model(batch)
        return output
    except CemagError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        shapes = [tuple(value.shape) for value in (*batch.args, *batch.kwargs.values())]
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CemagError(f"{type(model).__name__} fails on a batch of shape {shapes[0]}: {first}") from None


def as_numpy(values: Tensor) -> NDArray[Any]:
    """Values as float64 where they are that, else as float32.

    Examples
    --------
    >>> as_numpy(torch.ones(1, dtype=torch.bfloat16))
    array([1.], dtype=float32)
    """
    # numpy has no bfloat16, and float16 holds too few digits for sums
    return (values if values.dtype == torch.float64 else values.float()).cpu().numpy()


def rows_of(given: Tensor, made: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
    """Of a layer's input and output, take one row an instance: that token's whose output is the logits.

    Classifiers on decoders (GPT-2, Llama) apply the layer to all tokens and keep the last real one's.

    Parameters
    ----------
    given : Tensor of shape (n, d), or (n, ..., d) for a layer applied to every token
        Input of the layer.
    made : Tensor of shape (n, C) or (n, ..., C)
        Its output.
    output : Tensor of shape (n, C)
        Logits of the network.

    Returns
    -------
    features : Tensor of shape (n, d)
        Input, one row an instance.
    logits : Tensor of shape (n, C)
        Output at that row, the nearest to `output`; whether it is near enough is for the caller to say.

    Raises
    ------
    CemagError
        If there is no row for each instance.

    Examples
    --------
    >>> given = torch.tensor([[[1.0], [2.0]]])
    >>> rows_of(given, 3 * given, torch.tensor([[6.0]]))
    (tensor([[2.]]), tensor([[6.]]))
    """
    n = len(output)
    if given.ndim == 2 and len(given) == n:
        return given, made
    if given.ndim < 3 or len(given) != n or made.shape[-1] != output.shape[-1]:
        raise CemagError(
            f"the layer maps {tuple(given.shape)} to {tuple(made.shape)}, and the network gives "
            f"{tuple(output.shape)}: one vector an instance is needed"
        )
    tokens, inputs = made.reshape(n, -1, made.shape[-1]), given.reshape(n, -1, given.shape[-1])
    place = (tokens - output[:, None]).abs().amax(dim=2).argmin(dim=1)
    rows = torch.arange(n, device=place.device)
    return inputs[rows, place], tokens[rows, place]


def apart(values: NDArray[Any], others: NDArray[Any]) -> float:
    """Largest difference, as a share of the largest value.

    Examples
    --------
    >>> apart(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    0.5
    """
    return float(np.abs(values - others).max() / max(SMALLEST, float(np.abs(others).max())))


def tolerance(layer: nn.Linear) -> float:
    """How far `apart` the same sums may be after rounding to the numbers that the layer computes in.

    Examples
    --------
    >>> tolerance(nn.Linear(1, 1))
    0.001
    """
    return TOLERANCE.get(layer.weight.dtype, HALF_TOLERANCE)


# ---------------------------------------------------------------------- layers


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to evaluation mode without gradients, and each submodule back to its own mode after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


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
