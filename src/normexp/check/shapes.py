"""What is left of kind, axis and sizes when the shape of a tensor changes."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.known import integer, number
from normexp.check.machine import Machine
from normexp.check.scope import Frame
from normexp.check.terms import Term, term
from normexp.check.values import Constant, Kind, List, Rest, Tensor, Tuple, Value

_REDUCTIONS: Final = ("sum", "max", "logsumexp")


def picked(value: Tensor, made: Term) -> Tensor:
    """Give single elements of a tensor: of logits they are logits, of a softmax it is still known that it made them."""
    if value.kind is Kind.LOGITS:
        return Tensor(kind=Kind.LOGITS, half=value.half, term=made, trace=value.trace)
    origin = value.origin if value.kind is Kind.PROBABILITIES or not value.known else None
    return Tensor(half=value.half, term=made, origin=origin)


def dropped_axis(value: Tensor, axis: int | None, least: int = 0) -> Tensor:
    """Give a part of a tensor, of so many axes at least, at one index. Along the normalised axis, the kind is lost."""
    if axis is None:
        return Tensor()
    if value.kind not in (Kind.UNKNOWN, Kind.LOGITS) and _may_be_axis(value, axis, least):
        return picked(value, term("item", value.term, axis))
    return without_axis(value, axis)


def without_axis(value: Tensor, axis: int) -> Tensor:
    """Give a tensor without an axis that is not the normalised one."""
    rank = None if value.rank is None else max(value.rank - 1, 0)
    return value.but(rank=rank, axis=_without(value.axis, axis), sizes=_sizes_without(value, axis), fill=None)


def added_axis(value: Tensor, axis: int | None) -> Tensor:
    """Give a tensor with a new axis of size 1."""
    if axis is None:
        return value.but(rank=None, axis=None, sizes=())
    known = value.axis
    if known is not None:
        if axis >= 0 and known >= axis:
            known += 1
        elif axis < 0 and known < 0 and known <= axis:
            known -= 1
        elif (axis < 0) != (known < 0):
            known = _mixed(value, axis, known)
    sizes = () if axis < 0 else tuple((at + 1 if at >= axis else at, size) for at, size in value.sizes)
    rank = None if value.rank is None else value.rank + 1
    return value.but(rank=rank, axis=known, sizes=sizes, term=_kept(value.term, "unsqueeze", axis), fill=value.fill)


def _mixed(value: Tensor, axis: int, known: int) -> int | None:
    """Place a normalised axis after one was added that is counted from the other end."""
    if value.rank is None:
        # The parts that are stacked are batches: they have two axes, the new one is not the last.
        return known if (axis in (0, 1) and known < 0) or (axis == -1 and known >= 0) else None
    new, old = axis % (value.rank + 1), known % value.rank
    return old + 1 if old >= new else old


def _kept(known: Term, operation: str, *operands: object) -> Term:
    """Give the term of a reduction whose axis comes back with size 1, as if it had been kept."""
    if known.operation in _REDUCTIONS and len(known.operands) == 3 and known.operands[2] is not True:
        return Term(known.operation, (known.operands[0], known.operands[1], True))
    return term(operation, known, *operands)


def viewed(value: Tensor, shape: tuple[Value, ...]) -> Tensor:
    """Give a tensor in another shape: what was normalised along the last axis stays so, if the last axis stays."""
    rank = len(shape) if shape else None
    if len(shape) == 1 and isinstance(shape[0], Tuple | List):
        items = tuple(item for item in shape[0].items if not isinstance(item, Rest))
        rank = len(shape[0].items) if len(items) == len(shape[0].items) else None
        shape = items
    elif len(shape) == 1 and not isinstance(shape[0], Constant):
        rank = None  # of a size that is passed whole
    sizes = tuple((at, size) for at, dim in enumerate(shape) if (size := integer(dim)) is not None and size >= 0)
    made = value.but(rank=rank, sizes=sizes if rank else (), term=_kept(value.term, "view"))
    if value.kind in (Kind.UNKNOWN, Kind.LOGITS):
        return made.but(axis=None)
    if rank is None or value.axis is None:
        return made.but(axis=None)
    if rank == value.rank:
        return made
    if rank == 1:
        # Flat: no axis is left, but of a batch of one.
        return made.but(kind=Kind.UNKNOWN) if value.rank is not None and value.rank > 1 else made.but(axis=None)
    if rank == 2 and (
        value.axis in (-1, 2, 3) or (value.rank is not None and value.axis % value.rank == value.rank - 1)
    ):
        return made.but(axis=-1)
    return made.but(axis=None if value.axis == 1 else value.axis)


def permuted(value: Tensor, order: tuple[int, ...] | None) -> Tensor:
    """Give a tensor with its axes in another order; None: not known which."""
    moved = value.but(term=term("permute", value.term, order))
    if order is None:
        return moved.but(axis=None, sizes=())
    rank = len(order)
    old = [axis % rank for axis in order]
    axis = value.axis
    if axis is not None:
        axis = old.index(axis % rank) if axis % rank in old else None
    sizes = tuple((old.index(at % rank), size) for at, size in value.sizes if at % rank in old)
    return moved.but(rank=rank, axis=axis, sizes=sizes)


def swapped(value: Tensor, one: int | None, other: int | None) -> Tensor:
    """Give a tensor with two axes exchanged."""
    moved = value.but(term=term("swap", value.term, one, other))
    if one is None or other is None:
        return moved.but(axis=None, sizes=())
    rank = value.rank
    if rank is None and one >= 0 and other >= 0:
        # Whoever exchanges axes 1 and 2 has three of them, mostly; -1 is then the last of these.
        rank = max(one, other, value.axis or 0) + 1 if max(one, other) >= 2 else None
    if rank is None and one < 0 and other < 0 and value.axis is not None and value.axis >= 0:
        rank = max(-one, -other, value.axis) + 1 if value.axis else None

    def move(axis: int) -> int | None:
        for source, target in ((one, other), (other, one)):
            if axis == source or (rank and axis % rank == source % rank):
                return target
        return axis if rank or (axis >= 0) == (one >= 0) else None

    axis = None if value.axis is None else move(value.axis)
    sizes = tuple((at, size) for place, size in value.sizes if (at := move(place)) is not None)
    return moved.but(axis=axis, sizes=sizes)


def subscript(machine: Machine, value: Tensor, index: ast.expr, frame: Frame) -> Tensor:
    """Give ``value[index]``."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    made, at = value, 0
    labels: list[object] = []
    arrays = 0
    least = sum(not (isinstance(part, ast.Constant) and part.value in (None, Ellipsis)) for part in parts)
    for part in parts:
        if isinstance(part, ast.Slice):
            for bound in (part.lower, part.upper, part.step):
                if bound is not None:
                    machine.evaluate(bound, frame)
            full = part.lower is None and part.upper is None
            labels.append(":" if full else ast.dump(part))
            if not full and made.kind not in (Kind.UNKNOWN, Kind.LOGITS) and _is_axis(made, at, least):
                made = made.but(kind=Kind.UNKNOWN)
            if not full:
                made = made.but(sizes=_sizes_but(made, at))
            at += 1
            continue
        key = machine.evaluate(part, frame)
        if isinstance(key, Constant) and key.value is None:
            made = added_axis(made, at)
            labels.append(None)
            at += 1
        elif isinstance(key, Constant) and key.value is Ellipsis:
            labels.append("...")
            rest = len(parts) - parts.index(part) - 1
            at = -rest if made.rank is None else made.rank - rest
        elif number(key) is not None:
            labels.append(number(key))
            made = dropped_axis(made, at, least) if not arrays else Tensor()
            least -= 1
        else:
            # A mask, or indices, of the first axis keeps rows; of more than one, single elements are left.
            arrays += 1
            labels.append(key.term if isinstance(key, Tensor) else id(part))
            if made.kind not in (Kind.UNKNOWN, Kind.LOGITS) and (at > 0 or arrays > 1):
                made = picked(made, made.term)
            made = made.but(sizes=(), rank=made.rank if isinstance(key, Tensor) and not key.rank else None)
            at += 1
    if made.term is not value.term and made.term.operation in _REDUCTIONS:
        return made
    return made.but(term=term("item", value.term, *labels))


