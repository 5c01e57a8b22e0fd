"""What a network does between its features and its logits: recorded while it runs, and run again.

A `Tape` sees every operation on tensors, whatever module, function or compiled part it comes from, and keeps
the chains of those that are affine. Run again from other features in float64, a chain gives its exact
weights and bias. Changes nothing of the network. Imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cemag.errors import CemagError, extra

with extra("torch"):
    import torch
    from torch import Tensor
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["Call", "Node", "Read", "Replay", "Tape"]

# affine in their first argument
FIRST = (
    "neg", "positive", "clone", "contiguous", "_to_copy", "mean", "sum", "cumsum", "index",
    "index_select", "gather", "take_along_dim", "constant_pad_nd", "reflection_pad1d",
    "reflection_pad2d", "replication_pad1d", "replication_pad2d", "flip", "roll", "repeat",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d",
    "adaptive_avg_pool1d", "upsample_nearest1d", "upsample_nearest2d", "upsample_linear1d",
    "upsample_bilinear2d", "tril", "triu", "im2col", "diagonal_copy", "unfold_copy", "view_copy",
    "pixel_shuffle", "channel_shuffle", "_log_softmax",
)  # fmt: skip
# run again as it is: a log-softmax takes one number from every instance, which no softmax after it sees
SAME = ("_to_copy", "clone", "contiguous", "_log_softmax")
# change the form of a tensor in place, and nothing in its storage
FORMS = {
    "as_strided", "squeeze", "unsqueeze", "t", "transpose", "swapaxes", "swapdims", "detach",
}  # fmt: skip
# by name: the arguments in which an operation is affine together
AFFINE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add", "sub", "rsub", "where"), ("self", "other")),
    **dict.fromkeys(("cat", "stack"), ("tensors",)),
    **dict.fromkeys(("copy", "scatter", "scatter_add", "select_scatter", "slice_scatter"), ("self", "src")),
    **dict.fromkeys(("index_add", "index_copy", "masked_scatter"), ("self", "source")),
    **dict.fromkeys(("index_put", "_index_put_impl"), ("self", "values")),
    **dict.fromkeys(("masked_fill", "fill", "zero"), ("self", "value")),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), ("input",)),
    **dict.fromkeys(("miopen_batch_norm", "_native_batch_norm_legit_no_training"), ("input",)),
    **dict.fromkeys(
        FIRST,
        ("self",),
    ),
}
# by name: two factors, in each of which it is linear, and an addend; of a quotient only the upper part is
PRODUCTS: dict[str, tuple[str, str | None, str | None]] = {
    "mul": ("self", "other", None),
    "div": ("self", None, None),
    "mm": ("self", "mat2", None),
    "bmm": ("self", "mat2", None),
    "matmul": ("self", "other", None),
    "mv": ("self", "vec", None),
    "dot": ("self", "tensor", None),
    "addmm": ("mat1", "mat2", "self"),
    "baddbmm": ("batch1", "batch2", "self"),
    "addmv": ("mat", "vec", "self"),
    "linear": ("input", "weight", "bias"),
    "convolution": ("input", "weight", "bias"),
}
ELEMENTWISE = {"mul", "div"}
BATCH_NORMS = {name for name, given in AFFINE.items() if given == ("input",)}
# what usually follows the logits; what they are made of is remembered too
ENDINGS = {
    "_softmax", "sigmoid", "log_sigmoid_forward", "log", "exp", "clamp", "clamp_min",
    "clamp_max", "logit", "log1p", "softmax", "log_softmax", "reciprocal", "_safe_softmax",
}  # fmt: skip
LONGEST = 300  # operations of one affine chain
ENDING_SIZE = 2**24  # values of what an ending is made of, which are kept
SWEEP = 32  # operations between two looks for what has been freed


@dataclass(eq=False)
class Node:
    """Contents of one storage between two changes; `call` is known where they are affine in something."""

    depends: bool  # on the input of the network
    call: Call | None = None
    ending: Call | None = None
    name: str = "input"  # of the operation that made it
    before: Tensor | None = None  # contents, where they have been overwritten since
    length: int = 0


@dataclass(eq=False)
class Read:
    """A tensor as an operation read it."""

    tensor: Tensor
    node: Node
    version: int | None

    def values(self) -> Tensor:
        """Return what was read, which must still be there."""
        if self.node.before is not None:
            here = self.tensor
            return self.node.before.as_strided(here.size(), here.stride(), here.storage_offset())
        if self.version is not None and self.version != _version(self.tensor):
            raise CemagError("the network changes in place what its last linear step has read")
        return self.tensor


@dataclass(frozen=True)
class Layout:
    """Where a tensor lies in its storage."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    storage: int  # values in all
    whole: bool  # the storage in its order

    @classmethod
    def of(cls, tensor: Tensor) -> Layout:
        """Read it off a tensor."""
        whole = tensor.is_contiguous() and tensor.numel() == _numel(tensor)
        return cls(tuple(tensor.size()), tensor.stride(), int(tensor.storage_offset()), _numel(tensor), whole)


