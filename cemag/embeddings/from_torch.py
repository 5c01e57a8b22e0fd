"""From a network to its factors: what its last linear step weighs, checked against its own output.

Runs the network and leaves it as it was: weights, modes, hooks, statistics and generators. Imports torch.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import product
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cemag.embeddings.arrays import as_array
from cemag.embeddings.factors import Factors, factors
from cemag.embeddings.promise import settle
from cemag.errors import CemagError, DataError, check_known, extra

with extra("torch"):
    import torch
    from torch import Tensor, nn
    from torch.nn.modules.lazy import LazyModuleMixin
    from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler

    from cemag.embeddings.torch_step import Found, LinearStep, find, solve
    from cemag.embeddings.torch_tape import Read, Tape

__all__ = ["torch_factors"]

LISTED = 8
ENDINGS = 4  # nonlinear operations that may follow the logits, one after the other
# of the output, by the type of numbers that it is computed in; float64 and float32 as `relative_tolerance`
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 3e-2}
Array = NDArray[np.float64]


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
    layer : nn.Module or str, optional
        The layer whose weights count, or its dotted name; the last linear step is found when not given,
        in whatever module, function or operation it is.
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
        Its logits are the network's output, up to one number an instance; where that is probabilities, the
        sums that these are made of, and a note says so. Checked on every instance: to 1e-4 of their size in
        float32, 1e-2 in float16, 3e-2 in bfloat16. What is linear in the features is merged into the
        weights (adapters, adjusted logits, temperatures), several linear steps are joined, and averages of
        logits become averages of features.

    Raises
    ------
    CemagError
        If the network's output is not made of weighted sums of features, the same weights for every
        instance; says what was found.
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
    model = _bare(model)
    _refuse_task(model)
    _refuse_empty(model)
    named = _named_layer(model, layer)
    stream = batches(X, y, batch_size, model)
    given = class_names or class_names_of(X) or _names_of_model(model)
    with evaluating(model, _generators(X)):
        network = _Network(model, named)
        first = next(stream)
        plan, ran = _plan(network, first, None if given is None else len(given))
        parts = [(plan.features(ran), first.labels)]
        for batch in stream:
            parts.append((plan.features(network.run(batch)), batch.labels))
    if not plan.checked:
        plan.refuse_saturated()
    if any(labels is None for _, labels in parts):
        raise DataError("y is missing, and X comes without labels: the true class of every row is needed")
    return factors(
        np.concatenate([part for part, _ in parts]),
        plan.weights,
        plan.bias,
        np.concatenate([labels for _, labels in parts]),
        class_names=class_names or _class_names(model, X, max(2, len(plan.weights))),
        feature_names=feature_names,
        model_name=model_name or type(model).__name__,
        notes=plan.notes,
    )


# ---------------------------------------------------------------------- running the network


@dataclass(frozen=True)
class _Ran:
    """One batch: what the network gave, by path, and the tape of how."""

    outputs: dict[str, Tensor]
    tape: Tape
    n: int


class _Network:
    """A network, called on batches while a tape records."""

    def __init__(self, model: nn.Module, layer: tuple[str, nn.Module] | None) -> None:
        self.model, self.layer = model, layer
        self.kind = type(model).__name__
        self._device, self._floats = _place(model)
        self._form: tuple[bool, bool] | None = None  # of the first call that succeeded

    def run(self, batch: Batch) -> _Ran:
        """Call the network on a batch.

        Raises
        ------
        CemagError
            If it fails, or gives nothing that may be logits.
        """
        failed: Exception | None = None
        for form in [self._form] if self._form else self._forms(batch):
            try:
                ran = self._run(batch, *form)
            except CemagError:
                raise
            except Exception as error:  # whatever a network raises becomes one line
                failed = failed or error
            else:
                self._form = form
                return ran
        first = (str(failed).strip().splitlines() or [type(failed).__name__])[0]
        shape = tuple(batch.tensors[0].shape)
        raise CemagError(f"{self.kind} fails on a batch of shape {shape}: {first}") from None

    def _forms(self, batch: Batch) -> list[tuple[bool, bool]]:
        """Ways to call it: whole numbers as they are or not, a single named argument by name or not."""
        whole = [True, False] if any(_is_whole(value) for value in batch.tensors) else [True]
        named = [True, False] if len(batch.kwargs) == 1 and not batch.args else [True]
        return [(one, other) for other in named for one in whole]

    def _run(self, batch: Batch, whole: bool, named: bool) -> _Ran:
        sent = batch.on(self._device, self._floats, whole=whole)
        if not named:
            sent = replace(sent, args=tuple(sent.kwargs.values()), kwargs={})
        args, kwargs = _arguments(self.model, sent)
        with torch.no_grad(), Tape(sent.tensors) as tape, self._marking(tape):
            out = self.model(*args, **kwargs)
        found = _tensors(out)
        shaped = {path: _rows(value, batch.size) for path, value in found.items()}
        rows = {path: value for path, value in shaped.items() if value is not None}
        if not rows:
            shapes = ", ".join(dict.fromkeys(str(tuple(value.shape)) for value in found.values()))
            raise CemagError(
                f"the network gives shape {shapes}: one row of logits an instance is needed"
                if found
                else f"the network gives a {type(out).__name__} without logits: a tensor is needed"
            )
        return _Ran(rows, tape, batch.size)

    @contextmanager
    def _marking(self, tape: Tape) -> Iterator[None]:
        if self.layer is None:
            yield
            return
        layer = self.layer[1]

        def mark(on: bool) -> None:
            tape.marking = on

        handles = [
            layer.register_forward_pre_hook(lambda *_: mark(True)),
            layer.register_forward_hook(lambda *_: mark(False), always_call=True),
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


def _is_whole(value: Tensor) -> bool:
    return not value.is_floating_point() and not value.is_complex()


def _arguments(model: nn.Module, batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments as ``forward`` takes them: its only one may be by keyword."""
    parameters = _parameters(model).values()
    if (
        len(batch.args) == 1
        and parameters
        and not any(
            one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL)
            for one in parameters
        )
    ):
        named = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
        needed = [one for one in named if one.default is one.empty] or named
        if needed:
            return (), {needed[0].name: batch.args[0]}
    return batch.args, batch.kwargs


