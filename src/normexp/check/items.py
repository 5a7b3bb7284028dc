"""Items of tuples, lists, dictionaries and containers."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.join import join_all
from normexp.check.known import integer
from normexp.check.libraries import registry
from normexp.check.machine import Arguments
from normexp.check.scope import Frame
from normexp.check.shapes import subscript
from normexp.check.statements import Statements
from normexp.check.terms import term
from normexp.check.values import (
    NONE,
    OPEN,
    Bound,
    Class,
    Constant,
    Dictionary,
    Function,
    Instance,
    List,
    Made,
    OneOf,
    Place,
    Rest,
    Tensor,
    Tuple,
    Value,
)

# Loops over so many known items are gone through item by item.
MOST_ITEMS: Final = 24


class Items(Statements):
    """Reads items, slices and elements."""

    def find_method(self, cls: Class, name: str) -> Function | None:
        """Find a method of a class."""
        raise NotImplementedError

    def item(self, value: Value, index: ast.expr, frame: Frame, place: Place) -> Value:  # noqa: D102
        if isinstance(value, Tensor):
            return subscript(self, value, index, frame)
        if isinstance(index, ast.Slice):
            return self._slice(value, index, frame)
        key = self.evaluate(index, frame)
        match value:
            case Dictionary(contents=contents):
                if isinstance(key, Constant):
                    return contents.get(key.value, contents.get(OPEN, Tensor()))
                return join_all(list(contents.values())) if contents else Tensor()
            case Tuple(items=items):
                return self._at(items, integer(key), value)
            case List():
                return self._at(value.items, integer(key), value)
            case Made():
                if isinstance(key, Constant) and f"[{key.value}]" in value.attributes:
                    return value.attributes[f"[{key.value}]"]
                return registry.item(value, key)
            case OneOf(options=options):
                return join_all([self.item(option, index, frame, place) for option in options])
            case Instance():
                method = self.find_method(value.cls, "__getitem__")
                if method is not None:
                    return self.call(Bound(method, value), Arguments((key,)), place, frame)
        return Tensor()

    def _at(self, items: tuple[Value | Rest, ...], at: int | None, whole: Value) -> Value:
        if at is None:
            return self.element(whole)
        reach = items[: at + 1] if at >= 0 else items[at:]
        if not -len(items) <= at < len(items) or any(isinstance(item, Rest) for item in reach):
            return self.element(whole) if any(isinstance(item, Rest) for item in items) else Tensor()
        found = items[at]
        return found.item if isinstance(found, Rest) else found

    def _slice(self, value: Value, index: ast.Slice, frame: Frame) -> Value:
        items = value.items if isinstance(value, List | Tuple) else registry.contained(value)
        if items is None:
            return Tensor()
        bounds = [
            None if part is None else self.evaluate(part, frame) for part in (index.lower, index.upper, index.step)
        ]
        known = all(bound is None or integer(bound) is not None or bound == NONE for bound in bounds)
        if not known or any(isinstance(item, Rest) for item in items):
            return List({0: (Rest(Tensor()),)})
        low, high, by = (None if bound is None else integer(bound) for bound in bounds)
        if by == 0:
            return Tensor()
        part = items[low:high:by]
        if isinstance(value, Made):
            return Made(value.name, tuple(item for item in part if not isinstance(item, Rest)), {}, value.place)
        return Tuple(part) if isinstance(value, Tuple) else List({0: part})

    def items(self, value: Value) -> list[Value] | None:  # noqa: D102
        match value:
            case Tuple() | List():
                found: tuple[Value | Rest, ...] | None = value.items
            case Dictionary(contents=contents) if OPEN not in contents:
                found = tuple(Constant(key) for key in contents)
            case _:
                found = registry.contained(value)
        if not found or len(found) > MOST_ITEMS:
            return None
        if len(found) == 1 and isinstance(found[0], Rest):
            return None
        return [item.item if isinstance(item, Rest) else item for item in found]

    def element(self, value: Value) -> Value:  # noqa: D102
        match value:
            case Tuple() | List():
                if not value.items:
                    return Tensor()
                return join_all([item.item if isinstance(item, Rest) else item for item in value.items])
            case OneOf(options=options):
                return join_all([self.element(option) for option in options])
            case Tensor() if value.known:
                # One of the first axis: the batch.
                return subscript_first(value)
        contained = registry.contained(value)
        if contained:
            return join_all([item.item if isinstance(item, Rest) else item for item in contained])
        return Tensor()


def subscript_first(value: Tensor) -> Tensor:
    """Give one item of the first axis of a tensor."""
    rank = None if value.rank is None else max(value.rank - 1, 0)
    axis = value.axis if value.axis is None or value.axis < 0 else value.axis - 1
    if axis is not None and value.axis == 0:
        return Tensor()
    sizes = tuple((at if at < 0 else at - 1, size) for at, size in value.sizes if at != 0)
    return value.but(rank=rank, axis=axis, sizes=sizes, term=term("element", value.term), fill=None)
