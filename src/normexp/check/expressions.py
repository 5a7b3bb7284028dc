"""The value of an expression."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Final

from normexp.check.arithmetic import arithmetic, compare
from normexp.check.comprehensions import Comprehensions
from normexp.check.folding import fold
from normexp.check.join import choice, join, join_all
from normexp.check.known import integer, truth
from normexp.check.machine import Arguments
from normexp.check.scope import BUILTINS, Frame, Scope
from normexp.check.source import Source
from normexp.check.terms import term
from normexp.check.values import (
    OPEN,
    Class,
    Constant,
    Dictionary,
    Function,
    Library,
    List,
    Made,
    Place,
    Rest,
    Super,
    Tensor,
    Tuple,
    Value,
)


class Expressions(Comprehensions):
    """Evaluates expressions."""

    met: set[ast.AST]
    defined: dict[Source, list[Function | Class]]

    def evaluate(self, node: ast.expr, frame: Frame) -> Value:  # noqa: D102
        self.step()
        method = _METHODS.get(type(node))
        return method(self, node, frame) if method else Tensor()

    def _constant(self, node: ast.Constant, frame: Frame) -> Value:
        return Constant(node.value)

    def _name(self, node: ast.Name, frame: Frame) -> Value:
        return self.look_up(node.id, frame.scope)

    def look_up(self, name: str, scope: Scope) -> Value:
        """Give what a name holds."""
        owner = scope.owner(name)
        if owner is not None and name in owner.names:
            return owner.names[name]
        for star in reversed(scope.home.stars):
            if isinstance(star, Scope):
                if name in star.names:
                    return star.names[name]
            elif self.knows(f"{star}.{name}"):
                return Library(f"{star}.{name}")
        return Library(f"builtins.{name}") if name in BUILTINS else Tensor(term=term("name", name, id(scope.module())))

    def knows(self, name: str) -> bool:
        """Tell whether the tables of the libraries have a name."""
        raise NotImplementedError

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        return self.attribute(self.evaluate(node.value, frame), node.attr, frame)

    def _call(self, node: ast.Call, frame: Frame) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and frame.scope.owner("super") is None:
            receiver = frame.receiver
            if frame.owner is not None and receiver is not None:
                return Super(frame.owner, receiver)
            return Tensor()
        callee = self.evaluate(node.func, frame)
        return self.call(callee, self._arguments(node, frame), Place(frame.source, node), frame)

    def _arguments(self, node: ast.Call, frame: Frame) -> Arguments:
        positional: list[Value | Rest] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                positional += self._spread(self.evaluate(argument.value, frame))
            else:
                positional.append(self.evaluate(argument, frame))
        made = Arguments(tuple(positional))
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, frame)
            if keyword.arg is not None:
                made.keywords[keyword.arg] = value
            elif isinstance(value, Dictionary):
                made.keywords |= {key: item for key, item in value.contents.items() if isinstance(key, str)}
                made.open = made.open or OPEN in value.contents
            else:
                made.open = True
        return made

    def _spread(self, value: Value) -> list[Value | Rest]:
        match value:
            case Tuple(items=items):
                return list(items)
            case List():
                return list(value.items)
            case Made(positional=items) if not value.keywords and items:
                return list(items)
        return [Rest(self.element(value))]

    def _binary(self, node: ast.BinOp, frame: Frame) -> Value:
        left, right = self.evaluate(node.left, frame), self.evaluate(node.right, frame)
        return self.operate(node.op, left, right, node, frame)

    def operate(self, op: ast.operator, left: Value, right: Value, node: ast.AST, frame: Frame) -> Value:
        """Give ``left op right``."""
        if isinstance(left, Constant) and isinstance(right, Constant):
            return fold(op, left.value, right.value)
        if isinstance(op, ast.Add):
            if isinstance(left, Tuple) and isinstance(right, Tuple):
                return Tuple(left.items + right.items)
            if isinstance(left, List) and isinstance(right, List):
                return List({0: left.items + right.items})
        if isinstance(op, ast.Mult):
            for items, times in ((left, right), (right, left)):
                if isinstance(items, List | Tuple):
                    count = integer(times)
                    if count is None or count * len(items.items) > 64:
                        repeated: tuple[Value | Rest, ...] = (Rest(self.element(items)),)
                    else:
                        repeated = items.items * count
                    return List({0: repeated}) if isinstance(items, List) else Tuple(repeated)
        return arithmetic(self.report, op, left, right, Place(frame.source, node))

    def _unary(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self.evaluate(node.operand, frame)
        if isinstance(node.op, ast.Not):
            known = truth(value)
            return Tensor() if known is None else Constant(not known)
        if isinstance(value, Constant) and isinstance(value.value, int | float):
            if isinstance(node.op, ast.USub):
                return Constant(-value.value)
            if isinstance(node.op, ast.UAdd):
                return Constant(+value.value)
        if isinstance(value, Tensor) and isinstance(node.op, ast.USub):
            return Tensor(rank=value.rank, sizes=value.sizes, half=value.half, term=term("negative", value.term))
        # A mask the other way round is still the mask that it was.
        return Tensor(term=value.term) if isinstance(value, Tensor) and isinstance(node.op, ast.Invert) else Tensor()

    def _boolean(self, node: ast.BoolOp, frame: Frame) -> Value:
        stops = isinstance(node.op, ast.Or)
        values: list[Value] = []
        for part in node.values:
            value = self.evaluate(part, frame)
            known = truth(value)
            if known is stops:
                values.append(value)
                break
            if known is None or part is node.values[-1]:
                values.append(value)
        return join_all(values) if len(values) == 1 or stops else Tensor()

    def _compare(self, node: ast.Compare, frame: Frame) -> Value:
        left = self.evaluate(node.left, frame)
        rights = [self.evaluate(right, frame) for right in node.comparators]
        if len(rights) != 1:
            return Tensor()
        known = compare(node.ops[0], left, rights[0])
        return Tensor() if known is None else Constant(known)

    def _conditional(self, node: ast.IfExp, frame: Frame) -> Value:
        known = truth(self.evaluate(node.test, frame))
        if known is not None:
            return self.evaluate(node.body if known else node.orelse, frame)
        return choice([self.evaluate(node.body, frame), self.evaluate(node.orelse, frame)])

    def _tuple(self, node: ast.Tuple, frame: Frame) -> Value:
        return Tuple(self._displayed(node.elts, frame))

    def _list(self, node: ast.List | ast.Set, frame: Frame) -> Value:
        return List({0: self._displayed(node.elts, frame)})

    def _displayed(self, nodes: list[ast.expr], frame: Frame) -> tuple[Value | Rest, ...]:
        items: list[Value | Rest] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items += self._spread(self.evaluate(node.value, frame))
            else:
                items.append(self.evaluate(node, frame))
        return tuple(items)

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        contents: dict[object, Value] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.evaluate(item, frame)
            if key is None:
                contents |= value.contents if isinstance(value, Dictionary) else {OPEN: Tensor()}
                continue
            known = self.evaluate(key, frame)
            if isinstance(known, Constant):
                contents[known.value] = value
            else:
                contents[OPEN] = join(contents[OPEN], value) if OPEN in contents else value
        return Dictionary(contents)

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        return self.item(self.evaluate(node.value, frame), node.slice, frame, Place(frame.source, node))

    def _lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        made = Function(node, frame.scope, self.defaults(node.args, frame), frame.owner)
        self.remember(made, frame)
        return made

    def remember(self, made: Function | Class, frame: Frame) -> None:
        """Note what a file defines, the first time it is met: if nothing calls it, it is gone through on its own."""
        if made.node not in self.met:
            self.met.add(made.node)
            self.defined.setdefault(frame.source, []).append(made)

    def defaults(self, arguments: ast.arguments, frame: Frame) -> dict[str, Value]:
        """Evaluate the defaults of a function."""
        names = [*arguments.posonlyargs, *arguments.args]
        given: list[tuple[ast.arg, ast.expr | None]] = list(
            zip(names[len(names) - len(arguments.defaults) :], arguments.defaults, strict=True)
        )
        given += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        return {name.arg: self.evaluate(node, frame) for name, node in given if node is not None}

    def _walrus(self, node: ast.NamedExpr, frame: Frame) -> Value:
        value = self.evaluate(node.value, frame)
        self.assign(node.target, value, frame)
        return value

    def _await(self, node: ast.Await, frame: Frame) -> Value:
        return self.evaluate(node.value, frame)

    def _yield(self, node: ast.Yield, frame: Frame) -> Value:
        frame.yields.append(self.evaluate(node.value, frame) if node.value else Constant(None))
        return Tensor()

    def _yield_from(self, node: ast.YieldFrom, frame: Frame) -> Value:
        frame.yields.append(self.element(self.evaluate(node.value, frame)))
        return Tensor()

    def _string(self, node: ast.JoinedStr, frame: Frame) -> Value:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.evaluate(part.value, frame)
        return Tensor()

    def _starred(self, node: ast.Starred, frame: Frame) -> Value:
        return self.evaluate(node.value, frame)


_METHODS: Final[dict[type[ast.expr], Callable[..., Value]]] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attribute,
    ast.Call: Expressions._call,
    ast.BinOp: Expressions._binary,
    ast.UnaryOp: Expressions._unary,
    ast.BoolOp: Expressions._boolean,
    ast.Compare: Expressions._compare,
    ast.IfExp: Expressions._conditional,
    ast.Tuple: Expressions._tuple,
    ast.List: Expressions._list,
    ast.Set: Expressions._list,
    ast.Dict: Expressions._dict,
    ast.Subscript: Expressions._subscript,
    ast.Lambda: Expressions._lambda,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.DictComp: Expressions._dict_comprehension,
    ast.NamedExpr: Expressions._walrus,
    ast.Await: Expressions._await,
    ast.Yield: Expressions._yield,
    ast.YieldFrom: Expressions._yield_from,
    ast.JoinedStr: Expressions._string,
    ast.Starred: Expressions._starred,
}
