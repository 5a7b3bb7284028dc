"""What the parts of the interpreter know of each other."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from normexp.check.event import Event
from normexp.check.memory import Memory
from normexp.check.scope import Frame, Scope
from normexp.check.values import Function, Instance, Place, Rest, Value


class OutOfSteps(Exception):
    """The steps allowed for a file, or for one function of it, are used up."""


class Flow(Enum):
    """How a statement ends, on every path through it."""

    NEXT = "next"
    RETURN = "return"
    RAISE = "raise"
    LEAVE = "leave"
    """By break or continue."""


@dataclass(slots=True)
class Arguments:
    """The arguments of a call."""

    positional: tuple[Value | Rest, ...] = ()
    keywords: dict[str, Value] = field(default_factory=dict)
    open: bool = False
    """There may be more by keyword: a dict of unknown keys was spread."""


class Machine(ABC):
    """The interpreter, as its parts and the libraries see it."""

    memory: Memory
    report: Callable[[Event], None]

    @abstractmethod
    def evaluate(self, node: ast.expr, frame: Frame) -> Value:
        """Give the value of an expression."""

    @abstractmethod
    def execute(self, body: list[ast.stmt], frame: Frame) -> Flow:
        """Go through statements."""

    @abstractmethod
    def call(self, callee: Value, arguments: Arguments, place: Place, frame: Frame) -> Value:
        """Call a value."""

    @abstractmethod
    def attribute(self, value: Value, name: str, frame: Frame) -> Value:
        """Read an attribute."""

    @abstractmethod
    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        """Assign to a target."""

    @abstractmethod
    def set_attribute(self, value: Value, name: str, new: Value) -> None:
        """Write an attribute."""

    @abstractmethod
    def item(self, value: Value, index: ast.expr, frame: Frame, place: Place) -> Value:
        """Read ``value[index]``."""

    @abstractmethod
    def items(self, value: Value) -> list[Value] | None:
        """Give what a loop over a value yields, one by one; None if that is not known."""

    @abstractmethod
    def element(self, value: Value) -> Value:
        """Give what holds of every item of a value."""

    @abstractmethod
    def instantiate_base(self, instance: Instance, arguments: Arguments, place: Place) -> None:
        """Make the part of an instance that a class of a library makes."""

    @abstractmethod
    def set_up(self, instance: Instance) -> None:
        """Go through what a library calls by itself before it calls an instance: ``setup`` or ``build``."""

    @abstractmethod
    def call_function(
        self, function: Function, arguments: Arguments, place: Place | None, receiver: Value | None = None
    ) -> Value:
        """Go through a function with arguments; give what it returns."""

    @abstractmethod
    def define(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, frame: Frame) -> None:
        """Define a function or a class."""

    @abstractmethod
    def bring_in(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        """Do an import statement."""

    @abstractmethod
    def step(self) -> None:
        """Count a step.

        Raises
        ------
        OutOfSteps
            There are none left.
        """
