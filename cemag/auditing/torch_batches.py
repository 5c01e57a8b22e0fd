"""What a network can be run on (tensors, arrays, data sets, loaders) as batches of one form.

Iterates over what it is given, and moves batches to the network's device. Imports torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler

from cemag.auditing.arrays import as_array
from cemag.errors import CemagError, DataError

__all__ = ["Batch", "batches", "class_names_of"]

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
