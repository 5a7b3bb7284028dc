"""Methods of what is not of the code under check: tensors, lists, dicts, modules and other objects of libraries."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.known import text
from normexp.check.libraries import flax, keras_models, python, registry, torch_others
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.containers import added, change
from normexp.check.values import Class, Dictionary, Instance, Library, List, Made, Rest, Super, Tensor, Tuple, Value

_OF_OBJECTS: Final[dict[tuple[str, str], Effect]] = {**torch_others.METHODS, **keras_models.METHODS, **flax.METHODS}

_SELF: Final = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "train",
        "eval",
        "half",
        "float",
        "double",
        "bfloat16",
        "requires_grad_",
        "apply",
        "share_memory",
    ]
)
OF_MODULES: Final = _SELF.union(
    [
        "add_module",
        "register_module",
        "parameters",
        "state_dict",
        "load_state_dict",
        "modules",
        "children",
        "named_parameters",
        "zero_grad",
        "register_buffer",
        "append",
        "load_from_checkpoint",
        "__init__",
        *(name for _, name in _OF_OBJECTS),
    ]
)
_OF_DICTIONARIES: Final = frozenset({"items", "keys", "values"})


def call_method(call: Call) -> Value:
    """Call a method of what is not of the code under check."""
    call.method = True
    receiver = call.receiver
    match receiver:
        case Tensor():
            name = call.name.rstrip("_") if call.name not in registry.METHODS else call.name
            effect = registry.METHODS.get(name)
            return Tensor() if effect is None else effect(call)
        case List():
            call.method = False
            return python.list_method(call)
        case Dictionary():
            call.method = False
            return python.dictionary_method(call)
        case Super(receiver=Instance() as instance):
            if call.name == "__init__":
                call.machine.instantiate_base(instance, call.arguments, call.place)
                _stored(call, instance)
                return Tensor()
            call.receiver = instance
            return _of_object(call, instance) or Tensor()
        case Made(name="torch.nn.ModuleDict", positional=(Dictionary() as inner,)) if call.name in _OF_DICTIONARIES:
            call.method, call.receiver = False, inner
            return python.dictionary_method(call)
        case Instance() | Made():
            return _of_module(call, receiver)
    return Tensor()


def _stored(call: Call, instance: Instance) -> None:
    """Take what is given by name to a base class that is not among the files for an attribute of that name."""
    node = call.place.node
    if not isinstance(node, ast.Call):
        return
    named = {
        argument.id: value
        for argument, value in zip(node.args, call.rest(1), strict=False)
        if isinstance(argument, ast.Name)
    }
    for name, value in (named | call.arguments.keywords).items():
        if isinstance(value, Made) and name not in instance.attributes:
            call.machine.set_attribute(instance, name, value)


def _of_object(call: Call, receiver: Instance | Made) -> Value | None:
    """Call a method that a class of a library is known to have."""
    names = [receiver.name] if isinstance(receiver, Made) else _bases(receiver.cls)
    if keras_models.is_application(names[0] if names else ""):
        names = ["keras.Model"]
    effect = next((effect for name in names if (effect := _OF_OBJECTS.get((name, call.name)))), None)
    return None if effect is None else effect(call)


def _bases(cls: Class, depth: int = 0) -> list[str]:
    names = [base.name for base in cls.bases if isinstance(base, Library)]
    for base in cls.bases if depth < 16 else ():
        if isinstance(base, Class):
            names += _bases(base, depth + 1)
    return names


def _of_module(call: Call, receiver: Instance | Made) -> Value:
    known = _of_object(call, receiver)
    if known is not None:
        return known
    if call.name in _SELF or call.name == "extend":
        if call.name == "extend" and isinstance(receiver, Made):
            _add(call, receiver)
        return receiver
    if call.name in ("add_module", "register_module", "append"):
        new = call.get(2 if call.name != "append" else 1, "module")
        if isinstance(receiver, Made):
            _add(call, receiver)
            return receiver
        name = text(call.get(1, "name"))
        if name is not None and new is not None:
            call.machine.set_attribute(receiver, name, new)
        return receiver
    if isinstance(receiver, Made) and call.name == "forward":
        call.method = False
        return registry.call_made(Call(call.machine, receiver.name, call.place, call.frame, call.arguments, receiver))
    return Tensor()


def _add(call: Call, made: Made) -> None:
    new = call.get(2 if call.name in ("add_module", "register_module") else 1, "module", "modules")
    items: tuple[Value | Rest, ...] = (new or Tensor(),)
    if call.name == "extend":
        items = new.items if isinstance(new, List | Tuple) else (Rest(Tensor()),)
    change(call, made, (*added(made).items, *items))