@dataclass(eq=False)
class Call:
    """One operation, as it was called."""

    name: str
    function: Any
    spec: Any  # of pytree
    values: list[Any]
    reads: dict[int, Read]  # by place in values
    places: dict[str, list[int]]  # by argument
    carries: list[Read] = field(default_factory=list)  # in which it is affine together
    rivals: list[Read] = field(default_factory=list)  # in each of which it is affine alone
    chosen: Read | None = None  # of the rivals
    operand: Read | None = None  # of a product with constants
    constant: Read | None = None  # the weights of such a product, also of an elementwise one
    is_left: bool = True
    summed: int | None = None  # of an elementwise product: the axis over which it is summed
    output: Layout | None = None
    writes: Read | None = None
    marked: bool = False  # ran inside a layer that was asked for

    @property
    def follows(self) -> bool:
        """Whether it is affine in anything that depends on the input."""
        return bool(self.carries or self.rivals or self.operand)

    @property
    def followed(self) -> list[Read]:
        """What it is affine in together, once a rival is chosen."""
        others = (self.operand, self.chosen, self.writes)
        return [*self.carries, *(one for one in others if one is not None)]


def _version(tensor: Tensor) -> int | None:
    try:
        return int(tensor._version)
    except RuntimeError:  # of an inference tensor
        return None


def _numel(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().nbytes()) // tensor.element_size()


def _flat(tensor: Tensor) -> Tensor:
    return tensor.detach().as_strided((_numel(tensor),), (1,), 0)


