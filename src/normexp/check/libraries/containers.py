"""Containers of layers, to which more are added later, on some path or on all."""

from __future__ import annotations

from typing import Final

from normexp.check.join import join
from normexp.check.libraries.call import Call
from normexp.check.values import List, Made, Rest, Value

ADDED: Final = "@added"
"""The attribute under which layers stand that were added later, as a `List`."""


def made(call: Call) -> Made:
    """Make a container."""
    given = call.arguments
    nothing: dict[str, Value] = {ADDED: List({0: ()})}
    return Made(call.name, given.positional, dict(given.keywords), call.place, nothing, given.open)


def added(container: Made) -> List:
    """Give what was added to a container."""
    found = container.attributes.get(ADDED)
    return found if isinstance(found, List) else List({0: ()})


def change(call: Call, container: Made, items: tuple[Value | Rest, ...]) -> None:
    """Write what was added to a container."""
    found, memory = added(container), call.machine.memory
    memory.write(container.attributes, ADDED, found)
    memory.write(found.contents, 0, items)


def in_turn(call: Call, layers: tuple[Value | Rest, ...], value: Value) -> Value:
    """Apply one layer after the other."""
    for layer in layers:
        # One that only some path adds is called or not.
        value = join(value, call.apply(layer.item, value)) if isinstance(layer, Rest) else call.apply(layer, value)
    return value
