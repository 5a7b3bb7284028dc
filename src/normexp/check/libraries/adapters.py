"""Effects made of others: by other names, as operators, and for losses that take probabilities."""

from __future__ import annotations

import ast

from normexp.check.arithmetic import arithmetic
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import clamp
from normexp.check.machine import Arguments
from normexp.check.terms import term
from normexp.check.values import Kind, Tensor, Value


def binary(op: ast.operator) -> Effect:
    """Make the effect of a function that does what an operator does."""

    def effect(call: Call) -> Value:
        left, right = call.get(0, "x", "x1", "a", "input"), call.get(1, "y", "x2", "b", "other")
        # Of methods, those of pandas' frames mean another axis; NumPy's arrays have none of these names.
        theirs = call.method and "torch" not in call.frame.scope.home.roots
        if theirs or call.given(-1, "alpha", "rounding_mode", "where", "axis", "level", "fill_value"):
            return Tensor()
        return arithmetic(call.machine.report, op, left or Tensor(), right or Tensor(), call.place)

    return effect


def renamed(effect: Effect, **names: str) -> Effect:
    """Make an effect that takes arguments by other names: ``theirs="ours"``."""

    def inner(call: Call) -> Value:
        given = call.arguments
        keywords = {names.get(name, name): value for name, value in given.keywords.items()}
        call.arguments = Arguments(given.positional, keywords, given.open)
        return effect(call)

    return inner


def logits_or_nothing(call: Call) -> Value:
    """Give raw outputs as such; of anything else nothing is known."""
    value = call.tensor(0, "input", "inputs", "x")
    made = term("layer", value.term, id(call.made or call.place.node))
    if value.kind is Kind.LOGITS:
        return value.but(term=made, fill=None)
    return Tensor(rank=value.rank, half=value.half, term=made)


def squashed(call: Call) -> Value:
    """Apply something elementwise that may end between 0 and 1."""
    value = call.tensor(0, "input", "x", "features")
    made = term(call.name.rpartition(".")[2], value.term)
    return Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=made)


def clipped(call: Call) -> Value:
    """Clip: raw outputs that are clipped may be meant as probabilities."""
    value = call.tensor(0, "input", "x")
    return squashed(call) if value.kind is Kind.LOGITS else clamp(call)


def first(call: Call) -> Value:
    """Give the first argument as it is, be it a function or a module."""
    return call.get(0, "fun", "func", "f") or Tensor()