class Tape(TorchDispatchMode):
    """While open, follows what depends on some tensors, storage by storage.

    Parameters
    ----------
    inputs : list of Tensor
        What the network is about to be called with.

    Examples
    --------
    >>> x = torch.ones(2, 3)
    >>> with torch.no_grad(), Tape([x]) as tape:
    ...     out = (x @ torch.ones(3, 2)).softmax(1)
    >>> tape.read(out).node.ending.name
    '_softmax'
    """

    def __init__(self, inputs: list[Tensor]) -> None:
        super().__init__()
        self._cells: dict[int, tuple[StorageWeakRef, Node]] = {}
        self._since = 0
        self.marking = False  # while a layer runs that was asked for
        for one in inputs:
            self._set(one, Node(True))

    def read(self, tensor: Tensor) -> Read:
        """Return a tensor with what its storage is made of."""
        key = _key(tensor)
        known = self._cells.get(key) if key else None
        if known is not None and known[0].expired():
            known = None
        return Read(tensor, Node(False) if known is None else known[1], _version(tensor))

    def _set(self, tensor: Tensor, node: Node) -> None:
        if key := _key(tensor):
            self._cells[key] = (StorageWeakRef(tensor.untyped_storage()), node)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and note what it did."""
        kwargs = kwargs or {}
        values, spec = tree_flatten((args, kwargs))
        tensors = [value for value in values if isinstance(value, Tensor)]
        schema = func._schema
        written = _written(schema, args, kwargs) if schema.is_mutable else []
        for value in written:
            self._set(value, self.read(value).node)
        reads = [self.read(value) for value in tensors]
        depends = any(one.node.depends for one in reads)
        name = schema.name.removeprefix("aten::").rstrip("_")
        if (not schema.is_mutable and not depends) or (schema.is_mutable and name in FORMS):
            return func(*args, **kwargs)
        call = _call(name, func, spec, values, iter(reads), args, kwargs) if depends else None
        old = [self.read(value) for value in written]
        kept = [_flat(value).clone() if call is not None and call.follows else None for value in written]
        output = func(*args, **kwargs)
        for value, read, before in zip(written, old, kept, strict=True):
            if call is not None and before is not None:
                _keep(call, read, before)
            self._note(name, call, value, 0, depends, writes=read)
        if not written:
            seen = {_key(one) for one in tensors}
            made = list(output) if isinstance(output, tuple | list) else [output]
            for place, one in enumerate(made):
                if isinstance(one, Tensor) and _key(one) not in seen:  # the others are views
                    self._note(name, call, one, place, depends)
        self._sweep()
        return output

    def _note(
        self,
        name: str,
        call: Call | None,
        made: Tensor,
        place: int,
        depends: bool,
        writes: Read | None = None,
    ) -> None:
        node = Node(depends, name=name)
        first = call is not None and place == 0 and call.output is None
        if call is not None and first and made.is_floating_point():
            length = 1 + max((one.node.length for one in call.reads.values()), default=0)
            if call.follows and length <= LONGEST:
                call.output, call.writes, call.marked = Layout.of(made), writes, self.marking
                node.call, node.length = call, length
            elif name in ENDINGS and sum(one.tensor.numel() for one in call.reads.values()) <= ENDING_SIZE:
                node.ending = call
        self._set(made, node)

    def _sweep(self) -> None:
        self._since += 1
        if self._since >= SWEEP:
            self._since = 0
            self._cells = {key: cell for key, cell in self._cells.items() if not cell[0].expired()}


def _keep(call: Call, written: Read, before: Tensor) -> None:
    """Remember the contents of a storage that an operation is about to change, instead of the storage."""
    written.node.before = before
    for read in (written, *call.reads.values()):
        if read.node is written.node:
            here = read.tensor
            read.tensor = before.as_strided(here.size(), here.stride(), here.storage_offset())
            read.version = None


def _written(schema: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """Arguments that an operation changes in place."""
    changed = [
        args[spot] if spot < len(args) else kwargs.get(argument.name)
        for spot, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return [value for value in changed if isinstance(value, Tensor)]


def _key(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse tensors have none
        return 0


def _call(
    name: str, func: Any, spec: Any, values: list[Any], reads: Iterator[Read], args: Any, kwargs: Any
) -> Call:
    """Describe an operation: in which of its arguments it is affine, and whether it weighs by constants."""
    arguments = [argument.name for argument in func._schema.arguments]
    given = [(arguments[i], value) for i, value in enumerate(args)] + list(kwargs.items())
    places: dict[str, list[int]] = {}
    at = 0
    for argument, value in given:
        size = len(tree_flatten(value)[0])
        places[argument] = list(range(at, at + size))
        at += size
    by_place = {place: next(reads) for place, value in enumerate(values) if isinstance(value, Tensor)}
    call = Call(name, func, spec, values, by_place, places)

    def of(argument: str | None) -> list[Read]:
        spots = places.get(argument, ()) if argument else ()
        return [by_place[place] for place in spots if place in by_place]

    def carried(*names: str | None) -> list[Read]:
        return [one for argument in names for one in of(argument) if one.node.depends]

    if name in PRODUCTS:
        left, right, addend = PRODUCTS[name]
        _product(call, of(left), of(right), carried(addend), dict(given))
    elif name in AFFINE and _is_affine(name, call, dict(given)):
        call.carries = carried(*AFFINE[name])
        if name in ("sum", "mean") and call.carries:
            _mark_summed(call.carries[0], dict(given))
    return call


def _is_affine(name: str, call: Call, given: dict[str, Any]) -> bool:
    if name in BATCH_NORMS and name != "_native_batch_norm_legit_no_training":
        return given.get("training", given.get("train")) is False
    return name != "scatter" or "reduce" not in given


def _product(
    call: Call, left: list[Read], right: list[Read], addend: list[Read], given: dict[str, Any]
) -> None:
    call.carries = list(addend)
    sides = [side[0] if side else None for side in (left, right)]
    moving = [one for one in sides if one is not None and one.node.depends]
    if call.name == "convolution":
        plain = not given["transposed"] and given["groups"] == 1
        if not plain or sides[0] is None or not sides[0].node.depends or len(moving) > 1:
            call.carries = []
            return
    if call.name == "div":
        if given.get("rounding_mode") is None:
            call.carries += moving
        return
    call.constant = next((one for one in sides if one is not None and not one.node.depends), None)
    if len(moving) == 2:
        call.rivals = moving
    elif moving and call.name in ELEMENTWISE:
        call.carries += moving
        call.is_left = moving[0] is sides[0]
    elif moving:
        call.operand, call.is_left = moving[0], moving[0] is sides[0]
    elif not addend:
        call.carries = []


def _mark_summed(read: Read, given: dict[str, Any]) -> None:
    """Of an elementwise product by constants that is summed at once, note the axis."""
    product, dims = read.node.call, given.get("dim")
    if product is None or product.name != "mul" or product.rivals or product.output is None:
        return
    shape = tuple(read.tensor.shape)
    axes = [dims] if isinstance(dims, int) else dims
    if shape != product.output.size or not axes or len(axes) != 1:
        return
    axis = axes[0] if axes[0] < 0 else axes[0] - len(shape)
    sides = [one.tensor for one in product.reads.values()]
    if all(one.ndim >= -axis and one.shape[axis] == shape[axis] for one in sides) and len(sides) == 2:
        product.summed = axis


# ---------------------------------------------------------------------- run again


class Replay:
    """Runs recorded operations again in float64, from other contents of some nodes.

    Parameters
    ----------
    contents : dict of Node to Tensor
        Flat contents to start from.
    patches : dict of Call to Tensor
        For a convolution, the rows (n, ..., d) that its kernel is laid on, in place of its input.
    """

    def __init__(self, contents: dict[Node, Tensor], patches: dict[Call, Tensor], device: Any) -> None:
        self._contents = dict(contents)
        self._patches = patches
        self._device = device
        self._leads: dict[Node, bool] = {}

    def leads(self, node: Node) -> bool:
        """Whether a node is made of those that the replay starts from."""
        if node in self._contents:
            return True
        if node not in self._leads:
            call = node.call
            self._leads[node] = call is not None and (
                call in self._patches or any(self.leads(one.node) for one in call.followed)
            )
        return self._leads[node]

    def read(self, read: Read) -> Tensor:
        """Return what an operation would read, in float64."""
        here = read.tensor
        if not self.leads(read.node):
            return self._constant(read.values())
        return self._content(read.node).as_strided(here.size(), here.stride(), here.storage_offset())

    def _constant(self, values: Tensor) -> Tensor:
        values = values.detach()
        double = torch.float64 if values.is_floating_point() else values.dtype
        return values.to(self._device, double, copy=True)

    def _content(self, node: Node) -> Tensor:
        if node not in self._contents:
            call = node.call
            assert call is not None
            assert call.output is not None
            made, out = self._run(call).expand(call.output.size), call.output
            if out.whole:
                self._contents[node] = made.reshape(-1)
            else:
                under = self._under(call, out).clone()  # as_strided_scatter has a wrong gradient
                under.as_strided(out.size, out.stride, out.offset).copy_(made)
                self._contents[node] = under
        return self._contents[node]

    def _under(self, call: Call, out: Layout) -> Tensor:
        """Return the contents of a storage of which a part is about to be written."""
        if call.writes is None:
            return torch.zeros(out.storage, dtype=torch.float64, device=self._device)
        node = call.writes.node
        if self.leads(node):
            return self._content(node)
        assert node.before is not None
        return self._constant(node.before)

    def _run(self, call: Call) -> Tensor:
        if call in self._patches:
            return self._convolved(call, self._patches[call])
        given = [_double(value) for value in call.values]
        for place, read in call.reads.items():
            moves = any(read is one for one in call.followed)
            given[place] = self.read(read) if moves else self._constant(read.values())

        def argument(name: str) -> Any:
            places = call.places.get(name)
            return given[places[0]] if places else None

        if call.name in SAME:
            return argument("self")
        if call.name == "copy":
            return argument("src")
        if call.name in BATCH_NORMS:
            return _normed(argument)
        function = call.function
        if call.writes is not None:  # the same operation, without changing anything
            packet = getattr(torch.ops.aten, call.name)
            function = getattr(packet, function._overloadname)
        args, kwargs = tree_unflatten(given, call.spec)
        made = function(*args, **kwargs)
        return made[0] if isinstance(made, tuple | list) else made

    def _convolved(self, call: Call, patches: Tensor) -> Tensor:
        weight, bias = (
            self._constant(call.reads[place].values()) if place in call.reads else None
            for place in (call.places["weight"][0], call.places["bias"][0])
        )
        assert weight is not None
        made = patches @ weight.flatten(1).T
        return (made if bias is None else made + bias).movedim(-1, 1)


def _double(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value.is_floating_point else value


def _normed(argument: Any) -> Tensor:
    values: Tensor = argument("input")
    shape = [1, -1] + [1] * (values.ndim - 2)
    mean, var = argument("running_mean"), argument("running_var")
    eps = argument("eps") if argument("eps") is not None else argument("epsilon")
    out = (values - mean.view(shape)) * torch.rsqrt(var.view(shape) + eps)
    if argument("weight") is not None:
        out = out * argument("weight").view(shape)
    return out if argument("bias") is None else out + argument("bias").view(shape)


def patches(values: Tensor, call: Call) -> Tensor:
    """Rows (n, ..., d) that a convolution weighs: what its kernel is laid on, place by place."""

    def argument(name: str) -> Any:
        return [call.values[place] for place in call.places[name]]

    kernel = call.reads[call.places["weight"][0]].tensor.shape[2:]
    stride, padding, dilation = (
        list(argument(name)) * (len(kernel) if len(argument(name)) == 1 else 1)
        for name in ("stride", "padding", "dilation")
    )
    width = [extent for one in reversed(padding) for extent in (one, one)]
    rows = torch.nn.functional.pad(values, width)
    for axis, size in enumerate(kernel):
        rows = rows.unfold(2 + axis, dilation[axis] * (size - 1) + 1, stride[axis])
    for axis in range(len(kernel)):
        reach = rows.shape[2 + len(kernel) + axis]
        spread = torch.arange(0, reach, dilation[axis], device=rows.device)
        rows = rows.index_select(2 + len(kernel) + axis, spread)
    rows = rows.movedim(1, 1 + len(kernel))  # (n, places, d, kernel)
    return rows.flatten(1 + len(kernel))


def is_pointwise(call: Call) -> bool:
    """Whether a convolution weighs every place on its own."""
    kernel = call.reads[call.places["weight"][0]].tensor.shape[2:]
    moved = [call.values[p] for name in ("stride", "padding") for p in call.places[name]]
    half = len(call.places["stride"])
    return math.prod(kernel) == 1 and set(moved[:half]) == {1} and set(moved[half:]) <= {0}
