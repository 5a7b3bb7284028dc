"""When a call need not be gone through again: what of its arguments decides what comes of it."""

from __future__ import annotations

from itertools import islice
from typing import Final

from normexp.check.values import (
    Bound,
    Class,
    Constant,
    Dictionary,
    Function,
    Instance,
    Library,
    List,
    Made,
    OneOf,
    Rest,
    Tensor,
    Tuple,
    Value,
)

_DEEPEST: Final = 3
# Of the items of a list; a longer one is data, and is told from others by its identity.
_LONGEST: Final = 64


def signature(value: Value | Rest, depth: int = 0) -> object:
    """Give what of an argument decides what a function returns."""
    match value:
        case Tensor():
            return value.kind, value.axis, value.rank, value.sizes, value.half, value.fill is None
        case Constant(value=constant):
            return type(constant), constant
        case Rest(item=item):
            return "rest", signature(item, depth)
        case Tuple() | List() if depth < _DEEPEST and len(value.items) <= _LONGEST:
            return type(value), tuple(signature(item, depth + 1) for item in value.items)
        case Library() | Bound() | OneOf():
            return value
    return id(value)


def likeness(value: Value | Rest) -> object:
    """Give the same for instances of a class whose attributes are of the same kinds; else the signature."""
    if isinstance(value, Instance):
        attributes = ((name, _part(held)) for name, held in value.attributes.items())
        return id(value.cls), tuple((name, part) for name, part in attributes if part is not None)
    return signature(value)


def _part(value: Value) -> object:
    match value:
        case Instance():
            return id(value.cls)
        case Made():
            return value.name, id(value.place.node)
        case Function() | Class() | Bound() | Library() | OneOf():
            return signature(value)
        case Tensor() if value.known:
            return value.kind, value.axis
    return None


def telling(value: object, depth: int = 0) -> bool:
    """Tell whether a value may matter to a finding: not so what is unknown, a constant, or made of these."""
    match value:
        case Tensor():
            return value.known or value.fill is not None or value.origin is not None
        case Constant():
            return False
        case Rest(item=item):
            return telling(item, depth)
        case tuple() | Tuple() | List() if depth < _DEEPEST:
            items = value if isinstance(value, tuple) else value.items
            return any(telling(item, depth + 1) for item in items[:_LONGEST])
        case Dictionary() if depth < _DEEPEST:
            return any(telling(item, depth + 1) for item in islice(value.contents.values(), _LONGEST))
    return True
