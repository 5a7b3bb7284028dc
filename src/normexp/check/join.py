"""What is known of a value that comes from one of two paths."""

from __future__ import annotations

from typing import Final

from normexp.check.terms import unknown
from normexp.check.values import (
    NONE,
    OPEN,
    Bound,
    Class,
    Constant,
    Dictionary,
    Function,
    Instance,
    Kind,
    Library,
    List,
    Made,
    OneOf,
    Rest,
    Tensor,
    Tuple,
    Value,
)

# Criteria in a dict, models behind a flag: rarely more. Beyond, a value is unknown.
MOST_OPTIONS: Final = 6


def join(one: Value, other: Value) -> Value:
    """Give what holds of both values; what differs becomes unknown, and so silent."""
    if one is other or one == other:
        return one
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return _tensors(one, other)
    # None is what a name holds before it is set; whoever reads the value has set it.
    # But a constant was chosen: the activation of a layer may well be none.
    if one == NONE and not isinstance(other, Constant):
        return other
    if other == NONE and not isinstance(one, Constant):
        return one
    if isinstance(one, Tuple) and isinstance(other, Tuple) and len(one.items) == len(other.items):
        return Tuple(join_items(one.items, other.items))
    if isinstance(one, List) and isinstance(other, List):
        return List({0: join_items(one.items, other.items)})
    if isinstance(one, Dictionary) and isinstance(other, Dictionary):
        return Dictionary(_contents(one.contents, other.contents))
    options = _options(one, other)
    return OneOf(options) if options else Tensor()


def join_items(one: tuple[Value | Rest, ...], other: tuple[Value | Rest, ...]) -> tuple[Value | Rest, ...]:
    """Join two sequences; of unlike ones the equal items at both ends are kept."""
    if len(one) == len(other) and not any(isinstance(item, Rest) for item in (*one, *other)):
        return tuple(
            join(a, b)
            for a, b in zip(one, other, strict=True)
            if not isinstance(a, Rest | None) and not isinstance(b, Rest)
        )
    shorter = min(len(one), len(other))
    head = 0
    while head < shorter and _alike(one[head], other[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _alike(one[-1 - tail], other[-1 - tail]):
        tail += 1
    middle = [*one[head : len(one) - tail], *other[head : len(other) - tail]]
    rest = join_all([item.item if isinstance(item, Rest) else item for item in middle])
    return (*one[:head], Rest(rest), *one[len(one) - tail :])


def _alike(one: Value | Rest, other: Value | Rest) -> bool:
    return (
        one is other or one == other or (isinstance(one, Made) and isinstance(other, Made) and _same_site(one, other))
    )


def _tensors(one: Tensor, other: Tensor) -> Tensor:
    kind = one.kind if one.kind is other.kind else Kind.UNKNOWN
    return Tensor(
        kind=kind,
        axis=one.axis if one.axis == other.axis else None,
        rank=one.rank if one.rank == other.rank else None,
        sizes=tuple(pair for pair in one.sizes if pair in other.sizes),
        half=one.half and other.half,
        term=one.term if one.term == other.term else unknown(),
        fill=one.fill or other.fill,
        origin=one.origin and other.origin,
        trace=one.trace if kind is not Kind.UNKNOWN else (),
    )


def _contents(one: dict[object, Value], other: dict[object, Value]) -> dict[object, Value]:
    joined: dict[object, Value] = {}
    for key in [*one, *(key for key in other if key not in one)]:
        if key in one and key in other:
            joined[key] = join(one[key], other[key])
        else:
            joined[key] = one[key] if key in one else other[key]
    if OPEN in one or OPEN in other:
        joined.setdefault(OPEN, Tensor())
    return joined


def _options(one: Value, other: Value) -> tuple[Value, ...]:
    options: list[Value] = []
    for value in (*_each(one), *_each(other)):
        if isinstance(value, Tensor):
            return ()
        # Two objects from one place of the source are alike: a loop that was gone through twice.
        options = [known for known in options if not (known == value or _same_site(known, value))]
        options.append(value)
    return tuple(options) if len(options) <= MOST_OPTIONS else ()


def _each(value: Value) -> tuple[Value, ...]:
    return value.options if isinstance(value, OneOf) else (value,)


def _same_site(one: Value, other: Value) -> bool:
    if isinstance(one, Instance) and isinstance(other, Instance):
        return one.cls is other.cls and one.node is other.node
    if isinstance(one, Made) and isinstance(other, Made):
        return one.name == other.name and one.place.node is other.place.node
    if isinstance(one, Bound) and isinstance(other, Bound):
        return one.function is other.function and _same_site(one.receiver, other.receiver)
    return False


def choice(values: list[Value]) -> Value:
    """Join what branches chose: where one chose None and another an object, whoever reads it asks which it is."""
    objects = [
        value for value in values if isinstance(value, Function | Class | Library | Made | Instance | Bound | OneOf)
    ]
    joined = join_all(values)
    if NONE in values and objects and not isinstance(joined, Tensor):
        return OneOf(tuple(dict.fromkeys((*_each(joined), NONE))))
    return joined


def join_all(values: list[Value]) -> Value:
    """Join any number of values; None stands for no value at all."""
    if not values:
        return NONE
    joined = values[0]
    for value in values[1:]:
        joined = join(joined, value)
    return joined
