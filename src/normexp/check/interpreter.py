"""The interpreter: files, imports, and what of a file is gone through in which order."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from time import process_time
from typing import Final

from normexp.check.event import Event
from normexp.check.finding import Note
from normexp.check.imports import Imports
from normexp.check.join import join_all
from normexp.check.machine import Arguments, OutOfSteps
from normexp.check.memory import Memory
from normexp.check.project import Project
from normexp.check.scope import Frame, Home, Scope
from normexp.check.source import Source
from normexp.check.values import Class, Constant, Function, Instance, Library, Made, Place, Tensor, Value

# Of expressions and statements; a second has some 200,000. Real files need a few thousand.
STEPS_OF_A_FILE: Final = 150_000
STEPS_OF_AN_ENTRY: Final = 50_000
# Of this process' time. Real files take a second at most; a step may be long in one that means harm.
SECONDS_OF_A_FILE: Final = 10.0
_STEPS_OF_A_LOOK: Final = 64  # at the clock: each takes as long as a step
# A call of the code under check takes some 20 of Python's frames.
RECURSION: Final = 6_000


class Interpreter(Imports):
    """Goes through the files of a project and reports what it meets."""

    def __init__(self, project: Project, report: Callable[[Event], None]) -> None:
        self.memory = Memory()
        self._report = report
        self.told = 0
        self.idle = {}
        self.checked = None
        self.stack = []
        self.entered = set()
        self.skipped = set()
        self.results = {}
        self.met = set()
        self.defined = {}
        self._project = project
        self._modules: dict[Source, Scope] = {}
        self._attributes: dict[ast.AST, frozenset[str]] = {}
        self._left = 0
        self._left_of_file = STEPS_OF_A_FILE
        self._deadline = 0.0

    def step(self) -> None:  # noqa: D102
        self._left -= 1
        if self._left % _STEPS_OF_A_LOOK == 0 and process_time() > self._deadline:
            self._left = -1
        if self._left < 0:
            raise OutOfSteps

    def report(self, event: Event) -> None:  # noqa: D102
        if event.operation not in ("dropped", "divide"):
            self.told += 1
        self._report(event)

    def check(self, source: Source) -> Note | None:
        """Go through a file: its statements, what runs as a script, and all that nothing called."""
        self.results.clear()
        self.idle.clear()
        self.checked = source
        self._left_of_file = STEPS_OF_A_FILE
        self._deadline = process_time() + SECONDS_OF_A_FILE
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, RECURSION))
        try:
            return self._check(source)
        finally:
            sys.setrecursionlimit(limit)

    def _check(self, source: Source) -> Note | None:
        scope = self._attempt(lambda: self._module(source))
        notes: list[Note | None] = [scope]
        module = self._modules[source]
        self.defined.setdefault(source, [])
        for statement in source.tree.body:
            if isinstance(statement, ast.If) and _is_main(statement.test):
                body = statement.body
                notes.append(self._attempt(partial(self.execute, body, Frame(module))))
        mentioned, called = _mentioned(source.tree)
        for left in (mentioned, called, frozenset[str]()):
            for entry in self._entries(source, left):
                notes.append(self._attempt(entry))
        for more in (self._inherited(source, called), self._again(source), self._skipped(source)):
            for entry in more:
                notes.append(self._attempt(entry))
        return next((note for note in notes if isinstance(note, Note)), None)

    def _attempt(self, entry: Callable[[], object]) -> Note | None:
        allowed = min(STEPS_OF_AN_ENTRY, self._left_of_file)
        self._left = allowed
        try:
            entry()
        except OutOfSteps:
            self.memory, self.stack = Memory(), []
            return Note("", None, "takes too long to be followed everywhere: parts of it were not checked")
        except RecursionError:
            self.memory, self.stack = Memory(), []
            return Note("", None, "is nested too deeply to be followed everywhere")
        finally:
            self._left_of_file -= allowed - max(self._left, 0)
            if process_time() > self._deadline:
                self._left_of_file = 0
        return None

    def _entries(self, source: Source, mentioned: frozenset[str]) -> Iterator[Callable[[], object]]:
        """Yield what nothing has called yet, but for what the file mentions: that may be called from the rest."""
        at = 0
        while at < len(self.defined[source]):  # it grows
            value = self.defined[source][at]
            at += 1
            if isinstance(value, Class):
                if value.node.name not in mentioned:
                    yield partial(self._instances, value)
                for name, method in list(value.attributes.items()):
                    if isinstance(method, Function) and method.name == name and name not in mentioned:
                        yield partial(self._enter_method, value, method)
            elif value.name not in mentioned and not value.scope.of_class:
                yield partial(self._enter_once, value, None)

    def _instances(self, cls: Class) -> list[Instance]:
        if not cls.instances:
            self._generic(cls)
        return cls.instances[:2]

    def _generic(self, cls: Class) -> None:
        """Make an instance from unknown arguments."""
        instance = Instance(cls, {}, None)
        cls.instances.append(instance)
        init = self.find_method(cls, "__init__")
        if init is None:
            self.instantiate_base(instance, Arguments((), {}, True), Place(cls.scope.home.source, cls.node))
            self._forget_fields(instance)
        else:
            self.enter(init, instance)
        self.set_up(instance)

    def _forget_fields(self, instance: Instance) -> None:
        """Know nothing of what a dataclass was made with: its defaults need not hold."""
        for each in instance.cls.node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                default = instance.cls.attributes.get(each.target.id)
                if not isinstance(default, Function | Class | Library | Made):
                    self.memory.write(instance.attributes, each.target.id, Tensor())

    def typical(self, node: ast.expr | None, scope: Scope) -> Value | None:
        """Give what an annotation names: an instance of a model of the code under check, or a criterion."""
        frame = Frame(scope)
        cls = self.evaluate(node, frame) if isinstance(node, ast.Name | ast.Attribute) else None
        if isinstance(cls, Library) and cls.name.startswith("torch.nn.") and cls.name.endswith("Loss"):
            return self.call(cls, Arguments(), Place(frame.source, node), frame) if node is not None else None
        if not isinstance(cls, Class) or not any(
            self.find_method(cls, name) for name in ("forward", "__call__", "call")
        ):
            return None
        self._instances(cls)
        return join_all(list(cls.instances))

    def _enter_once(self, function: Function, receiver: Value | None) -> None:
        if function.node not in self.entered:
            self.enter(function, receiver)

    def _enter_method(self, cls: Class, method: Function) -> None:
        if method.node in self.entered or method.name == "__init__":
            return
        if method.role == "staticmethod":
            self.enter(method, None)
            return
        for receiver in [cls] if method.role == "classmethod" else self._instances(cls):
            self.enter(method, receiver)

    def _inherited(self, source: Source, called: frozenset[str]) -> Iterator[Callable[[], object]]:
        """Yield what a class has from others, where it calls what the class overrides: frameworks call it."""
        for cls in [value for value in self.defined[source] if isinstance(value, Class)]:
            own = {name for name, value in cls.attributes.items() if isinstance(value, Function)} - {"__init__"}
            for base in cls.bases if own else ():
                if isinstance(base, Class) and own & base.attributes.keys():
                    methods = {name: value for name, value in base.attributes.items() if isinstance(value, Function)}
                    for name in self._leading_to(own, methods):
                        if name not in own | called and not methods[name].role:
                            yield partial(self._enter_inherited, cls, methods[name])

    def _leading_to(self, wanted: Collection[str], methods: Mapping[str, Function]) -> list[str]:
        """Give those of the methods of a class that use one of the wanted attributes, or use a method that does."""
        leading: set[str] = set()
        while True:
            targets = leading.union(wanted)
            more = {name for name, value in methods.items() if self._used(value) & targets} - leading
            if not more:
                return [name for name in methods if name in leading]
            leading |= more

    def _used(self, function: Function) -> frozenset[str]:
        """Give the names of the attributes that a function uses."""
        if function.node not in self._attributes:
            found = (node.attr for node in ast.walk(function.node) if isinstance(node, ast.Attribute))
            self._attributes[function.node] = frozenset(found)
        return self._attributes[function.node]

    def _enter_inherited(self, cls: Class, method: Function) -> None:
        for receiver in self._instances(cls):
            self.enter(method, receiver)

    def _again(self, source: Source) -> Iterator[Callable[[], object]]:
        """Yield the methods of classes of which a method has set what another, that came before, may read."""
        for cls in [value for value in self.defined[source] if isinstance(value, Class)]:
            for instance in cls.instances[:2]:
                if any(isinstance(value, Tensor) and value.known for value in instance.attributes.values()):
                    for method in list(cls.attributes.values()):
                        if isinstance(method, Function) and not method.role and method.name != "__init__":
                            yield partial(self.enter, method, instance)

    def _skipped(self, source: Source) -> Iterator[Callable[[], object]]:
        """Yield the functions of which a branch was left out because of arguments: others may call them otherwise."""
        for value in list(self.defined[source]):
            if isinstance(value, Function) and not value.scope.of_class and value.node in self.skipped:
                yield partial(self.enter, value, None)
            if isinstance(value, Class) and value.instances:
                for method in list(value.attributes.values()):
                    if isinstance(method, Function) and method.node in self.skipped:
                        yield partial(self.enter, method, value.instances[0])

    def _module(self, source: Source) -> Scope:
        """Give the names of a file, after going through it if nothing has yet."""
        if source in self._modules:
            return self._modules[source]
        scope = Scope(Home(source))
        scope.names["__name__"] = Constant("?")
        self._modules[source] = scope
        # What a file defines stays, even if the import stands in a branch that is taken back.
        memory, self.memory = self.memory, Memory()
        stack, self.stack = self.stack, []
        try:
            self.execute(source.tree.body, Frame(scope))
        finally:
            self.memory, self.stack = memory, stack
        return scope


def _is_main(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _mentioned(tree: ast.Module) -> tuple[frozenset[str], frozenset[str]]:
    """Collect the names that a file reads, and those among them that it calls."""
    names, called = {"__init__"}, {"__init__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                called.add(node.func.id)
            elif isinstance(node.func, ast.Attribute):
                called.add(node.func.attr)
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return frozenset(names), frozenset(called)
