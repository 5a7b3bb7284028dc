"""Kinds through arithmetic and comparison."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from normexp.check.event import Event
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
    number,
    tensor,
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
    if one.term.operation == "exp" and other.term.operation == "sum" and other.term.part(0) == one.term:
        axis = other.term.operands[1]
        return made.but(
            kind=Kind.PROBABILITIES,
            axis=axis if isinstance(axis, int) else None,
            rank=one.rank,
            sizes=one.sizes,
            origin=place,
            trace=(place.step("exp/sum"),),
        )
    return made


def shifted(exponent: Term) -> bool:
    """Tell whether something was subtracted that may be the maximum: then exp does not overflow."""
    return any(
        part.operation in ("subtract", "maximum", "clamp", "negative", "log_softmax") for part in exponent.parts()
    )


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
