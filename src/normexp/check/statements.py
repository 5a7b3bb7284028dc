"""Going through statements: branches from one state and joined after it, loops twice."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Final

from normexp.check.assignments import Assignments, named
from normexp.check.event import Event
from normexp.check.known import tensor, truth
from normexp.check.machine import Flow
from normexp.check.memory import Changes
from normexp.check.scope import Frame
from normexp.check.values import NONE, Place, Tensor, Value


class Statements(Assignments):
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
                self.changed(node.value.func.value, value, frame)
        return Flow.NEXT

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
        frame.returns.append(named(value, name, Place(frame.source, node)))
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
    ast.Assign: Statements.do_assign,
    ast.AnnAssign: Statements.do_annotated,
    ast.AugAssign: Statements.do_augmented,
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


def _is_mode(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "training" for node in ast.walk(test))


def _without_names(changes: Changes, frame: Frame) -> Changes:
    own = id(frame.scope.names)
    return {place: change for place, change in changes.items() if place[0] != own}
