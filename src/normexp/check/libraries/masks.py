"""Parts of a tensor that are filled in."""

from __future__ import annotations

from typing import Final

from normexp.check.known import tensor
from normexp.check.libraries.call import Call
from normexp.check.libraries.effects import constant, fill
from normexp.check.terms import term
from normexp.check.values import Tensor, Value

BROKEN: Final = "broken"
"""The term of a test for NaN and infinities: who fills these in does not mask."""


def broken(call: Call) -> Value:
    """Test for NaN, or for infinities."""
    return Tensor(term=term(BROKEN, call.tensor(0, "input", "x").term))


def _masks(condition: Value | None) -> bool:
    return all(part.operation != BROKEN for part in tensor(condition).term.parts())


def masked_fill(call: Call) -> Value:
    """Fill in a number where a mask is true."""
    value = call.tensor(0, "input")
    return fill(call, value, call.get(2, "value")) if _masks(call.get(1, "mask")) else Tensor(rank=value.rank)


def where(call: Call) -> Value:
    """Choose from two tensors: to choose between one and a number is to fill it in."""
    one, other = call.get(1, "input", "self"), call.get(2, "other")
    for value, filled in ((one, other), (other, one)):
        if isinstance(value, Tensor) and constant(value) is None and constant(filled) is not None:
            return fill(call, value, filled) if _masks(call.get(0, "condition")) else Tensor(rank=value.rank)
    if isinstance(one, Tensor) and isinstance(other, Tensor) and one.kind is other.kind:
        return one.but(term=term("where", one.term, other.term), fill=None)
    return Tensor()


def method_where(call: Call) -> Value:
    """Call ``x.where(condition, other)``."""
    value = call.tensor(0)
    return fill(call, value, call.get(2, "other")) if _masks(call.get(1, "condition")) else Tensor(rank=value.rank)
