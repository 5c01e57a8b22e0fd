"""The last linear step of a network, out of what a tape recorded: which vectors it weighs, and how.

Backwards from the logits, affine operations are followed to the first products with constants, whatever
module or function they are of; weights and bias are those of all of these together. Imports torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from cemag.embeddings.torch_tape import BATCH_NORMS, Call, Node, Read, Replay, is_pointwise, patches
from cemag.errors import CemagError, extra

with extra("torch"):
    import torch
    from torch import Tensor

__all__ = ["Found", "LinearStep", "Share", "Source", "find", "solve"]

EXACT = 1e-7  # of sums that are run again in float64, as a share
LONGEST_JOINED = 2**20  # features of an instance whose vectors are joined to one
ROWWISE = {"add", "sub", "rsub", "neg", "clone", "_to_copy", "mul", "div", "cat", *BATCH_NORMS}

Layout = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class Source:
    """Vectors that are weighed: of a node, or what a convolution lays its kernel on."""

    read: Read
    rows: Tensor  # (..., d), as they lie in memory; of a wide convolution its input
    width: int = 0  # sums that are made of one vector
    wide: Call | None = None  # a convolution of more than one place
    constant: Tensor | None = None  # what weighs the vectors first

    def alike(self, other: Source) -> bool:
        """Whether the same numbers weigh both, as those of one layer that is called several times."""
        one, two = self.constant, other.constant
        if one is None or two is None or one.shape != two.shape or one.dtype != two.dtype:
            return False
        forms = [(this.rows.shape[-1], this.wide and _geometry(this.wide)) for this in (self, other)]
        return forms[0] == forms[1] and (one is two or torch.equal(one, two))

    @property
    def node(self) -> Node:
        """Whose contents the rows are."""
        return self.read.node

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells sources apart; the same vectors may be read in several shapes."""
        start = id(self.node), self.rows.storage_offset()
        return (*start, *self.layout) if self.wide is None else (*start, *_geometry(self.wide))

    @property
    def layout(self) -> Layout:
        """Size and stride of the rows, neighbouring axes joined and repetitions left out."""
        kept: list[tuple[int, int]] = []
        for size, stride in zip(self.rows.size()[:-1], self.rows.stride()[:-1], strict=True):
            if size == 1 or stride == 0:
                continue
            if kept and kept[-1][1] == size * stride:
                kept[-1] = kept[-1][0] * size, stride
            else:
                kept.append((size, stride))
        joined = [*(kept or [(1, 1)]), (self.rows.shape[-1], self.rows.stride()[-1])]
        return tuple(size for size, _ in joined), tuple(stride for _, stride in joined)

    def out_of(self, flat: Tensor) -> Tensor:
        """Take the rows (R, d) out of contents."""
        if self.wide is not None:
            return flat.reshape(-1, flat.shape[-1])
        size, stride = self.layout
        return flat.as_strided(size, stride, self.rows.storage_offset()).reshape(-1, size[-1])

    def start(self) -> Tensor:
        """Return the contents that a replay starts from, in float64."""
        values = Read(self.rows, self.node, self.read.version).values().detach()
        if self.wide is not None:
            return patches(values.double(), self.wide)
        numel = int(values.untyped_storage().nbytes()) // values.element_size()
        return values.as_strided((numel,), (1,), 0).to(torch.float64, copy=True)

    def values(self) -> Tensor:
        """Return the rows (R, d) as the network computed them."""
        values = Read(self.rows, self.node, self.read.version).values().detach()
        if self.wide is not None:
            rows = patches(values, self.wide)
            return rows.reshape(-1, rows.shape[-1])
        size, stride = self.layout
        return values.as_strided(size, stride, values.storage_offset()).reshape(-1, size[-1])


def _geometry(call: Call) -> tuple[Any, ...]:
    kernel = call.reads[call.places["weight"][0]].tensor.shape[2:]
    moves = (call.values[p] for name in ("stride", "padding", "dilation") for p in call.places[name])
    return (*kernel, *moves)


