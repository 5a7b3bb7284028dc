"""A call of a function, a method or an object of a library, as its effect sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from normexp.check.event import Event, Operation
from normexp.check.known import integer, tensor
from normexp.check.machine import Arguments, Machine
from normexp.check.scope import Frame
from normexp.check.values import Made, Place, Rest, Tensor, Value


@dataclass(slots=True)
class Call:
    """What an effect needs to know of a call.

    For a method, argument 0 is what it is a method of; so a method and the function of the same name share an effect.
    """

    machine: Machine
    name: str
    """The qualified name of a function or a class; the plain name of a method."""
    place: Place
    frame: Frame
    arguments: Arguments
    receiver: Value | None = None
    """The object that is called, or whose method is called."""
    method: bool = False

    @property
    def made(self) -> Made | None:
        """The object of a library that is called."""
        return self.receiver if isinstance(self.receiver, Made) else None

    def get(self, index: int, *names: str) -> Value | None:
        """Give an argument by position, or by one of its names; None if it is not given."""
        for name in names:
            if name in self.arguments.keywords:
                return self.arguments.keywords[name]
        positional = self.arguments.positional
        if self.method:
            if index == 0:
                return self.receiver
            index -= 1
        if not 0 <= index < len(positional):
            return None
        found = positional[index]
        # After a spread of unknown length nothing has a known position.
        if any(isinstance(item, Rest) for item in positional[: index + 1]):
            return found.item if isinstance(found, Rest) and found is positional[0] else Tensor()
        return found if not isinstance(found, Rest) else found.item

    def given(self, index: int, *names: str) -> bool:
        """Tell whether an argument may be given."""
        spread = self.arguments.open or any(isinstance(item, Rest) for item in self.arguments.positional)
        return spread or self.get(index, *names) is not None

    def tensor(self, index: int = 0, *names: str) -> Tensor:
        """Give an argument as a tensor."""
        return tensor(self.get(index, *names))

    def integer(self, index: int, *names: str) -> int | None:
        """Give an argument that is a known integer."""
        return integer(self.get(index, *names))

    def rest(self, index: int) -> tuple[Value, ...]:
        """Give all positional arguments from one on."""
        positional = self.arguments.positional[index - 1 if self.method else index :]
        return tuple(item.item if isinstance(item, Rest) else item for item in positional)

    def apply(self, callee: Value, *arguments: Value) -> Value:
        """Call a value with arguments, at the same place."""
        return self.machine.call(callee, Arguments(arguments), self.place, self.frame)

    def report(self, operation: Operation, shown: str, result: Tensor, **arguments: Value | None) -> None:
        """Tell the rules."""
        given = {name: value for name, value in arguments.items() if value is not None}
        library = self.name.partition(".")[0]
        source, node = self.place.source, self.place.node
        self.machine.report(Event(operation, shown, source, node, given, result, library))


Effect: TypeAlias = Callable[[Call], Value]
