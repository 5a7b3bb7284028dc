"""Calling what the code under check defines: arguments to parameters, the body, what it returns."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.join import join_all
from normexp.check.libraries import methods, registry
from normexp.check.libraries.call import Call
from normexp.check.machine import Arguments, Flow
from normexp.check.objects import Objects
from normexp.check.scope import Frame, Scope
from normexp.check.signatures import likeness, signature, telling
from normexp.check.source import Source
from normexp.check.terms import term
from normexp.check.values import (
    NONE,
    Bound,
    Class,
    Dictionary,
    Function,
    Instance,
    Library,
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

# Networks are built from networks, some ten levels deep; steps from functions. Beyond, a call is unknown.
DEEPEST: Final = 28
# A function that calls itself is followed once more: the base case tells what it returns.
MOST_RECURSIONS: Final = 2


# Calls with arguments of the same kinds give the same; once more, because attributes may have been set since.
MOST_TIMES: Final = 2


class Calls(Objects):
    """Calls values."""

    results: dict[object, tuple[int, Value | None]]
    idle: dict[object, Value]
    """What calls returned that told nothing: nothing was reported, and nothing of use returned or left behind."""
    told: int
    """How many events were reported."""
    checked: Source | None
    """The file that is gone through."""
    stack: list[Function]
    entered: set[ast.AST]
    skipped: set[ast.AST]

    def call(self, callee: Value, arguments: Arguments, place: Place, frame: Frame) -> Value:  # noqa: D102
        self.step()
        match callee:
            case Function():
                return self.call_function(callee, arguments, place)
            case Bound(function=function, receiver=receiver):
                arguments = Arguments((receiver, *arguments.positional), arguments.keywords, arguments.open)
                return self.call_function(function, arguments, place, receiver)
            case Class():
                return self.instantiate(callee, arguments, place)
            case Instance():
                return self._call_instance(callee, arguments, place, frame)
            case Library(name=name):
                effect = registry.function(name)
                call = Call(self, name, place, frame, arguments)
                return effect(call) if effect else registry.make(call)
            case Made():
                return registry.call_made(Call(self, callee.name, place, frame, arguments, callee))
            case Method(receiver=receiver, name=name):
                return methods.call_method(Call(self, name, place, frame, arguments, receiver))
            case OneOf(options=options):
                return self._call_each(options, arguments, place, frame)
            case Tensor(term=known):
                return Tensor(term=term("call", known, id(place.node))) if not arguments.positional else Tensor()
        return Tensor()

    def _call_each(self, options: tuple[Value, ...], arguments: Arguments, place: Place, frame: Frame) -> Value:
        results: list[Value] = []

        def path(option: Value) -> Flow:
            results.append(self.call(option, arguments, place, frame))
            return Flow.NEXT

        # Nobody calls None: a test has been made before.
        options = tuple(option for option in options if option != NONE)
        self.branch([lambda option=option: path(option) for option in options], frame)  # type: ignore[misc]
        return join_all(results)

    def _call_instance(self, instance: Instance, arguments: Arguments, place: Place, frame: Frame) -> Value:
        for name in ("__call__", "forward", "call"):
            method = self.find_method(instance.cls, name)
            if method is not None:
                return self.call(Bound(method, instance), arguments, place, frame)
        base = instance.attributes.get("@base")
        return Tensor() if base is None else self.call(base, arguments, place, frame)

    def instantiate(self, cls: Class, arguments: Arguments, place: Place) -> Value:
        """Make an instance of a class of the code under check."""
        instance = Instance(cls, {}, place.node)
        if len(cls.instances) < 8:
            cls.instances.append(instance)
        init = self.find_method(cls, "__init__")
        if init is not None:
            positional = (instance, *arguments.positional)
            self.call_function(init, Arguments(positional, arguments.keywords, arguments.open), place, instance)
        else:
            self.instantiate_base(instance, arguments, place)
            self._fields(instance, arguments)
        self.set_up(instance)
        return instance

    def _fields(self, instance: Instance, arguments: Arguments) -> None:
        """Set what a dataclass or a NamedTuple takes, in the order of its annotations."""
        cls = instance.cls
        names = [
            each.target.id
            for each in cls.node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
        ]
        given = dict(zip(names, arguments.positional, strict=False)) | arguments.keywords
        for name, value in given.items():
            if name in names and not isinstance(value, Rest):
                self.memory.write(instance.attributes, name, value)

    def call_function(  # noqa: D102
        self, function: Function, arguments: Arguments, place: Place | None, receiver: Value | None = None
    ) -> Value:
        if len(self.stack) >= DEEPEST or self.stack.count(function) >= MOST_RECURSIONS:
            return Tensor()
        node = function.node
        self.entered.add(node)
        key = (node, id(function.scope), tuple(map(signature, arguments.positional)), arguments.open,
               tuple((name, signature(value)) for name, value in arguments.keywords.items()))  # fmt: skip
        times, known = self.results.get(key, (0, None))
        if times >= MOST_TIMES and known is not None:
            return known
        value = self._run_unless_idle(function, arguments, receiver)
        self.results[key] = (times + 1, value)
        return value

    def _run_unless_idle(self, function: Function, arguments: Arguments, receiver: Value | None) -> Value:
        """Go through a function, but if it is of another file, only once for all objects that are alike.

        What the models of a library have in common (loading, saving, sharding) is most of the work otherwise.
        """
        if function.scope.home.source is self.checked:
            return self._run(function, arguments, receiver)
        key = (function.node, id(function.scope), tuple(map(likeness, arguments.positional)), arguments.open,
               tuple((name, likeness(value)) for name, value in arguments.keywords.items()))  # fmt: skip
        if key in self.idle:
            return self.idle[key]
        before = self.told + self.memory.told
        value = self._run(function, arguments, receiver)
        if self.told + self.memory.told == before and not telling(value) and not isinstance(value, List | Dictionary):
            self.idle[key] = value
        return value

    def _run(self, function: Function, arguments: Arguments, receiver: Value | None) -> Value:
        node = function.node
        scope = Scope(function.scope.home, function.scope)
        frame = Frame(scope, function, function.owner, receiver)
        self._bind(function, arguments, scope)
        if isinstance(node, ast.Lambda):
            self.stack.append(function)
            try:
                return self.evaluate(node.body, frame)
            finally:
                self.stack.pop()
        if receiver is None and function.owner is not None and node.args.args:
            frame.receiver = scope.names.get(node.args.args[0].arg)
        self.stack.append(function)
        try:
            self.execute(node.body, frame)
        finally:
            self.stack.pop()
        if frame.returned:
            self.memory.merge([*frame.returned, {}])
        return self._returned(frame)

    def _returned(self, frame: Frame) -> Value:
        if frame.yields:
            return List({0: (Rest(join_all(frame.yields)),)})
        return join_all([value for value in frame.returns if value != NONE] or frame.returns)

    def _bind(self, function: Function, arguments: Arguments, scope: Scope) -> None:
        node = function.node.args
        names = [each.arg for each in (*node.posonlyargs, *node.args)]
        names_by_keyword = {*names, *(each.arg for each in node.kwonlyargs)}
        values: dict[str, Value] = {}
        extra: list[Value | Rest] = []
        at, spread = 0, False
        for item in arguments.positional:
            if isinstance(item, Rest):
                spread = True
                extra.append(item)
            elif not spread and at < len(names):
                values[names[at]] = item
                at += 1
            else:
                extra.append(item)
        others: dict[object, Value] = {}
        for name, value in arguments.keywords.items():
            if name in names_by_keyword:
                values[name] = value
            else:
                others[name] = value
        for name in names_by_keyword - values.keys():
            certain = name in function.defaults and not spread and not arguments.open
            values[name] = function.defaults[name] if certain else Tensor()
        if node.vararg is not None:
            values[node.vararg.arg] = Tuple(tuple(extra))
        if node.kwarg is not None:
            values[node.kwarg.arg] = Dictionary(others)
        for name, value in values.items():
            self.memory.bind(scope.names, name, value)

    def enter(self, function: Function, receiver: Value | None) -> None:
        """Go through a function that nothing calls: of its arguments nothing is known."""
        node = function.node.args
        names = [each.arg for each in (*node.posonlyargs, *node.args, *node.kwonlyargs)]
        values: dict[str, Value] = {}
        for each in (*node.posonlyargs, *node.args, *node.kwonlyargs):
            values[each.arg] = self.typical(each.annotation, function.scope) or Tensor()
        if receiver is not None and names:
            values[names[0]] = receiver
        for name, default in function.defaults.items():
            if isinstance(default, Function | Class | Library | Made):
                values[name] = default
        self.call_function(function, Arguments((), values, True), None, receiver)

    def typical(self, node: ast.expr | None, scope: Scope) -> Value | None:
        """Give what an annotation says of an argument, if it says enough."""
        raise NotImplementedError

    def skip(self, frame: Frame) -> None:  # noqa: D102
        if frame.function is not None:
            self.skipped.add(frame.function.node)
