"""Python's own functions, and the methods of its lists, dicts and strings."""

from __future__ import annotations

from typing import Final

from normexp.check.join import join
from normexp.check.known import integer, tensor, text
from normexp.check.libraries.call import Call, Effect
from normexp.check.machine import Arguments
from normexp.check.terms import term
from normexp.check.values import (
    NONE,
    OPEN,
    Class,
    Constant,
    Dictionary,
    Instance,
    Library,
    List,
    Made,
    Rest,
    Tensor,
    Tuple,
    Value,
)

_LONGEST_RANGE: Final = 24


def _enumerate(call: Call) -> Value:
    items = call.machine.items(call.get(0, "iterable") or Tensor())
    if items is None:
        return List({0: (Rest(Tuple((Tensor(), call.machine.element(call.get(0, "iterable") or Tensor())))),)})
    return List({0: tuple(Tuple((Constant(at), item)) for at, item in enumerate(items))})


def _zip(call: Call) -> Value:
    columns = [call.machine.items(value) for value in call.rest(0)]
    if columns and all(column is not None for column in columns):
        rows = zip(*(column for column in columns if column is not None), strict=False)
        return List({0: tuple(Tuple(tuple(row)) for row in rows)})
    return List({0: (Rest(Tuple(tuple(call.machine.element(value) for value in call.rest(0)))),)})


def _range(call: Call) -> Value:
    known = [integer(value) for value in call.rest(0)]
    if known and all(value is not None for value in known):
        try:
            numbers = range(*(value for value in known if value is not None))
        except (TypeError, ValueError):
            return Tensor()
        if len(numbers) <= _LONGEST_RANGE:
            return List({0: tuple(Constant(value) for value in numbers)})
    return Tensor()


def _list(call: Call) -> Value:
    value = call.get(0)
    if value is None:
        return List({0: ()})
    items = call.machine.items(value)
    return List({0: (Rest(call.machine.element(value)),) if items is None else tuple(items)})


def _tuple(call: Call) -> Value:
    made = _list(call)
    return Tuple(made.items) if isinstance(made, List) else made


def _reversed(call: Call) -> Value:
    made = _list(call)
    return List({0: made.items[::-1]}) if isinstance(made, List) else made


def _dict(call: Call) -> Value:
    value = call.get(0)
    contents: dict[object, Value] = {}
    if isinstance(value, Dictionary):
        contents |= value.contents
    elif isinstance(value, List | Tuple):
        for item in value.items:
            if isinstance(item, Tuple) and len(item.items) == 2 and isinstance(item.items[0], Constant):
                second = item.items[1]
                contents[item.items[0].value] = second.item if isinstance(second, Rest) else second
            else:
                contents[OPEN] = Tensor()
    elif value is not None:
        contents[OPEN] = Tensor()
    return Dictionary(contents | dict(call.arguments.keywords))


def _len(call: Call) -> Value:
    value = call.get(0)
    if isinstance(value, List | Tuple) and not any(isinstance(item, Rest) for item in value.items):
        return Constant(len(value.items))
    return Tensor()


def _getattr(call: Call) -> Value:
    owner, name = call.get(0), text(call.get(1))
    if owner is None or name is None:
        return Tensor()
    return call.machine.attribute(owner, name, call.frame)


def _setattr(call: Call) -> Value:
    owner, name, value = call.get(0), text(call.get(1)), call.get(2)
    if owner is not None and name is not None and value is not None:
        call.machine.set_attribute(owner, name, value)
    return NONE


def _isinstance(call: Call) -> Value:
    value, cls = call.get(0), call.get(1)
    plain = {"builtins.tuple": Tuple, "builtins.list": List, "builtins.dict": Dictionary}
    if isinstance(cls, Tuple):
        known = [plain.get(item.name) for item in cls.items if isinstance(item, Library)]
        if len(known) == len(cls.items) and None not in known:
            return _is_one(value, tuple(kind for kind in known if kind is not None))
    if isinstance(cls, Library) and cls.name in plain:
        return _is_one(value, (plain[cls.name],))
    if isinstance(cls, Class) and isinstance(value, Instance) and value.cls is cls:
        return Constant(True)
    if isinstance(cls, Library) and isinstance(value, Made) and value.name == cls.name:
        return Constant(True)
    return Tensor()


def _is_one(value: Value | None, kinds: tuple[type, ...]) -> Value:
    if isinstance(value, kinds):
        return Constant(True)
    known = isinstance(value, Tuple | List | Dictionary | Instance) or (isinstance(value, Tensor) and value.known)
    return Constant(False) if known else Tensor()


def _map(call: Call) -> Value:
    function, values = call.get(0), call.get(1)
    if function is None or values is None:
        return Tensor()
    items = call.machine.items(values)
    if items is None:
        return List({0: (Rest(call.apply(function, call.machine.element(values))),)})
    return List({0: tuple(call.apply(function, item) for item in items)})