def _parameters(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    """What ``forward`` takes; nothing where it does not say, as what was traced."""
    try:
        return inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return {}


def _tensors(out: Any, path: str = "") -> dict[str, Tensor]:
    """Every tensor of numbers in what a network gives, by its path; those named logits come first."""
    if isinstance(out, Tensor):
        return {path: out} if out.is_floating_point() else {}
    if isinstance(out, Mapping):
        items = [(str(name), value) for name, value in out.items()]
    elif dataclasses.is_dataclass(out):
        items = [(field.name, getattr(out, field.name)) for field in dataclasses.fields(out)]
    elif isinstance(out, tuple | list):
        names = getattr(out, "_fields", range(len(out)))
        items = [(str(name), value) for name, value in zip(names, out, strict=True)]
    elif hasattr(out, "__dict__"):
        items = list(vars(out).items())
    else:
        return {}
    items.sort(key=lambda item: "logit" not in item[0].lower())
    found: dict[str, Tensor] = {}
    for name, value in items:
        found |= _tensors(value, f"{path}.{name}" if path else name)
    return found


def _rows(out: Tensor, n: int) -> Tensor | None:
    """Return an output as (n, C), whatever axes of length 1 it has or lacks; None for other forms."""
    shape = [size for size in out.shape if size != 1]
    if n == 1:
        return out.reshape(1, -1) if len(shape) < 2 else None
    return out.reshape(n, -1) if shape[:1] == [n] and len(shape) < 3 else None


# ---------------------------------------------------------------------- which sums make which output


@dataclass
class _Plan:
    """How every batch is read: the path of the output, and how many endings lie after its sums."""

    kind: str
    path: str
    place: int
    step: LinearStep
    link: str
    notes: tuple[str, ...]
    marked: bool
    deep: bool
    turned: bool = False  # whether a single sum speaks for the first of two columns
    checked: bool = False

    def __post_init__(self) -> None:
        self.weights: NDArray[Any]
        self.bias: NDArray[Any]
        weights, bias = self.step.weights.cpu().numpy(), self.step.bias.cpu().numpy()
        if self.step.single and len(weights) == 2:  # two columns of one number: [1 - p, p], [0, z], [-z, z]
            weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
        weights, bias = (-weights, -bias) if self.turned else (weights, bias)
        self.weights, self.bias = weights, bias
        narrow = self.weights.astype(np.float32)
        if (narrow == self.weights).all() and (self.bias.astype(np.float32) == self.bias).all():
            self.weights, self.bias = narrow, self.bias.astype(np.float32)

    def features(self, ran: _Ran) -> NDArray[Any]:
        """Features of a batch, its sums held against its output."""
        if self.path not in ran.outputs:
            raise CemagError(f"{self.kind} gives no output {self.path!r} for every batch")
        output = ran.outputs[self.path]
        targets = _targets(ran, output)
        if self.place >= len(targets):
            raise CemagError(f"{self.kind} computes its output otherwise in some batches than in the first")
        found = find(targets[self.place], marked=self.marked, deep=self.deep)
        if not found.sources:
            raise CemagError(f"{self.kind} computes its output otherwise in some batches than in the first")
        return self.held(found, output, ran.n)

    def held(self, found: Found, output: Tensor, n: int, *, fold: bool = False) -> NDArray[Any]:
        """Return features whose sums are the output by the link of the plan.

        On request, a number of each class and a factor of all that come after the link, as where logits
        are adjusted after a softmax, become part of the bias and the weights.
        """
        try:
            vectors = as_numpy(self.step.features(found, n))
        except CemagError as error:
            raise CemagError(f"{self.kind}: {error}") from None
        if not np.isfinite(vectors).all():
            self.checked = True
            return vectors  # `factors` refuses them and says where
        rows = vectors.astype(np.float64)
        sums = rows @ self.weights.T.astype(np.float64) + self.bias
        own, doubt = _linked(as_numpy(output), self.link, sums.shape[1])
        if not (np.isfinite(own).sum(axis=1) >= min(2, own.shape[1])).any():
            return vectors
        size = np.abs(rows) @ np.abs(self.weights.T.astype(np.float64)) + np.abs(self.bias)
        rounding = 0.0 if output.dtype == torch.float64 else 8 * np.finfo(np.float32).eps * size
        factor, shift = settle(self.kind, own, sums, doubt + rounding, TOLERANCE[_precision(found, output)])
        if fold:
            self.weights, self.bias = self.weights * factor, self.bias * factor + shift
            if factor != 1.0 or shift.any():
                note = "What follows its probabilities (numbers of the classes, a factor) is part of the weights."
                self.notes += (note,)
        elif factor != 1.0 or shift.any():
            raise CemagError(
                f"{self.kind} does not decide by its CEs: its output is off their sums by up to "
                f"{np.abs(own - sums)[np.isfinite(own)].max():.3g}"
            )
        self.checked = True
        return vectors

    def refuse_saturated(self) -> None:
        """Say that nothing is known of the sums."""
        raise CemagError(
            f"{self.kind} gives probabilities of 0 and 1 alone: its sums cannot be held against its CEs; "
            "give instances of which it is less sure"
        )


def _plan(network: _Network, first: Batch, n_classes: int | None) -> tuple[_Plan, _Ran]:
    """Find the sums that make the output, on the first batch; the first output that has them is taken."""
    try:
        small = network.run(first.head(2))
        known = set(small.outputs)
    except CemagError:
        small, known = None, set()
    ran = network.run(first)
    few = ran if small is None or not known >= set(ran.outputs) else small
    labels = n_classes or _classes_in(first.labels)
    errors: list[CemagError] = []
    for path in sorted(ran.outputs, key=lambda path: _rank(path, ran.outputs[path], labels)):
        try:
            plan = _plan_of(network, path, few, ran)
            plan.notes += _varying(network.kind, few.outputs[path], ran.outputs[path])
            return plan, ran
        except CemagError as error:
            errors.append(error)
    raise errors[0]


def _varying(kind: str, one: Tensor, other: Tensor) -> tuple[str, ...]:
    """Say so where the same instances have other outputs in another call."""
    first, second = as_numpy(one), as_numpy(other[: len(one)])
    far = 10 * TOLERANCE.get(one.dtype, 1e-4) * np.nanmax(np.abs(second), initial=0)
    if np.allclose(first, second, rtol=0, atol=far, equal_nan=True):
        return ()
    return (
        f"{kind} gives the same instances another output in another call: it draws at random, or looks at "
        "the whole batch. Its CEs are of one call.",
    )


def _classes_in(labels: Any) -> int | None:
    if labels is None:
        return None
    values = as_array("labels", labels)
    return int(values.max()) + 1 if values.dtype.kind in "iu" and values.size else len(pd.unique(values))


def _rank(path: str, output: Tensor, n_classes: int | None) -> tuple[bool, bool]:
    """Logits by name come first, then an output that has the classes of the labels."""
    width = max(2, output.shape[1])
    return "logit" not in path.lower(), n_classes is not None and width != n_classes


def _plan_of(network: _Network, path: str, few: _Ran, ran: _Ran) -> _Plan:
    marked = network.layer is not None
    output = ran.outputs[path]
    refusals: list[CemagError] = []
    small, large = (_targets(one, one.outputs[path]) for one in (few, ran))
    ways = [(place, deep) for deep in (False, True) for place in range(min(len(small), len(large)))]
    for place, deep in ways:
        found, whole = (find(one[place], marked=marked, deep=deep) for one in (small, large))
        if not found.sources or not whole.sources:
            continue
        try:
            step = solve(found, few.n)
        except CemagError as error:
            refusals.append(CemagError(f"{network.kind}: {error}"))
            continue
        either = (False, True) if output.shape[1] == 2 and len(step.weights) == 1 else (False,)
        for link, turned in product(_links(output, place), either):
            notes = _notes(network.kind, step, link)
            plan = _Plan(network.kind, path, place, step, link, notes, marked, deep, turned)
            try:
                plan.held(whole, output, ran.n, fold=place > 0)
                return plan
            except CemagError as error:
                refusals.append(error)
    raise refusals[0] if refusals else _without(network, few, path)


def _without(network: _Network, ran: _Ran, path: str) -> CemagError:
    node = ran.tape.read(ran.outputs[path]).node
    made = node.name
    if not node.depends:
        return CemagError(
            f"{network.kind} gives an output that no operation of torch makes of its input (it is constant, "
            "or made by way of numpy or Python): CEs are defined by a last linear step"
        )
    if network.layer is not None:
        name, layer = network.layer
        return CemagError(
            f"layer {name!r} of {network.kind} ({type(layer).__name__}) does not make its output by weighted "
            f"sums alone, which ends in the operation {made}"
        )
    return CemagError(
        f"{network.kind} has no linear layer that makes its output: before any weights comes the operation "
        f"{made}; CEs are defined by a last linear step"
    )


def _targets(ran: _Ran, output: Tensor) -> list[Read]:
    """What may be the logits: the output, and what its last nonlinear operations were applied to."""
    queue: deque[tuple[Read, int]] = deque([(ran.tape.read(output), 0)])
    found: list[Read] = []
    seen = set()
    while queue and len(found) < LISTED:
        target, depth = queue.popleft()
        if target.node in seen:
            continue
        seen.add(target.node)
        if _rows(target.tensor, ran.n) is not None:
            found.append(target)
        if depth < ENDINGS:
            queue.extend((read, depth + 1) for read in _before(target, set()))
    return found


def _before(target: Read, seen: set[Any]) -> Iterator[Read]:
    """What the nonlinear operations were applied to from which a tensor is made by sums."""
    node = target.node
    if node in seen:
        return
    seen.add(node)
    if node.ending is not None:
        yield from (one for one in node.ending.reads.values() if one.node.depends)
    elif node.call is not None:
        for one in (*node.call.followed, *node.call.rivals):
            yield from _before(one, seen)


def _links(output: Tensor, place: int) -> list[str]:
    """How sums may be read off an output: as it is, or through the probabilities that they become."""
    values = as_numpy(output)
    if place == 0 or not np.isfinite(values).all() or values.min() < 0:
        return ["itself"]
    shares = ["logit"] if values.max() <= 1 else []
    return [*(["log"] if values.shape[1] > 1 else []), *shares, "itself"]


def _linked(values: NDArray[Any], link: str, n_sums: int) -> tuple[Array, Array]:
    """Output as sums (n, n_sums), and how far each may be off where it is a rounded probability."""
    own = values.astype(np.float64)
    doubt = np.zeros_like(own)
    if link != "itself":
        last = np.finfo(values.dtype).eps
        with np.errstate(all="ignore"):
            doubt = 8 * last / own if link == "log" else 8 * last / (own * (1 - own))
            own = np.log(own) if link == "log" else np.log(own) - np.log1p(-own)
        doubt = np.where(np.isfinite(doubt), doubt, 0.0)
        own[doubt > 1] = np.nan  # what is left of it is rounding
    if own.shape[1] == 2 and n_sums == 1:
        own, doubt = own[:, 1:] - own[:, :1], doubt.max(axis=1, keepdims=True)
    return own, doubt


def _precision(found: Found, output: Tensor) -> torch.dtype:
    used = {output.dtype, found.target.tensor.dtype, *found.dtypes}
    return max((one for one in used if one in TOLERANCE), key=TOLERANCE.__getitem__)


def _notes(kind: str, step: LinearStep, link: str) -> tuple[str, ...]:
    notes = []
    if link != "itself":
        notes.append(f"{kind} gives probabilities: its CEs are of the sums that these are made of.")
    if len(step.shares) > 1:
        widths = " + ".join(str(share.weights.shape[1]) for share in step.shares)
        notes.append(f"{kind} adds up {len(step.shares)} linear steps: their features ({widths}) are joined.")
    if any(share.mode == "weighted" for share in step.shares):
        notes.append(f"{kind} weighs several vectors an instance alike: a feature is their (weighted) mean.")
    return tuple(notes)


def as_numpy(values: Tensor) -> NDArray[Any]:
    """Values as float64 where they are that, else as float32; a copy that nothing else holds.

    Examples
    --------
    >>> as_numpy(torch.ones(1, dtype=torch.bfloat16))
    array([1.], dtype=float32)
    """
    # numpy has no bfloat16, and float16 holds too few digits for sums
    kept = values.detach() if values.dtype == torch.float64 else values.detach().float()
    return kept.cpu().numpy().copy()


# ---------------------------------------------------------------------- the network as it is given


def _bare(model: nn.Module) -> nn.Module:
    """Return what is compiled, or spread over devices, as it is."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if inner is None:
            return model
        model = inner


def _refuse_empty(model: nn.Module) -> None:
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if value.is_meta:
            raise CemagError(f"{type(model).__name__} is on the device meta ({name}): it holds no weights")


def _named_layer(model: nn.Module, layer: nn.Module | str | None) -> tuple[str, nn.Module] | None:
    if layer is None:
        return None
    parts = {name or "itself": part for name, part in model.named_modules()}
    linear = {name: part for name, part in parts.items() if isinstance(part, nn.Linear)}
    if isinstance(layer, str):
        return layer, parts[layer if layer in parts else check_known("layer", layer, linear)]
    for name, part in parts.items():
        if part is layer:
            return name, part
    raise CemagError(f"layer {layer} is no layer of {type(model).__name__}; known: {_listed(linear)}")


def _listed(linear: Mapping[str, nn.Module]) -> str:
    names = [f"{name} ({part.in_features} to {part.out_features})" for name, part in linear.items()]
    return ("..., " if len(names) > LISTED else "") + ", ".join(names[-LISTED:])


def _generators(X: Any) -> list[torch.Generator]:
    """Those that a loader draws from."""
    found = []
    for one in (X, getattr(X, "sampler", None), getattr(getattr(X, "batch_sampler", None), "sampler", None)):
        if isinstance(generator := getattr(one, "generator", None), torch.Generator):
            found.append(generator)
    return found


@dataclass(frozen=True)
class _Kept:
    """What a part of a network holds beside its weights: attributes, and buffers with their contents."""

    part: nn.Module
    attributes: dict[str, Any]
    buffers: dict[str, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, part: nn.Module) -> _Kept:
        """Note it; of what is scripted the buffers alone can be."""
        attributes = {} if isinstance(part, torch.jit.ScriptModule) else dict(vars(part))
        own = part.named_buffers(recurse=False)
        return cls(part, attributes, {name: (one, one.detach().clone()) for name, one in own})

    def put_back(self) -> None:
        """Undo what calls have changed."""
        now = vars(self.part)
        if self.attributes:
            for name in [one for one in now if one not in self.attributes]:
                del now[name]
            now.update(self.attributes)
        for name, (buffer, values) in self.buffers.items():
            if getattr(self.part, name, None) is not buffer:
                setattr(self.part, name, buffer)
            if not torch.equal(buffer, values):
                with torch.no_grad():
                    buffer.copy_(values)


@contextmanager
def evaluating(module: nn.Module, generators: Sequence[torch.Generator] = ()) -> Iterator[None]:
    """Switch to evaluation mode without gradients; modes, attributes, buffers and generators are put back.

    Under ``no_grad``, not ``inference_mode``: what the network keeps of a call must serve its training.
    """
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    kept = [_Kept.of(part) for part in module.modules() if not isinstance(part, LazyModuleMixin)]
    numbers, python = np.random.get_state(), random.getstate()  # noqa: NPY002
    held = [value for part in module.modules() for value in vars(part).values()]
    own = [*generators, *(value for value in held if isinstance(value, torch.Generator))]
    states = [generator.get_state() for generator in own]
    draws = [
        (one.bit_generator, one.bit_generator.state) for one in held if isinstance(one, np.random.Generator)
    ]
    devices = [p.device for p in module.parameters() if p.device.type == "cuda"]
    compiled = any(hasattr(part, "_orig_mod") or part._compiled_call_impl for part in module.modules())
    try:
        module.eval()
    except NotImplementedError:  # of an exported program
        raise CemagError(
            f"{type(module).__name__} has no evaluation mode: the network itself is needed"
        ) from None
    try:
        with (
            torch.inference_mode(False),
            torch.random.fork_rng(devices=sorted({one.index for one in devices})),
            torch.compiler.set_stance("force_eager") if compiled else nullcontext(),
            torch.no_grad(),
        ):
            yield
    finally:
        for one in kept:
            one.put_back()
        for part, mode in modes:
            part.training = mode
        for generator, state in zip(own, states, strict=True):
            generator.set_state(state)
        for bits, before in draws:
            bits.state = before
        np.random.set_state(numbers)  # noqa: NPY002
        random.setstate(python)


# ---------------------------------------------------------------------- what the model says of itself


def _refuse_task(model: nn.Module) -> None:
    task = getattr(getattr(model, "config", None), "problem_type", None)
    if task in ("regression", "multi_label_classification"):
        raise CemagError(f"{type(model).__name__} has problem_type {task!r}: one class an instance is needed")


def _class_names(model: nn.Module, X: Any, n_classes: int) -> list[str] | None:
    named = class_names_of(X)
    if named is not None:
        if len(named) != n_classes:
            raise DataError(
                f"X names {len(named)} classes and the network has {n_classes}: pass class_names, in the "
                "order of the network's outputs"
            )
        return named
    names = _names_of_model(model)
    default = names is None or names == [f"LABEL_{c}" for c in range(n_classes)]
    return None if default or names is None or len(names) != n_classes else names


def _names_of_model(model: nn.Module) -> list[str] | None:
    labels = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(labels, dict):
        return None
    return [str(labels.get(c, labels.get(str(c), c))) for c in range(len(labels))]


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
        return len(self.tensors[0])

    def head(self, n: int) -> Batch:
        """Return the first instances, with every argument that has a row for each."""
        return self._changed(lambda value: value[:n] if len(value) == self.size else value)

    @property
    def tensors(self) -> list[Tensor]:
        """All arguments."""
        return [*self.args, *self.kwargs.values()]

    def on(self, device: torch.device, floats: torch.dtype, *, whole: bool = True) -> Batch:
        """Return a copy on a device, of the network's type; whole numbers stay so unless `whole` is off."""

        def sent(value: Tensor) -> Tensor:
            keep = not value.is_floating_point() and (whole or value.is_complex())
            return value.to(device, value.dtype if keep else floats, copy=True)

        return self._changed(sent)

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
    if not isinstance(batch_size, Integral) or batch_size < 1:
        raise CemagError(f"batch_size is {batch_size!r}: a whole number of at least 1 is needed")
    labels = None if y is None else as_array("labels", y)
    if labels is not None and labels.ndim != 1:
        raise DataError(f"y has shape {labels.shape}: one axis is needed, one label an instance")
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
    if hasattr(X, "columns") and callable(getattr(X, "to_pandas", None)):  # polars, pyarrow
        X = X.to_pandas()
    if isinstance(X, pd.DataFrame):
        return _slices(_of_frame(X), batch_size)
    if getattr(X, "is_nested", False):
        raise DataError("X is a nested tensor: rows of one length are needed, padded and with a mask")
    if callable(getattr(X, "tocsr", None)):
        rows = X.tocsr()
        return (rows[i : i + batch_size].toarray() for i in range(0, rows.shape[0], batch_size))
    if isinstance(X, Tensor) and X.layout != torch.strided:
        return _slices(X.to_dense(), batch_size)
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


def _of_frame(frame: pd.DataFrame) -> NDArray[Any]:
    """Columns of numbers and truth values as one array."""
    columns = []
    for name, column in frame.items():
        if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_complex_dtype(column.dtype):
            raise DataError(f"X has the column {name!r} of dtype {column.dtype}: numbers are needed")
        if column.isna().any():
            raise DataError(f"X has {column.isna().sum()} missing values in the column {name!r}")
        columns.append(np.asarray(column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None))))
    return np.column_stack(columns) if columns else frame.to_numpy()


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
        inner = _inputs(raw[0], model)
        return inner if len(raw) == 1 else replace(inner, labels=as_array("labels", raw[1]))
    found = f"{len(raw)} parts" if isinstance(raw, list | tuple) else f"a {type(raw).__name__}"
    raise DataError(f"a batch of X has {found}: x, (x, y) or a mapping of names to tensors is needed")


def _inputs(raw: Any, model: nn.Module) -> Batch:
    """What comes with labels: one input, a mapping, or several by position."""
    if isinstance(raw, list | tuple) and len(raw) > 1:
        values = [_tensor(value) for value in raw]
        if all(value is not None for value in values):
            return Batch(tuple(values), {})
    return _batch(raw, model)


def _named(raw: Mapping[str, Any], model: nn.Module) -> Batch:
    labels = next((as_array("labels", raw[name]) for name in LABELS if name in raw), None)
    tensors = {name: _tensor(value) for name, value in raw.items() if name not in LABELS}
    values = {name: value for name, value in tensors.items() if value is not None}
    parameters = _parameters(model)
    takes_all = not parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    known = {name: value for name, value in values.items() if takes_all or name in parameters}
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
