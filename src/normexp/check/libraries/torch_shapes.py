"""PyTorch's functions that change the shape of a tensor, and the methods of the same names."""

from __future__ import annotations

from typing import Final

from normexp.check.known import integer
from normexp.check.libraries.call import Call, Effect
from normexp.check.shapes import added_axis, permuted, swapped, viewed, without_axis
from normexp.check.terms import term
from normexp.check.values import Kind, List, Rest, Tensor, Tuple, Value


def _view(call: Call) -> Value:
    return viewed(call.tensor(0, "input"), call.rest(1) or tuple(filter(None, [call.get(1, "shape", "size")])))


def _flatten(call: Call) -> Value:
    value = call.tensor(0, "input")
    start = 0 if not call.given(1, "start_dim") else call.integer(1, "start_dim")
    if value.kind not in (Kind.UNKNOWN, Kind.LOGITS) and start == 1 and value.rank in (None, 2):
        return value.passed("flatten")
    if start == 0 and call.integer(2, "end_dim") == 1 and value.axis in (-1, 2):
        return value.but(axis=-1, rank=2 if value.rank in (None, 3) else None, sizes=())
    kind = value.kind if value.kind is Kind.LOGITS else Kind.UNKNOWN
    trace = value.trace if kind is Kind.LOGITS else ()
    rank = 2 if start == 1 and not call.given(2, "end_dim") else None
    return Tensor(kind=kind, rank=rank, half=value.half, trace=trace)


def _squeeze(call: Call) -> Value:
    value = call.tensor(0, "input")
    if not call.given(1, "dim", "axis"):
        # Most often a batch of one, or a single output, goes.
        return value.but(rank=None, axis=None, sizes=(), term=term("squeeze", value.term))
    axis = call.integer(1, "dim", "axis")
    if axis is None:
        return value.but(rank=None, axis=None, sizes=())
    # Of size 1, or nothing happens: it is no axis of classes.
    return without_axis(value, axis).but(term=term("squeeze", value.term, axis))


def _unsqueeze(call: Call) -> Value:
    return added_axis(call.tensor(0, "input", "a"), call.integer(1, "dim", "axis"))


def _transpose(call: Call) -> Value:
    return swapped(call.tensor(0, "input"), call.integer(1, "dim0", "axis0"), call.integer(2, "dim1", "axis1"))


def _permute(call: Call) -> Value:
    dims = call.rest(1)
    if len(dims) == 1 and isinstance(dims[0], Tuple | List):
        dims = tuple(item for item in dims[0].items if not isinstance(item, Rest))
    order = [integer(dim) for dim in dims]
    known = bool(order) and all(axis is not None and -len(order) <= axis < len(order) for axis in order)
    return permuted(call.tensor(0, "input"), tuple(axis for axis in order if axis is not None) if known else None)


def transposed(value: Tensor) -> Tensor:
    """Give ``value.T`` (of two axes, mostly) or ``value.mT``."""
    if value.rank is None and value.axis is not None:
        value = value.but(axis=-2 if value.axis in (1, -1) else -1 if value.axis in (0, -2) else None)
        return value.but(sizes=(), term=term("transpose", value.term))
    return swapped(value, -1, -2).but(term=term("transpose", value.term))


SHAPES: Final[dict[str, Effect]] = {
    "view": _view,
    "reshape": _view,
    "resize": _view,
    "flatten": _flatten,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "permute": _permute,
}