def _sum(call: Call) -> Value:
    value = tensor(call.get(0))
    if value.term.operation != "unknown":
        return Tensor(term=term("sum", value.term, None, False), rank=0)
    return Tensor()


def _namedtuple(call: Call) -> Value:
    """Make a class of tuples with names."""
    fields = call.get(1, "field_names")
    names = text(fields)
    if names is not None:
        fields = Tuple(tuple(Constant(name) for name in names.replace(",", " ").split()))
    return Made("collections.namedtuple", () if fields is None else (fields,), {}, call.place)


def named_tuple(call: Call) -> Value:
    """Make a tuple with names."""
    fields = call.made.positional[0] if call.made is not None and call.made.positional else Tuple(())
    names = (
        [text(item) for item in fields.items if not isinstance(item, Rest)] if isinstance(fields, Tuple | List) else []
    )
    given = dict(zip(names, call.rest(0), strict=False)) | call.arguments.keywords
    items = tuple(given.get(name, Tensor()) for name in names)
    named = {name: value for name, value in given.items() if name is not None}
    return Made(NAMED_TUPLE, items, {}, call.place, named)


NAMED_TUPLE: Final = "collections.namedtuple()"


def _next(call: Call) -> Value:
    return call.machine.element(call.get(0) or Tensor())


def _first(call: Call) -> Value:
    return call.get(0) or Tensor()


def _type(call: Call) -> Value:
    value = call.get(0)
    return value.cls if isinstance(value, Instance) else Tensor()


BUILTINS: Final[dict[str, Effect]] = {
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.range": _range,
    "builtins.list": _list,
    "builtins.set": _list,
    "builtins.sorted": _list,
    "builtins.tuple": _tuple,
    "builtins.reversed": _reversed,
    "builtins.dict": _dict,
    "collections.OrderedDict": _dict,
    "collections.namedtuple": _namedtuple,
    "builtins.len": _len,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.isinstance": _isinstance,
    "builtins.map": _map,
    "builtins.sum": _sum,
    "builtins.next": _next,
    "builtins.iter": _first,
    "builtins.type": _type,
    "tqdm.tqdm": _first,
    "tqdm.auto.tqdm": _first,
    "tqdm.notebook.tqdm": _first,
}


def list_method(call: Call) -> Value:
    """Call a method of a list."""
    value = call.receiver
    if not isinstance(value, List):
        return Tensor()
    items, first = value.items, call.arguments.positional[0] if call.arguments.positional else None
    match call.name:
        case "append" | "add" if first is not None:
            call.machine.memory.write(value.contents, 0, (*items, first))
        case "extend" if first is not None:
            more = _list(Call(call.machine, "list", call.place, call.frame, Arguments((first,))))
            call.machine.memory.write(value.contents, 0, (*items, *(more.items if isinstance(more, List) else ())))
        case "insert" if len(call.arguments.positional) == 2:
            at, item = integer(first if not isinstance(first, Rest) else None), call.arguments.positional[1]
            new = (*items[:at], item, *items[at:]) if at is not None else (Rest(Tensor()),)
            call.machine.memory.write(value.contents, 0, new)
        case "pop":
            at = -1 if first is None else integer(first if not isinstance(first, Rest) else None)
            if at is None or not -len(items) <= at < len(items) or any(isinstance(item, Rest) for item in items):
                call.machine.memory.write(value.contents, 0, (Rest(Tensor()),))
                return call.machine.element(value)
            at %= len(items)
            call.machine.memory.write(value.contents, 0, (*items[:at], *items[at + 1 :]))
            found = items[at]
            return found.item if isinstance(found, Rest) else found
        case "copy":
            return List({0: items})
        case "clear" | "remove" | "reverse" | "sort":
            call.machine.memory.write(value.contents, 0, () if call.name == "clear" else (Rest(Tensor()),))
    return NONE


def dictionary_method(call: Call) -> Value:
    """Call a method of a dict."""
    value = call.receiver
    if not isinstance(value, Dictionary):
        return Tensor()
    contents, key = value.contents, call.get(0)
    match call.name:
        case "items":
            pairs = tuple(Tuple((Constant(name), item)) for name, item in contents.items() if name is not OPEN)
            return List({0: pairs if OPEN not in contents else (*pairs, Rest(Tuple((Tensor(), contents[OPEN]))))})
        case "values":
            return List({0: tuple(contents.values())})
        case "keys":
            return List({0: tuple(Constant(name) for name in contents if name is not OPEN)})
        case "get" | "pop" | "setdefault":
            default = call.get(1, "default") or NONE
            if isinstance(key, Constant):
                return contents.get(key.value, contents.get(OPEN, default))
            joined: Value = default
            for item in contents.values():
                joined = join(joined, item)
            return joined
        case "update":
            new = key.contents if isinstance(key, Dictionary) else {OPEN: Tensor()} if key is not None else {}
            for name, item in (new | dict(call.arguments.keywords)).items():
                call.machine.memory.write(contents, name, item)
        case "copy":
            return Dictionary(dict(contents))
    return NONE
