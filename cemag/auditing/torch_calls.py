"""One call of a network as data: a batch in, its logits and what one layer had out.

Runs the network with hooks that are taken away after. Imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cemag.auditing.torch_batches import Batch
from cemag.errors import CemagError

__all__ = ["apart", "as_numpy", "call", "rows_of", "speaking", "tolerance"]

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
