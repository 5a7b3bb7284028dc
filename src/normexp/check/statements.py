"""Going through statements: branches from one state and joined after it, loops twice."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Final

from normexp.check.event import Event
from normexp.check.expressions import Expressions
from normexp.check.join import join
from normexp.check.machine import Flow, Machine
from normexp.check.memory import Changes
from normexp.check.scope import Frame
from normexp.check.terms import unknown
from normexp.check.values import (
    NONE,
    OPEN,
    Constant,
    Dictionary,
    Fill,
    Instance,
    Kind,
    List,
    Made,
    OneOf,
    Place,
    Rest,
    Tensor,
    Tuple,
    Value,
    number,
    tensor,
    truth,
)


class Statements(Expressions):
    """Executes statements."""

    def execute(self, body: list[ast.stmt], frame: Frame) -> Flow:  # noqa: D102
        for statement in body:
            self.step()
            method = _METHODS.get(type(statement))
            flow = method(self, statement, frame) if method else Flow.NEXT
            if flow is not Flow.NEXT:
                return flow
        return Flow.NEXT

    def branch(self, paths: Sequence[Callable[[], Flow]], frame: Frame) -> Flow:
        """Take several paths, each from the present state, and join what they leave behind."""
        after: list[Changes] = []
        flows: list[Flow] = []
        for path in paths:
            start = self.memory.begin()
            try:
                flow = path()
            finally:
                changes = self.memory.take_back(start)
            flows.append(flow)
            if flow is Flow.NEXT:
                after.append(changes)
            elif flow is Flow.RETURN:
                frame.returned.append(_without_names(changes, frame))
            elif flow is Flow.LEAVE and frame.left:
                frame.left[-1].append(changes)
        if after:
            self.memory.merge(after)
            return Flow.NEXT
        return next((flow for flow in flows if flow is not Flow.RAISE), Flow.RAISE)

    def _expression(self, node: ast.Expr, frame: Frame) -> Flow:
        value = self.evaluate(node.value, frame)
        if isinstance(node.value, ast.Call):
            name = node.value.func.attr if isinstance(node.value.func, ast.Attribute) else ""
            self.report(Event("dropped", name, frame.source, node.value, {"input": value}, tensor(value)))
            if name.endswith("_") and not name.endswith("__") and isinstance(node.value.func, ast.Attribute):
                self._changed(node.value.func.value, value, frame)
        return Flow.NEXT

    def _changed(self, owner: ast.expr, value: Value, frame: Frame) -> None:
        """Note what a method that works in place has made of its object."""
        if isinstance(owner, ast.Name | ast.Attribute) and isinstance(value, Tensor):
            self.assign(owner, value, frame)

    def _assign(self, node: ast.Assign, frame: Frame) -> Flow:
        value = self.evaluate(node.value, frame)
        for target in node.targets:
            self.assign(target, value, frame)
        return Flow.NEXT

    def _annotated(self, node: ast.AnnAssign, frame: Frame) -> Flow:
        if node.value is not None:
            self.assign(node.target, self.evaluate(node.value, frame), frame)
        return Flow.NEXT

    def _augmented(self, node: ast.AugAssign, frame: Frame) -> Flow:
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
                scope = frame.scope.elsewhere.get(name, frame.scope)
                self.memory.write(scope.names, name, _named(value, name, Place(frame.source, target)))
            case ast.Attribute(value=owner, attr=name):
                named = _named(value, name, Place(frame.source, target))
                self.set_attribute(self.evaluate(owner, frame), name, named)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                self._unpack(targets, value, frame)
            case ast.Starred(value=inner):
                self.assign(inner, value, frame)
            case ast.Subscript(value=owner, slice=index):
                self._set_item(owner, index, value, frame)

    def _unpack(self, targets: list[ast.expr], value: Value, frame: Frame) -> None:
        if isinstance(value, OneOf):
            value = next((option for option in value.options if isinstance(option, Tuple)), Tensor())
        items = value.items if isinstance(value, Tuple | List) else ()
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

    def _delete(self, node: ast.Delete, frame: Frame) -> Flow:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.memory.remove(frame.scope.elsewhere.get(target.id, frame.scope).names, target.id)
        return Flow.NEXT

    def _if(self, node: ast.If, frame: Frame) -> Flow:
        known = truth(self.evaluate(node.test, frame))
        if known is None:
            return self.branch(
                [lambda: self.execute(node.body, frame), lambda: self.execute(node.orelse, frame)], frame
            )
        taken, other = (node.body, node.orelse) if known else (node.orelse, node.body)
        if other and _is_mode(node.test):
            self._look_at(other, frame)
        elif other:
            self.skip(frame)
        return self.execute(taken, frame)

    def _look_at(self, body: list[ast.stmt], frame: Frame) -> None:
        """Go through statements for what is wrong in them, and forget what they do."""
        start, returns = self.memory.begin(), list(frame.returns)
        try:
            self.execute(body, frame)
        finally:
            self.memory.take_back(start)
            frame.returns[:] = returns

    def skip(self, frame: Frame) -> None:
        """Note that a branch of a function was not taken, because of what its arguments were."""
        raise NotImplementedError

    def _for(self, node: ast.For | ast.AsyncFor, frame: Frame) -> Flow:
        iterated = self.evaluate(node.iter, frame)
        items = self.items(iterated)
        rounds = list(items) if items is not None else [self.element(iterated)] * 2
        return self._loop([(node.target, item) for item in rounds], node.body, node.orelse, frame, items is None)

    def _while(self, node: ast.While, frame: Frame) -> Flow:
        self.evaluate(node.test, frame)
        return self._loop([(None, NONE)] * 2, node.body, node.orelse, frame, True)

    def _loop(
        self,
        rounds: Sequence[tuple[ast.expr | None, Value]],
        body: list[ast.stmt],
        orelse: list[ast.stmt],
        frame: Frame,
        joined: bool,
    ) -> Flow:
        # A loop is taken to run at least once: code that reads what it sets takes it so too. The second round starts
        # from what holds before the first or after it.
        frame.left.append([])
        flow = Flow.NEXT
        for index, (target, item) in enumerate(rounds):
            start = self.memory.begin()
            if target is not None:
                self.assign(target, item, frame)
            flow = self.execute(body, frame)
            first = joined and index == 0
            changes = self.memory.take_back(start) if first else self.memory.keep(start)
            if first:
                self.memory.merge([changes, {}])
            if flow in (Flow.RETURN, Flow.RAISE):
                break
            if frame.left[-1]:
                self.memory.merge([*frame.left[-1], {}])
                frame.left[-1].clear()
        frame.left.pop()
        if orelse:
            self.execute(orelse, frame)
        return Flow.NEXT  # a body that always returns does so only if the loop runs

    def _return(self, node: ast.Return, frame: Frame) -> Flow:
        value = self.evaluate(node.value, frame) if node.value is not None else NONE
        name = frame.function.name if frame.function is not None else ""
        frame.returns.append(_named(value, name, Place(frame.source, node)))
        return Flow.RETURN

    def _raise(self, node: ast.Raise, frame: Frame) -> Flow:
        return Flow.RAISE

    def _leave(self, node: ast.Break | ast.Continue, frame: Frame) -> Flow:
        return Flow.LEAVE

    def _with(self, node: ast.With | ast.AsyncWith, frame: Frame) -> Flow:
        for item in node.items:
            value = self.evaluate(item.context_expr, frame)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, frame)
        return self.execute(node.body, frame)

    def _try(self, node: ast.Try, frame: Frame) -> Flow:
        def handler(body: list[ast.stmt]) -> Callable[[], Flow]:
            return lambda: self.execute(body, frame)

        def whole() -> Flow:
            flow = self.execute(node.body, frame)
            return self.execute(node.orelse, frame) if flow is Flow.NEXT else flow

        flow = self.branch([whole, *(handler(each.body) for each in node.handlers)], frame)
        last = self.execute(node.finalbody, frame)
        return last if last is not Flow.NEXT else flow

    def _match(self, node: ast.Match, frame: Frame) -> Flow:
        self.evaluate(node.subject, frame)

        def case(each: ast.match_case) -> Callable[[], Flow]:
            def path() -> Flow:
                for pattern in ast.walk(each.pattern):
                    name = getattr(pattern, "name", None) or getattr(pattern, "rest", None)
                    if isinstance(name, str):
                        self.memory.write(frame.scope.names, name, Tensor())
                return self.execute(each.body, frame)

            return path

        return self.branch([*(case(each) for each in node.cases), lambda: Flow.NEXT], frame)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, frame: Frame) -> Flow:
        self.define(node, frame)
        return Flow.NEXT

    def _import(self, node: ast.Import | ast.ImportFrom, frame: Frame) -> Flow:
        self.bring_in(node, frame.scope)
        return Flow.NEXT

    def _global(self, node: ast.Global, frame: Frame) -> Flow:
        for name in node.names:
            frame.scope.elsewhere[name] = frame.scope.module()
        return Flow.NEXT

    def _nonlocal(self, node: ast.Nonlocal, frame: Frame) -> Flow:
        for name in node.names:
            owner = frame.scope.parent.owner(name) if frame.scope.parent else None
            if owner is not None:
                frame.scope.elsewhere[name] = owner
        return Flow.NEXT


_METHODS: Final[dict[type[ast.stmt], Callable[..., Flow]]] = {
    ast.Expr: Statements._expression,
    ast.Assign: Statements._assign,
    ast.AnnAssign: Statements._annotated,
    ast.AugAssign: Statements._augmented,
    ast.Delete: Statements._delete,
    ast.If: Statements._if,
    ast.For: Statements._for,
    ast.AsyncFor: Statements._for,
    ast.While: Statements._while,
    ast.Return: Statements._return,
    ast.Raise: Statements._raise,
    ast.Break: Statements._leave,
    ast.Continue: Statements._leave,
    ast.With: Statements._with,
    ast.AsyncWith: Statements._with,
    ast.Try: Statements._try,
    ast.TryStar: Statements._try,
    ast.Match: Statements._match,
    ast.FunctionDef: Statements._definition,
    ast.AsyncFunctionDef: Statements._definition,
    ast.ClassDef: Statements._definition,
    ast.Import: Statements._import,
    ast.ImportFrom: Statements._import,
    ast.Global: Statements._global,
    ast.Nonlocal: Statements._nonlocal,
}


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


def _is_mode(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "training" for node in ast.walk(test))


def _named(value: Value, name: str, place: Place) -> Value:
    match value:
        case Tensor() if value.known:
            return value.went(place.step(name))
        case Tuple(items=items) if any(isinstance(item, Tensor) and item.known for item in items):
            return Tuple(tuple(item if isinstance(item, Rest) else _named(item, name, place) for item in items))
    return value


def _without_names(changes: Changes, frame: Frame) -> Changes:
    own = id(frame.scope.names)
    return {place: change for place, change in changes.items() if place[0] != own}


__all__ = ["Instance", "Machine", "Statements"]
