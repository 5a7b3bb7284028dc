"""Repairs of the text: what several rules have in common."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.event import Event
from normexp.check.finding import Edit, Fix
from normexp.check.source import Source
from normexp.check.values import Place, Tensor

LAYERS: Final = frozenset({"Softmax", "Softmax2d", "Softmin", "LogSoftmax", "Sigmoid"})


def replacement(source: Source, node: ast.expr, text: str) -> Edit:
    """Make the edit that puts a text in the place of a node."""
    return Edit(*source.span(node), text)


def appended(source: Source, call: ast.Call, argument: str) -> Edit:
    """Make the edit that gives a call one more argument, the last."""
    last = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not last:
        _, _, line, column = source.span(call)
        return Edit(line, column - 1, line, column - 1, argument)
    _, _, line, column = source.span(max(last, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0)))
    return Edit(line, column, line, column, f", {argument}")


def without(event: Event, value: Tensor, what: str) -> Fix | None:
    """Make the fix that drops what normalised a value: its function call, or its layer."""
    call = _call(event, value.origin)
    if call is None:
        return None
    name = _name(call)
    if name[:1].isupper():
        if name not in LAYERS or event.library != "torch":
            return None  # it does more than to normalise
        prefix = event.source.segment(call.func.value) + "." if isinstance(call.func, ast.Attribute) else ""
        if not prefix:
            return None  # Identity would have to be imported
        text = f"{prefix}Identity()"
    else:
        given = _input(call, name)
        if given is None:
            return None
        text = _closed(event.source, given)
    return Fix((replacement(event.source, call, text),), False, f"Leave the {what} out.")


def log_instead(event: Event, value: Tensor) -> Fix | None:
    """Make the fix that has the logarithm taken with the softmax, where it is taken."""
    call = _call(event, value.origin)
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    new = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}.get(call.func.attr)
    if new is None:
        return None
    text = f"{event.source.segment(call.func.value)}.{new}"
    return Fix((replacement(event.source, call.func, text),), False, f"Use {new}.")


def operand(node: ast.AST) -> ast.expr | None:
    """Give what a function of one array, or a method, is applied to in the text."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        return node.func.value
    return node.args[0] if node.args and not isinstance(node.args[0], ast.Starred) else None


def log_of_softmax(event: Event, value: Tensor) -> Fix | None:
    """Make the fix for a logarithm right around a softmax."""
    call = _call(event, value.origin)
    if call is None or operand(event.node) is not call or not isinstance(event.node, ast.expr):
        return None
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "softmax":
        return None
    if event.library == "keras":
        return None  # its backend has no log_softmax
    source = event.source
    owner = source.segment(call.func.value)
    whole = source.segment(call)
    text = f"{owner}.log_softmax{whole[len(source.segment(call.func)) :]}"
    return Fix((replacement(source, event.node, text),), True, "Use log_softmax.")


def argument_of_softmax(event: Event, value: Tensor) -> Fix | None:
    """Make the fix that drops a softmax right inside of an operation that does not need it."""
    call = _call(event, value.origin)
    if call is None or _name(call)[:1].isupper() or not isinstance(event.node, ast.Call):
        return None
    inside = event.node.args[0] if event.node.args else None
    if call is not inside and not (isinstance(event.node.func, ast.Attribute) and event.node.func.value is call):
        return None
    given = _input(call, _name(call))
    if given is None:
        return None
    edit = replacement(event.source, call, _closed(event.source, given))
    return Fix((edit,), True, "Leave the softmax out.")


def _call(event: Event, origin: Place | None) -> ast.Call | None:
    """Give the call that normalised, if it stands in the file of the event."""
    if origin is None or origin.source is not event.source or not isinstance(origin.node, ast.Call):
        return None
    return origin.node


def _name(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _input(call: ast.Call, name: str) -> ast.expr | None:
    """Give what a softmax is taken of, be it a function or a method; None if the text does not say."""
    if name not in ("softmax", "log_softmax", "sigmoid"):
        return None  # a layer that is called elsewhere than it is made
    if isinstance(call.func, ast.Attribute) and not _is_function(call):
        return call.func.value
    for keyword in call.keywords:
        if keyword.arg in ("input", "x", "logits"):
            return keyword.value
    return call.args[0] if call.args and not isinstance(call.args[0], ast.Starred) else None


def _is_function(call: ast.Call) -> bool:
    """Tell a function with its tensor among the arguments from a method of a tensor."""
    positional = [argument for argument in call.args if not isinstance(argument, ast.Constant | ast.UnaryOp)]
    return bool(positional) or any(keyword.arg in ("input", "x", "logits") for keyword in call.keywords)


def _closed(source: Source, node: ast.expr) -> str:
    text = source.segment(node)
    plain = isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript | ast.Constant)
    return text if plain else f"({text})"
