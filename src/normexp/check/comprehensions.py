"""Comprehensions: item by item where the items are known."""

from __future__ import annotations

import ast
from collections.abc import Callable

from normexp.check.join import join
from normexp.check.known import truth
from normexp.check.machine import Machine
from normexp.check.scope import Frame, Scope
from normexp.check.values import OPEN, Constant, Dictionary, Instance, List, Made, OneOf, Rest, Tensor, Tuple, Value


class Comprehensions(Machine):
    """Evaluates comprehensions."""

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: Frame) -> Value:
        return List({0: tuple(self._generated(node.generators, [node.elt], frame, lambda values: values[0]))})

    def _dict_comprehension(self, node: ast.DictComp, frame: Frame) -> Value:
        contents: dict[object, Value] = {}
        for pair in self._generated(
            node.generators, [node.key, node.value], frame, lambda values: Tuple(tuple(values))
        ):
            found = pair.item if isinstance(pair, Rest) else pair
            if isinstance(found, Tuple) and isinstance(
                found.items[1], Tensor | Constant | Tuple | List | Made | Instance | OneOf | Dictionary
            ):
                key = found.items[0].value if isinstance(found.items[0], Constant) else OPEN
                contents[key] = join(contents[key], found.items[1]) if key in contents else found.items[1]
            else:
                contents[OPEN] = Tensor()
        return Dictionary(contents)

    def _generated(
        self,
        generators: list[ast.comprehension],
        wanted: list[ast.expr],
        frame: Frame,
        make: Callable[[list[Value]], Value],
    ) -> list[Value | Rest]:
        scope = Scope(frame.scope.home, frame.scope)
        inner = Frame(scope, frame.function, frame.owner, frame.receiver)
        first, *others = generators
        items = self.items(self.evaluate(first.iter, frame))
        once = items is None or bool(others)
        made: list[Value | Rest] = []
        for item in [self.element(self.evaluate(first.iter, frame))] if items is None else items:
            self.assign(first.target, item, inner)
            kept: bool | None = True
            for condition in first.ifs:
                known = truth(self.evaluate(condition, inner))
                kept = None if known is None and kept else kept and known
            for other in others:
                self.assign(other.target, self.element(self.evaluate(other.iter, inner)), inner)
                for condition in other.ifs:
                    self.evaluate(condition, inner)
            if kept is False:
                continue
            value = make([self.evaluate(node, inner) for node in wanted])
            made.append(Rest(value) if once or kept is None else value)
        return made
