"""Assignments: to names, attributes and items, of values and of parts of them."""

from __future__ import annotations

import ast

from normexp.check.event import Event
from normexp.check.expressions import Expressions
from normexp.check.join import join
from normexp.check.known import number
from normexp.check.libraries.torch_others import HEADS
from normexp.check.machine import Flow
from normexp.check.scope import Frame
from normexp.check.terms import unknown
from normexp.check.values import (
    OPEN,
    Constant,
    Dictionary,
    Fill,
    Kind,
    List,
    Made,
    Method,
    OneOf,
    Place,
    Rest,
    Tensor,
    Tuple,
    Value,
)


class Assignments(Expressions):
    """Executes assignments."""

    def changed(self, owner: ast.expr, value: Value, frame: Frame) -> None:
        """Note what a method that works in place has made of its object."""
        if isinstance(owner, ast.Name | ast.Attribute) and isinstance(value, Tensor):
            self.assign(owner, value, frame)

    def do_assign(self, node: ast.Assign, frame: Frame) -> Flow:
        """Do ``target = value``."""
        value = self.evaluate(node.value, frame)
        for target in node.targets:
            self.assign(target, value, frame)
        return Flow.NEXT

    def do_annotated(self, node: ast.AnnAssign, frame: Frame) -> Flow:
        """Do ``target: annotation = value``."""
        if node.value is not None:
            self.assign(node.target, self.evaluate(node.value, frame), frame)
        return Flow.NEXT

    def do_augmented(self, node: ast.AugAssign, frame: Frame) -> Flow:
        """Do ``target += value`` and the like."""
        read = ast.copy_location(_as_read(node.target), node.target)
        old, new = self.evaluate(read, frame), self.evaluate(node.value, frame)
        if isinstance(old, List) and isinstance(node.op, ast.Add):
            self.memory.write(old.contents, 0, (*old.items, *self._spread(new)))
            return Flow.NEXT
        self.assign(node.target, self.operate(node.op, old, new, node, frame), frame)
        return Flow.NEXT

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:  # noqa: D102
        match target:
            case ast.Name(id=name):
                other = frame.scope.elsewhere.get(name)
                write = self.memory.bind if other is None else self.memory.write
                write((other or frame.scope).names, name, named(value, name, Place(frame.source, target)))
            case ast.Attribute(value=owner, attr=name):
                renamed = named(value, name, Place(frame.source, target))
                self.set_attribute(self.evaluate(owner, frame), name, renamed)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                self._unpack(targets, value, frame)
            case ast.Starred(value=inner):
                self.assign(inner, value, frame)
            case ast.Subscript(value=owner, slice=index):
                self._set_item(owner, index, value, frame)

    def _unpack(self, targets: list[ast.expr], value: Value, frame: Frame) -> None:
        if isinstance(value, OneOf):
            value = next((option for option in value.options if isinstance(option, Tuple)), Tensor())
        items = value.items if isinstance(value, Tuple | List) else self.parts(value)
        starred = [index for index, target in enumerate(targets) if isinstance(target, ast.Starred)]
        plain = not any(isinstance(item, Rest) for item in items)
        if items and plain and not starred and len(items) == len(targets):
            for target, item in zip(targets, items, strict=True):
                self.assign(target, item if not isinstance(item, Rest) else item.item, frame)
        elif items and plain and len(starred) == 1 and len(items) >= len(targets) - 1:
            at, after = starred[0], len(targets) - starred[0] - 1
            for target, item in zip(targets[:at], items[:at], strict=True):
                self.assign(target, item if not isinstance(item, Rest) else item.item, frame)
            self.assign(targets[at], List({0: items[at : len(items) - after]}), frame)
            for target, item in zip(targets[at + 1 :], items[len(items) - after :], strict=True):
                self.assign(target, item if not isinstance(item, Rest) else item.item, frame)
        else:
            for target in targets:
                self.assign(target, self.element(value) if isinstance(value, Tuple | List) else Tensor(), frame)

    def parts(self, value: Value) -> tuple[Value | Rest, ...]:
        """Give what a container of a library is made of."""
        raise NotImplementedError

    def _set_item(self, owner: ast.expr, index: ast.expr, value: Value, frame: Frame) -> None:
        container, key = self.evaluate(owner, frame), self.evaluate(index, frame)
        if isinstance(container, Dictionary):
            if isinstance(key, Constant):
                self.memory.write(container.contents, key.value, value)
            else:
                old = container.contents.get(OPEN)
                self.memory.write(container.contents, OPEN, value if old is None else join(old, value))
        elif isinstance(container, List):
            at = key.value if isinstance(key, Constant) and isinstance(key.value, int) else None
            items = container.items
            if at is not None and -len(items) <= at < len(items) and not any(isinstance(item, Rest) for item in items):
                at %= len(items)
                self.memory.write(container.contents, 0, (*items[:at], value, *items[at + 1 :]))
            else:
                self.memory.write(container.contents, 0, (Rest(Tensor()),))
        elif isinstance(container, Made):
            self.memory.write(container.attributes, f"[{key.value}]" if isinstance(key, Constant) else "[?]", value)
        elif isinstance(container, Method) and isinstance(container.receiver, Made) and container.name in HEADS:
            # vgg.classifier[6] = ...: who puts a layer there wants other classes, and so it is the last.
            self.memory.write(container.receiver.attributes, container.name, value)
        elif isinstance(container, Tensor) and isinstance(owner, ast.Name | ast.Attribute):
            self._overwrite(owner, container, index, value, frame)

    def _overwrite(self, owner: ast.expr, old: Tensor, index: ast.expr, value: Value, frame: Frame) -> None:
        """Write into a part of a tensor: a mask is filled in, or the whole is no longer known."""
        place = Place(frame.source, index)
        filled = number(value)
        if filled is not None and _is_mask(index):
            statement = Place(frame.source, owner)
            fill = Fill(filled, statement)
            self.assign(owner, old.but(kind=Kind.UNKNOWN, fill=fill, origin=None, trace=(), term=unknown()), frame)
            self.report(Event("masked_fill", "[...] =", place.source, owner, {"input": old, "value": value}, Tensor()))
        elif old.known or old.term.operation != "unknown":
            kept = isinstance(value, Tensor) and value.kind is old.kind and old.kind is Kind.LOGITS
            self.assign(owner, old.but(term=unknown()) if kept else Tensor(rank=old.rank), frame)


def _as_read(target: ast.expr) -> ast.expr:
    match target:
        case ast.Name(id=name):
            return ast.Name(name, ast.Load())
        case ast.Attribute(value=value, attr=name):
            return ast.Attribute(value, name, ast.Load())
        case ast.Subscript(value=value, slice=index):
            return ast.Subscript(value, index, ast.Load())
    return target


def _is_mask(index: ast.expr) -> bool:
    """Tell whether an index is a mask: a comparison, something inverted, or what is called one."""
    if isinstance(index, ast.UnaryOp):
        return isinstance(index.op, ast.Invert) or _is_mask(index.operand)
    if isinstance(index, ast.Name | ast.Attribute):
        name = (index.id if isinstance(index, ast.Name) else index.attr).lower()
        return "mask" in name or "pad" in name
    return isinstance(index, ast.Compare)


def named(value: Value, name: str, place: Place) -> Value:
    """Note in the path of a value that it now has a name."""
    match value:
        case Tensor() if value.known:
            return value.went(place.step(name))
        case Tuple(items=items) if any(isinstance(item, Tensor) and item.known for item in items):
            return Tuple(tuple(item if isinstance(item, Rest) else named(item, name, place) for item in items))
    return value