def _is_axis(value: Tensor, at: int, least: int) -> bool:
    if value.axis is None:
        return at > 0
    if value.rank:
        return value.axis % value.rank == at % value.rank
    return value.axis == at or (at == 1 and value.axis == -1 and least <= 2)


def _may_be_axis(value: Tensor, at: int, least: int) -> bool:
    """Tell whether an axis may be the normalised one."""
    if value.axis is None:
        return at != 0
    if value.rank:
        return value.axis % value.rank == at % value.rank
    if value.axis < 0 <= at and least > at - value.axis:
        return False
    return value.axis == at or ((value.axis < 0) != (at < 0) and not (at == 0 and value.axis < 0))


def _without(known: int | None, dropped: int) -> int | None:
    if known is None or (known < 0) != (dropped < 0):
        return known if known is None or dropped == 0 or (known < 0 and dropped >= 0) else None
    if known >= 0:
        return known - 1 if known > dropped else known
    return known + 1 if known < dropped else known


def _sizes_without(value: Tensor, dropped: int) -> tuple[tuple[int, int], ...]:
    kept = ((_without(at, dropped), size) for at, size in value.sizes if at != dropped)
    return tuple((at, size) for at, size in kept if at is not None)


def _sizes_but(value: Tensor, at: int) -> tuple[tuple[int, int], ...]:
    if value.rank is None:
        return ()
    return tuple(pair for pair in value.sizes if pair[0] % value.rank != at % value.rank)
