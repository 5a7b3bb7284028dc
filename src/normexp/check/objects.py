"""Attributes, items and classes."""

from __future__ import annotations

import ast

from normexp.check.items import Items
from normexp.check.join import join, join_all
from normexp.check.libraries import methods, registry
from normexp.check.machine import Arguments
from normexp.check.scope import Frame, Scope
from normexp.check.terms import term
from normexp.check.values import (
    NONE,
    Bound,
    Class,
    Constant,
    Function,
    Instance,
    Library,
    Made,
    Method,
    ModuleValue,
    OneOf,
    Place,
    Rest,
    Super,
    Tensor,
    Value,
)


class Objects(Items):
    """Reads and writes attributes and items; makes classes and functions."""

    def knows(self, name: str) -> bool:  # noqa: D102
        return registry.knows(name)

    def attribute(self, value: Value, name: str, frame: Frame) -> Value:  # noqa: D102
        match value:
            case Instance():
                return self._of_instance(value, name, frame)
            case Class():
                return self._of_class(value, name, value)
            case Super(cls=cls, receiver=receiver):
                return self._of_super(cls, receiver, name)
            case Library(name=owner):
                return Library(registry.canonical(f"{owner}.{name}"))
            case ModuleValue(scope=scope):
                return self.look_up_in(scope, name)
            case Made():
                return value.attributes[name] if name in value.attributes else registry.attribute(value, name)
            case OneOf(options=options):
                return join_all([self.attribute(option, name, frame) for option in options if option != NONE])
            case Tensor() if registry.is_method(name):
                return registry.read(value, name) or Method(value, name)
            case Tensor():
                return Tensor(term=term("attribute", value.term, name))
            case Bound() | Function():
                return Tensor()
        return Method(value, name)

    def parts(self, value: Value) -> tuple[Value | Rest, ...]:  # noqa: D102
        return registry.contained(value) or ()

    def look_up_in(self, scope: Scope, name: str) -> Value:
        """Give a name of another file."""
        return self.look_up(name, scope)

    def _of_instance(self, instance: Instance, name: str, frame: Frame) -> Value:
        if name in instance.attributes:
            return instance.attributes[name]
        if name == "training":
            # A loss is computed in training; what a model returns otherwise goes elsewhere.
            return Constant(True)
        if name == "__class__":
            return instance.cls
        found = self.find(instance.cls, name)
        if isinstance(found, Function):
            if found.role == "property":
                return self.call(Bound(found, instance), Arguments(), Place(frame.source, found.node), frame)
            if found.role == "staticmethod":
                return found
            return Bound(found, instance.cls if found.role == "classmethod" else instance)
        if found is not None:
            return found
        if name in methods.OF_MODULES:
            return Method(instance, name)
        getter = self.find_method(instance.cls, "__getattr__")
        return Tensor(term=term("attribute", id(instance), name)) if getter is None else Tensor()

    def _of_class(self, cls: Class, name: str, receiver: Value) -> Value:
        found = self.find(cls, name)
        if isinstance(found, Function) and found.role == "classmethod":
            return Bound(found, receiver)
        return Tensor() if found is None else found

    def _of_super(self, cls: Class, receiver: Value, name: str) -> Value:
        for base in cls.bases:
            if isinstance(base, Class):
                found = self.find(base, name)
                if isinstance(found, Function):
                    return Bound(found, receiver)
        if (
            isinstance(receiver, Instance)
            and name in ("forward", "__call__", "call")
            and "@base" in receiver.attributes
        ):
            return receiver.attributes["@base"]
        return Method(Super(cls, receiver), name)

    def find(self, cls: Class, name: str, depth: int = 0) -> Value | None:
        """Find an attribute of a class or of its bases."""
        if name in cls.attributes:
            return cls.attributes[name]
        if depth > 16:
            return None
        for base in cls.bases:
            found = self.find(base, name, depth + 1) if isinstance(base, Class) else None
            if found is not None:
                return found
        return None

    def find_method(self, cls: Class, name: str) -> Function | None:
        """Find a method of a class or of its bases."""
        found = self.find(cls, name)
        return found if isinstance(found, Function) else None

    def library_bases(self, cls: Class, depth: int = 0) -> list[str]:
        """Give the names of the classes of libraries that a class is made from."""
        names: list[str] = []
        for base in cls.bases if depth < 16 else ():
            if isinstance(base, Library):
                names.append(base.name)
            elif isinstance(base, Class):
                names += self.library_bases(base, depth + 1)
        return names

    def instantiate_base(self, instance: Instance, arguments: Arguments, place: Place) -> None:  # noqa: D102
        for name in self.library_bases(instance.cls):
            if registry.is_callable_class(name):
                positional = tuple(Tensor() if isinstance(item, Rest) else item for item in arguments.positional)
                made = Made(name, positional, dict(arguments.keywords), place, open=arguments.open)
                self.memory.write(instance.attributes, "@base", made)
                return

    def set_up(self, instance: Instance) -> None:  # noqa: D102
        for base in self.library_bases(instance.cls):
            name = registry.SET_UP.get(base)
            method = self.find_method(instance.cls, name) if name is not None else None
            if method is not None:
                self.call_function(method, Arguments((instance, Tensor())), None, instance)
                return

    def set_attribute(self, value: Value, name: str, new: Value) -> None:  # noqa: D102
        match value:
            case Instance() | Made():
                self.memory.write(value.attributes, name, new)
            case Class():
                self.memory.write(value.attributes, name, new)
            case OneOf(options=options):
                for option in options:
                    if isinstance(option, Instance | Made):
                        old = option.attributes.get(name)
                        self.memory.write(option.attributes, name, new if old is None else join(old, new))

    def define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, frame: Frame) -> None:  # noqa: D102
        if isinstance(node, ast.ClassDef):
            self._class(node, frame)
            return
        function = Function(node, frame.scope, self.defaults(node.args, frame), frame.owner)
        self.remember(function, frame)
        value: Value = function
        for decorator in reversed(node.decorator_list):
            value = self._decorated(function, value, decorator, frame)
        self.memory.bind(frame.scope.names, node.name, value)

    def _decorated(self, function: Function, value: Value, decorator: ast.expr, frame: Frame) -> Value:
        name = decorator.id if isinstance(decorator, ast.Name) else getattr(decorator, "attr", "")
        if name in ("staticmethod", "classmethod", "property", "cached_property", "lazy_property"):
            function.role = "property" if name.endswith("property") else name
        elif name in ("setter", "getter", "deleter"):
            return frame.scope.names.get(function.name, value)
        else:
            # What wraps a function mostly leaves alone what it returns.
            wrapper = self.evaluate(decorator, frame)
            if isinstance(decorator, ast.Call):
                wrapper = self.evaluate(decorator.func, frame)
            if isinstance(wrapper, Function) and _makes_property(wrapper.node):
                function.role = "property"
        return value

    def _class(self, node: ast.ClassDef, frame: Frame) -> None:
        bases = tuple(self.evaluate(base, frame) for base in node.bases if not isinstance(base, ast.Starred))
        scope = Scope(frame.scope.home, frame.scope, of_class=True)
        cls = Class(node, frame.scope, bases, scope.names)
        self.remember(cls, frame)
        self.memory.bind(frame.scope.names, node.name, cls)
        self.execute(node.body, Frame(scope, frame.function, cls))


def _makes_property(node: ast.AST) -> bool:
    """Tell whether a decorator of the code under check makes properties, as those do that compute a value once."""
    return any(isinstance(part, ast.Name) and part.id == "property" for part in ast.walk(node))
