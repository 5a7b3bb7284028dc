"""Kinds through arithmetic and comparison."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final

from normexp.check.event import Event
from normexp.check.known import number, tensor
from normexp.check.terms import Term, term
from normexp.check.values import (
    Class,
    Constant,
    Dictionary,
    Function,
    Instance,
    Kind,
    List,
    Made,
    Place,
    Tensor,
    Tuple,
    Value,
)

# What people add to probabilities before a logarithm, or clip them at. A hundredth is label smoothing.
EPSILON: Final = 1e-3

_NAMES: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
    ast.MatMult: "matmul",
}
_LINEAR: Final = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def arithmetic(report: Callable[[Event], None], op: ast.operator, left: Value, right: Value, place: Place) -> Tensor:
    """Give ``left op right``, of which at least one is no constant."""
    one, other = tensor(left), tensor(right)
    name = _NAMES.get(type(op), "other")
    rank = max(one.rank, other.rank) if one.rank is not None and other.rank is not None else one.rank or other.rank
    made = Tensor(rank=rank, half=one.half and other.half, term=term(name, one.term, other.term))
    if isinstance(op, ast.Div):
        made = _quotient(made, one, other, place)
        report(Event("divide", "/", place.source, place.node, {"input": one, "divisor": other}, made))
        if made.known:
            return made
    return _keeping(made, op, left, right, one, other)


def _keeping(made: Tensor, op: ast.operator, left: Value, right: Value, one: Tensor, other: Tensor) -> Tensor:
    if one.fill is not None and isinstance(op, ast.Mult | ast.Div) and (number(right) or 0.0) > 0.0:
        made = made.but(fill=one.fill)  # scaled, it is seen by a softmax as before
    if one.kind is Kind.LOGITS and isinstance(op, _LINEAR):
        if _is_log_sum_exp_of(one, other) and isinstance(op, ast.Sub):
            return made.but(kind=Kind.LOG_PROBABILITIES, sizes=one.sizes, trace=one.trace)
        if isinstance(op, ast.Div) and other.term.operation == "sum" and other.term.part(0) == one.term:
            return made  # divided by their sum, they may be meant as probabilities
        # Scaled by whatever, logits are still no log-probabilities; a sum of logits is, a sum with anything may be.
        if isinstance(right, Constant) or other.kind is Kind.LOGITS or isinstance(op, ast.Mult | ast.Div):
            return _as(made, one)
    if other.kind is Kind.LOGITS and (
        isinstance(op, ast.Mult) or (isinstance(left, Constant) and isinstance(op, ast.Add))
    ):
        return _as(made, other)
    for value, constant in ((one, number(right)), (other, number(left))):
        of_softmax = value.origin is not None and not value.known
        if (value.kind not in (Kind.PROBABILITIES, Kind.SIGMOID) and not of_softmax) or constant is None:
            continue
        if isinstance(op, ast.Add) and 0 <= constant <= EPSILON:
            return _as(made, value)
        if isinstance(op, ast.Mult | ast.Div) and constant == 1 and value is one:
            return _as(made, value)
    return made


def _as(made: Tensor, value: Tensor) -> Tensor:
    return value.but(term=made.term, fill=None, half=made.half or value.half)


def _is_log_sum_exp_of(one: Tensor, other: Tensor) -> bool:
    return other.term.operation == "logsumexp" and other.term.part(0) == one.term


def _quotient(made: Tensor, one: Tensor, other: Tensor, place: Place) -> Tensor:
    """See a softmax that is written by hand."""
    total = other.term
    if total.operation in ("add", "clamp") and (summed := total.part(0)) is not None:
        total = summed  # an epsilon against zero
    if total.operation != "sum" or total.part(0) != one.term:
        return made
    by_hand = one.term.operation == "exp"
    axis = total.operands[1]
    if not by_hand and not (isinstance(axis, int) and total.operands[2] is True and _positive(one)):
        return made
    return made.but(
        kind=Kind.PROBABILITIES,
        axis=axis if isinstance(axis, int) else None,
        rank=one.rank,
        sizes=one.sizes,
        origin=place if by_hand and total is other.term else None,
        trace=(place.step("exp/sum" if by_hand else "x/sum"),),
    )


def _positive(value: Tensor) -> bool:
    """Tell whether no element is negative: probabilities, exponentials, and either of them where a mask lets it."""
    if value.kind in (Kind.PROBABILITIES, Kind.SIGMOID):
        return True
    return any(part.operation in _POSITIVE for part in _factors(value.term))


def _factors(product: Term) -> Iterator[Term]:
    if product.operation != "multiply":
        yield product
        return
    for at in (0, 1):
        factor = product.part(at)
        if factor is not None:
            yield from _factors(factor)


_POSITIVE: Final = ("exp", "softmax", "sigmoid")


def shifted(exponent: Term) -> bool:
    """Tell whether something was subtracted that may be the maximum, or a sign changed: then exp may not overflow."""
    return any(
        part.operation in ("subtract", "maximum", "clamp", "negative", "log_softmax") or _is_negative(part)
        for part in exponent.parts()
    )


def _is_negative(part: Term) -> bool:
    """Tell whether something is a negative number, such as the factor in the exponent of a Gaussian."""
    return part.operation == "constant" and str(part.operands[0]).startswith("-")


def compare(op: ast.cmpop, left: Value, right: Value) -> bool | None:
    """Give the result of a comparison, if it is known."""
    objects = (Function, Class, Instance, Made, List, Dictionary, Tuple)
    if isinstance(op, ast.Is | ast.IsNot) and isinstance(right, Constant) and right.value is None:
        if isinstance(left, Constant):
            return (left.value is None) is isinstance(op, ast.Is)
        return (
            isinstance(op, ast.IsNot)
            if isinstance(left, objects) or (isinstance(left, Tensor) and left.known)
            else None
        )
    if isinstance(op, ast.In | ast.NotIn) and isinstance(left, Constant):
        if isinstance(right, List | Tuple) and all(isinstance(item, Constant) for item in right.items):
            return (left in right.items) is isinstance(op, ast.In)
        return None
    if not (isinstance(left, Constant) and isinstance(right, Constant)):
        return None
    one, other = left.value, right.value
    if isinstance(op, ast.Eq | ast.Is):
        return one == other
    if isinstance(op, ast.NotEq | ast.IsNot):
        return one != other
    if isinstance(one, int | float) and isinstance(other, int | float):
        match op:
            case ast.Lt():
                return one < other
            case ast.LtE():
                return one <= other
            case ast.Gt():
                return one > other
            case ast.GtE():
                return one >= other
    return None