def _of_product(call: Call) -> Source:
    """What a product with constants weighs."""
    read = call.operand
    assert read is not None
    assert call.output is not None
    constant = _constant(call)
    if call.name == "convolution":
        width = call.output.size[1]
        if is_pointwise(call):
            return Source(read, read.tensor.movedim(1, -1), width, constant=constant)
        return Source(read, read.tensor, width, call, constant)
    rows = read.tensor
    if rows.ndim == 1:
        rows = rows[None]
    elif not call.is_left:
        rows = rows.transpose(-1, -2)
    width = _numel(call) * rows.shape[-1] // max(1, rows.numel())
    return Source(read, rows, width, constant=constant)


def _of_summed(call: Call) -> Source:
    """What an elementwise product with constants weighs, which is then summed over an axis."""
    read = call.carries[-1]
    assert call.summed is not None
    rows = read.tensor.movedim(call.summed, -1)
    return Source(read, rows, _numel(call) // max(1, rows.numel()), constant=_constant(call))


def _constant(call: Call) -> Tensor | None:
    return None if call.constant is None else call.constant.values().detach()


def _numel(call: Call) -> int:
    assert call.output is not None
    return int(torch.Size(call.output.size).numel())


# ---------------------------------------------------------------------- where the vectors are


@dataclass(frozen=True, eq=False)
class Found:
    """A tensor of logits, and the vectors that it is made of."""

    target: Read
    groups: tuple[tuple[Source, ...], ...]  # those that the same numbers weigh are one group
    wide: dict[Call, Any]  # key of the source of each wide convolution on the way
    dtypes: frozenset[torch.dtype] = frozenset()  # of what was read on the way

    @property
    def sources(self) -> tuple[Source, ...]:
        """All of them, group by group."""
        return tuple(source for group in self.groups for source in group)

    def apart(self) -> Found:
        """Return the same with every source on its own."""
        return replace(self, groups=tuple((source,) for source in self.sources))


def find(target: Read, *, marked: bool = False, deep: bool = False) -> Found:
    """Find the vectors that make a tensor by products with constants and sums alone.

    Parameters
    ----------
    target : Read
        Of a tape.
    marked : bool, default=False
        Whether only the products count that ran while the tape was marking.
    deep : bool, default=False
        Whether the first products of the network count where one follows another, and not the last.

    Examples
    --------
    >>> from cemag.embeddings.torch_tape import Tape
    >>> x = torch.ones(2, 3)
    >>> with torch.no_grad(), Tape([x]) as tape:
    ...     out = x.relu() @ torch.ones(3, 2)
    >>> [tuple(one.rows.shape) for one in find(tape.read(out)).sources]
    [(2, 3)]
    """
    search = _Search(marked, deep)
    groups: list[list[Source]] = []
    for source in search.sources(target.node).values():
        same = next((group for group in groups if group[0].alike(source)), None)
        if same is None:
            groups.append([source])
        else:
            same.append(source)
    return Found(target, tuple(map(tuple, groups)), search.wide, frozenset(search.dtypes))


class _Search:
    """Walks backwards along affine operations."""

    def __init__(self, marked: bool, deep: bool) -> None:
        self._marked, self._deep = marked, deep
        self._known: dict[Node, bool] = {}
        self.wide: dict[Call, Any] = {}
        self.dtypes: set[torch.dtype] = set()

    def sources(self, node: Node) -> dict[Any, Source]:
        found: dict[Any, Source] = {}
        self._visit(node, found, set())
        while any(self._joined(key, found) for key in list(found)) or self._rooted(found):
            pass
        return found

    def _weighs(self, call: Call) -> bool:
        return call.operand is not None and (call.marked or not self._marked)

    def _reaches(self, node: Node) -> bool:
        """Whether affine operations lead back to a product with constants."""
        if node not in self._known:
            call = node.call
            self._known[node] = call is not None and (
                self._weighs(call) or bool(self._ways(call)) or (call.summed is not None and not self._marked)
            )
        return self._known[node]

    def _ways(self, call: Call) -> list[Read]:
        """Of what an operation is affine in, what leads to a product with constants."""
        rivals = [one for one in call.rivals if self._reaches(one.node)]
        call.chosen = rivals[0] if len(rivals) == 1 else None
        return [one for one in call.followed if self._reaches(one.node)]

    def _visit(self, node: Node, found: dict[Any, Source], seen: set[Node]) -> None:
        call = node.call
        if call is None or node in seen or not self._reaches(node):
            return
        seen.add(node)
        self.dtypes.update(one.tensor.dtype for one in call.reads.values() if one.node.depends)
        ways = self._ways(call)
        made = None
        further = self._deep and call.operand is not None and self._reaches(call.operand.node)
        if self._weighs(call) and not further:
            made = _of_product(call)
            ways = [one for one in ways if one is not call.operand]
        elif call.summed is not None and not ways:
            made = _of_summed(call)
        if made is not None:
            if made.wide is not None:
                self.wide[call] = made.key
            found.setdefault(made.key, made)
        for one in ways:
            self._visit(one.node, found, seen)

    # -- sources that are linear in others are no features of their own, as the inside of an adapter

    def _joined(self, key: Any, found: dict[Any, Source]) -> bool:
        """Replace a source by what it is linear in: others alone, or one single source further back."""
        own = found.get(key)
        if own is None or own.wide is not None:
            return False
        others = {other: one for other, one in found.items() if other != key}
        deeper = self._deeper(own, others)
        if set(deeper) <= set(others):
            del found[key]
            return True
        if len(deeper) > 1 or key in deeper:
            return False
        ((new, source),) = deeper.items()
        items = [
            (new, replace(source, width=own.width)) if one == key else (one, found[one]) for one in found
        ]
        found.clear()
        found.update(items)
        return True

    def _deeper(self, own: Source, stops: dict[Any, Source]) -> dict[Any, Source]:
        """Sources that a source is linear in, row by row."""
        key, call = own.key, own.node.call
        if key in stops:
            return {key: stops[key]}
        axis = None if call is None else _axis(own, call)
        if call is None or axis is None or not self._goes_on(own.node):
            return {key: own}
        found: dict[Any, Source] = {}
        if call.operand is not None:
            made = _of_product(call)
            if axis != _product_axis(call):
                return {key: own}
            if made.wide is None:
                found.update(self._deeper(made, stops))
            elif made.key in stops:
                self.wide[call] = made.key
                found[made.key] = stops[made.key]
            else:
                return {key: own}
        for one in call.carries:
            if one.tensor.ndim < -axis:
                return {key: own}
            found.update(self._deeper(Source(one, one.tensor.movedim(axis, -1)), stops))
        return found

    def _rooted(self, found: dict[Any, Source]) -> bool:
        """Replace sources that are linear in one and the same vector by that: casts, scalings, BatchNorms."""
        ways = {key: self._way_back(one) for key, one in found.items()}
        met = Counter(root for way in ways.values() for root in way)
        for key, way in ways.items():
            root = next((one for one in way if met[one] > 1), key)
            if root == key and met[key] < 2:
                continue
            to_it = [other for other, theirs in ways.items() if root in theirs]
            source = way[root]
            items = [(root, source) if one == to_it[0] else (one, found[one]) for one in found]
            found.clear()
            found.update((one, kept) for one, kept in items if one == root or one not in to_it)
            return True
        return False

    def _way_back(self, own: Source) -> dict[Any, Source]:
        """A source and what it is linear in, step by step, while that is a single one."""
        way = {own.key: own}
        while own.wide is None and (call := own.node.call) is not None:
            axis = _axis(own, call)
            whole = call.writes is None or (call.output is not None and call.output.whole)
            if axis is None or call.rivals or not whole:
                break
            if call.operand is not None:
                if not self._weighs(call) or axis != _product_axis(call) or call.carries:
                    break
                own = replace(_of_product(call), width=own.width)
            else:
                moving = [one for one in call.reads.values() if one.node.depends]
                if call.name not in ROWWISE or moving != call.carries or len(moving) != 1:
                    break
                (one,) = moving
                if one.tensor.ndim < -axis or one.tensor.shape[axis] != own.rows.shape[-1]:
                    break
                rows = one.tensor.movedim(axis, -1)
                own = Source(one, rows, own.width, constant=own.constant)
            if own.wide is not None or own.key in way:
                break
            way[own.key] = own
        return way

    def _goes_on(self, node: Node) -> bool:
        """Whether a product lies further back, and only operations between that keep rows apart."""
        call = node.call
        if (
            call is None
            or call.rivals
            or (call.writes is not None and not (call.output and call.output.whole))
        ):
            return False
        if call.operand is not None:
            return self._weighs(call)
        fixed = all(one in call.carries for one in call.reads.values() if one.node.depends)
        return call.name in ROWWISE and fixed and any(self._goes_on(one.node) for one in call.carries)


def _axis(own: Source, call: Call) -> int | None:
    """Axis of an operation's output along which the vectors of a source lie, counted from the last."""
    assert call.output is not None
    d, stride = own.rows.shape[-1], own.rows.stride()[-1]
    axes = [
        axis - len(call.output.size)
        for axis, (size, step) in enumerate(zip(call.output.size, call.output.stride, strict=True))
        if size == d and step == stride
    ]
    return axes[-1] if axes else None


def _product_axis(call: Call) -> int:
    assert call.output is not None
    if call.name == "convolution":
        return 1 - len(call.output.size)
    return -1 if call.is_left else -2


# ---------------------------------------------------------------------- how they are weighed


@dataclass(frozen=True, eq=False)
class Share:
    """Weights (C, D) of one source, and how its rows make one vector an instance.

    `each`: one row is one instance. `weighted`: a sum of its rows, as an average over tokens. `first`: its
    rows are repetitions. `joined`: its rows one after the other.
    """

    mode: Literal["each", "weighted", "first", "joined"]
    weights: Tensor

    def vectors(self, rows: Tensor, n: int, pulls: list[Tensor] | None) -> Tensor:
        """Features (n, D) of the instances of a batch, of its rows (R, d); `pulls` are those of `_pulls`."""
        if self.mode == "each":
            if len(rows) != n:
                raise CemagError(f"its last linear step has {len(rows)} vectors for {n} instances")
            return rows
        if self.mode == "weighted":
            assert pulls is not None
            towards = _mix(len(self.weights), rows.device) @ self.weights
            shares, places = _shares(pulls, towards, n)
            made = torch.zeros(n, rows.shape[1], dtype=torch.float64, device=rows.device)
            return made.index_add_(0, places, shares[:, None] * rows.double()).to(_kept(rows.dtype))
        if len(rows) % n or (self.mode == "joined" and rows.numel() != n * self.weights.shape[1]):
            raise CemagError(f"its last linear step has {len(rows)} vectors for {n} instances")
        grouped = rows.reshape(n, -1, rows.shape[1])
        if self.mode == "joined":
            return grouped.flatten(1)
        if not torch.equal(grouped, grouped[:, :1].expand_as(grouped)):
            raise CemagError("its classes weigh different vectors of one instance")
        return grouped[:, 0]


def _kept(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32


@dataclass(frozen=True, eq=False)
class LinearStep:
    """Weights (C, D) and bias (C,), in float64, and what they weigh."""

    weights: Tensor
    bias: Tensor
    shares: tuple[Share, ...]
    single: bool  # whether all classes come from one sum
    apart: bool = False  # whether what the same numbers weigh is kept apart

    def features(self, found: Found, n: int) -> Tensor:
        """Features (n, D) of a batch.

        Raises
        ------
        CemagError
            If its vectors are not those of the step.
        """
        found = found.apart() if self.apart else found
        if len(found.groups) != len(self.shares):
            raise CemagError(
                f"its last linear step weighs {len(found.groups)} kinds of vectors in one batch and "
                f"{len(self.shares)} in another"
            )
        pulls: list[list[Tensor]] | None = None
        if any(share.mode == "weighted" for share in self.shares):
            with torch.enable_grad():
                z, starts = _again(found, n)
                pulls = _pulls(z, starts, found)
        parts = [
            share.vectors(_values(group), n, None if pulls is None else pulls[i])
            for i, (share, group) in enumerate(zip(self.shares, found.groups, strict=True))
        ]
        return parts[0] if len(parts) == 1 else torch.cat([part.to(_widest(parts)) for part in parts], dim=1)


def _values(group: Sequence[Source]) -> Tensor:
    """Rows (R, d) of all sources of a group."""
    return torch.cat([source.values() for source in group]) if len(group) > 1 else group[0].values()


def _widest(parts: Sequence[Tensor]) -> torch.dtype:
    return torch.float64 if any(part.dtype == torch.float64 for part in parts) else torch.float32


def solve(found: Found, n: int) -> LinearStep:
    """Weights and bias of the step between vectors and logits, and how vectors belong to instances.

    Parameters
    ----------
    found : Found
        Logits (n, C) in any shape, with at least one source.
    n : int
        Number of instances.

    Raises
    ------
    CemagError
        If the logits are not weighted sums of one vector an instance.

    Examples
    --------
    >>> from cemag.embeddings.torch_tape import Tape
    >>> x, weights = torch.ones(2, 5, 3), torch.tensor([[1.0, 2.0, 3.0]])
    >>> with torch.no_grad(), Tape([x]) as tape:
    ...     out = (x.relu() @ weights.T + 4).mean(1)
    >>> step = solve(find(tape.read(out)), 2)
    >>> step.weights.round(decimals=6), step.bias, step.shares[0].mode
    (tensor([[1., 2., 3.]], dtype=torch.float64), tensor([4.], dtype=torch.float64), 'weighted')
    """
    if all(len(group) == 1 for group in found.groups):
        return _solve(found, n)
    try:
        return _solve(found, n)
    except CemagError:
        return replace(_solve(found.apart(), n), apart=True)


def _solve(found: Found, n: int) -> LinearStep:
    with torch.enable_grad():
        z, starts = _again(found, n)
        pulls = _pulls(z, starts, found)
        if not all(bool(torch.isfinite(one).all()) for own in pulls for one in own):
            raise CemagError("its weights hold NaN or infinite values")
        plans = [_plan(own, group, n) for own, group in zip(pulls, found.groups, strict=True)]
        weights: list[list[Tensor]] = [[] for _ in plans]
        for c in range(z.shape[1]):
            towards = torch.zeros_like(z)
            towards[:, c] = 1
            own = _gradients(z, starts, found, towards)
            for kept, plan, gradient in zip(weights, plans, own, strict=True):
                kept.append(plan.taken(gradient))
    with torch.no_grad():
        bias = _again(found, n, nothing=True)[0]
    if not bool(torch.isfinite(bias).all()):
        raise CemagError("its bias holds NaN or infinite values, as where a class is masked")
    if bias.shape[1] > 1 and not torch.allclose(bias[0], bias, rtol=1e-4):
        bias = bias - bias.mean(dim=1, keepdim=True)  # a number of the instance, the same for all classes
    if not torch.allclose(bias[0], bias, rtol=1e-4, atol=1e-5 * max(1e-3, float(bias.abs().max()))):
        raise CemagError(
            "it adds to its weighted sums what these weights did not make: a bias that differs from "
            "instance to instance, as gates and embeddings give"
        )
    shares = tuple(Share(plan.mode, torch.stack(kept)) for plan, kept in zip(plans, weights, strict=True))
    whole = torch.cat([share.weights for share in shares], dim=1)
    return LinearStep(whole, bias[0].clone(), shares, all(one.width == 1 for one in found.sources))


def _again(found: Found, n: int, *, nothing: bool = False) -> tuple[Tensor, list[Tensor]]:
    """Logits (n, C) in float64, and the contents that they are made of; of zeros on request."""
    device = found.target.tensor.device
    contents: dict[Node, Tensor] = {}
    wide: dict[Any, Tensor] = {}
    starts: list[Tensor] = []
    for source in found.sources:
        known = contents.get(source.node) if source.wide is None else None
        if known is None:
            known = source.start().to(device)
            known = (torch.zeros_like(known) if nothing else known).requires_grad_(not nothing)
            if source.wide is None:
                contents[source.node] = known
            else:
                wide[source.key] = known
        starts.append(known)
    replay = Replay(contents, {call: wide[key] for call, key in found.wide.items() if key in wide}, device)
    return replay.read(found.target).reshape(n, -1), starts


def _gradients(z: Tensor, starts: list[Tensor], found: Found, towards: Tensor) -> list[Tensor]:
    """Of each group, the gradient of its rows (R, d)."""
    own = iter(_each_gradient(z, starts, found.sources, towards))
    return [torch.cat([next(own) for _ in group]) for group in found.groups]


def _each_gradient(
    z: Tensor, starts: list[Tensor], sources: Sequence[Source], towards: Tensor
) -> list[Tensor]:
    if not z.requires_grad:
        return [source.out_of(torch.zeros_like(start)) for source, start in zip(sources, starts, strict=True)]
    unique = list({id(one): one for one in starts}.values())
    made = torch.autograd.grad(z, unique, towards, retain_graph=True, allow_unused=True)
    by_id = {
        id(one): torch.zeros_like(one) if own is None else own for one, own in zip(unique, made, strict=True)
    }
    return [source.out_of(by_id[id(start)]) for source, start in zip(sources, starts, strict=True)]


def _mix(n_classes: int, device: Any) -> Tensor:
    """Weights of the classes, no two alike, in place of one gradient a class."""
    return torch.cos(torch.arange(1, n_classes + 1, dtype=torch.float64, device=device))


def _pulls(z: Tensor, starts: list[Tensor], found: Found) -> list[list[Tensor]]:
    """Of each group, the gradient of a mixture of the logits, and the same with instances counted."""
    mix = _mix(z.shape[1], z.device).expand_as(z)
    counted = mix * torch.arange(1, len(z) + 1, dtype=z.dtype, device=z.device)[:, None]
    plain, told = (_gradients(z, starts, found, towards) for towards in (mix, counted))
    return [list(pair) for pair in zip(plain, told, strict=True)]


def _shares(pulls: list[Tensor], towards: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Share (R,) that each row has in its instance, and that instance (R,)."""
    plain, told = pulls
    size = (plain**2).sum(dim=1)
    shares = plain @ towards / (towards @ towards)
    left = (plain - shares[:, None] * towards).norm(dim=1)
    if bool((left > EXACT * towards.norm() * shares.abs().max()).any()):
        raise CemagError("it weighs the features of its instances by numbers that differ from class to class")
    return shares, _instances(told, plain, size, n)


def _instances(told: Tensor, plain: Tensor, size: Tensor, n: int) -> Tensor:
    active = size > 1e-18 * size.max()
    ratio = torch.where(active, (told * plain).sum(dim=1) / torch.where(active, size, 1), 1)
    places = ratio.round()
    if bool(((ratio - places).abs() > 1e-4).any()):
        raise CemagError("its logits mix the features of several instances")
    return places.long().clamp(1, n) - 1


@dataclass(frozen=True, eq=False)
class _Plan:
    mode: Literal["each", "weighted", "first", "joined"]
    row: int = 0  # whose weights are taken
    scale: float = 1.0
    per_instance: int = 1

    def taken(self, gradient: Tensor) -> Tensor:
        """Weights of one class (D,), out of the gradient (R, d) of its logit."""
        if self.mode in ("each", "weighted"):
            return gradient[self.row] * self.scale
        rows = gradient[: self.per_instance]
        return rows.sum(dim=0) if self.mode == "first" else rows.flatten()


def _plan(pulls: list[Tensor], group: Sequence[Source], n: int) -> _Plan:
    """Say how the rows of a group make up vectors of instances."""
    plain, told = pulls
    size = (plain**2).sum(dim=1)
    if float(size.max()) == 0:
        if len(plain) != n:
            raise CemagError(f"the weights of its last linear step are zero, on {len(plain)} vectors")
        return _Plan("each")
    places = _instances(told, plain, size, n)
    row = int(size.argmax())
    towards = plain[row]
    shares = plain @ towards / (towards @ towards)
    left = (plain - shares[:, None] * towards).norm(dim=1)
    if bool((left <= EXACT * towards.norm()).all()):
        order = torch.arange(len(plain), device=places.device)
        if len(plain) == n and torch.equal(places, order) and bool(((shares - 1).abs() < EXACT).all()):
            return _Plan("each", row)
        totals = torch.zeros(n, dtype=shares.dtype, device=shares.device).index_add_(0, places, shares)
        scale = float(totals.mean())
        return _Plan("weighted", row, scale if abs(scale) > EXACT else 1.0)
    return _several(plain, places, group, n)


def _several(plain: Tensor, places: Tensor, group: Sequence[Source], n: int) -> _Plan:
    """Of rows that are weighed differently: they are repetitions, or parts of one longer vector."""
    refusal = CemagError("it weighs the features of its instances by numbers that differ from class to class")
    many = len(plain) // n
    order = torch.arange(n, device=plain.device).repeat_interleave(many)
    active = plain.abs().amax(dim=1) > 0
    if many == 1 or len(plain) % n or bool((places[active] != order[active]).any()):
        raise refusal
    values = _values(group).reshape(n, many, -1)
    if torch.equal(values, values[:, :1].expand_as(values)):
        return _Plan("first", per_instance=many)
    joined = plain.reshape(n, -1)
    apart = (joined - joined[0]).abs().amax()
    if joined.shape[1] > LONGEST_JOINED or float(apart) > EXACT * float(joined.abs().amax()):
        raise refusal
    return _Plan("joined", per_instance=many)
