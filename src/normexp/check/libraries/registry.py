"""All libraries in one: what is known of a qualified name, of an object, of a method."""

from __future__ import annotations

from typing import Final

from normexp.check.known import integer, text
from normexp.check.libraries import (
    containers,
    distributions,
    flax,
    jax,
    keras_functions,
    keras_layers,
    keras_losses,
    keras_models,
    numpy,
    optax,
    python,
    tensorflow,
    torch_functions,
    torch_modules,
    torch_others,
    torch_shapes,
)
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.torch_modules import CONTAINERS, WRAPPERS
from normexp.check.values import Dictionary, Made, Method, Rest, Tensor, Value

_FUNCTIONS: Final[dict[str, Effect]] = {
    **torch_functions.TORCH,
    **torch_others.FUNCTIONS,
    **numpy.FUNCTIONS,
    **python.BUILTINS,
    **keras_functions.FUNCTIONS,
    **keras_layers.FUNCTIONS,
    **keras_losses.FUNCTIONS,
    **keras_models.FUNCTIONS,
    **tensorflow.FUNCTIONS,
    **jax.FUNCTIONS,
    **optax.FUNCTIONS,
    **flax.FUNCTIONS,
    **distributions.FUNCTIONS,
}
_MADE: Final[dict[str, Effect]] = {
    **torch_modules.MADE,
    **torch_others.MADE,
    "collections.namedtuple": python.named_tuple,
    **keras_layers.MADE,
    **keras_losses.MADE,
    **keras_models.MADE,
    **jax.MADE,
    **flax.MADE,
}
SET_UP: Final[dict[str, str]] = {**keras_layers.SET_UP, **flax.SET_UP}
"""By class: the method that the library calls before it calls an object."""
_MODULES: Final = frozenset(name.rpartition(".")[0] for name in (*_FUNCTIONS, *_MADE))
METHODS: Final[dict[str, Effect]] = torch_functions.METHODS
"""Of tensors."""

# Names under which the same things can be reached, longest first.
_ALIASES: Final = (
    ("torch.nn.modules.loss.", "torch.nn."),
    ("torch.nn.modules.activation.", "torch.nn."),
    ("torch.nn.modules.container.", "torch.nn."),
    ("torch.nn.modules.linear.", "torch.nn."),
    ("torch.nn.modules.module.", "torch.nn."),
    ("torch.nn.modules.", "torch.nn."),
    ("torch.functional.", "torch."),
    ("torch.nn.functional.functional.", "torch.nn.functional."),
    ("pytorch_lightning.", "lightning."),
    ("lightning.pytorch.", "lightning."),
    *tensorflow.ALIASES,
    *keras_layers.ALIASES,
    *flax.ALIASES,
    *optax.ALIASES,
)
_PREFIXES: Final = tuple(alias for alias, _ in _ALIASES)


def canonical(name: str) -> str:
    """Give the name under which the tables have what a name stands for."""
    if name.startswith(_PREFIXES):
        alias, real = next(pair for pair in _ALIASES if name.startswith(pair[0]))
        return canonical(real + name[len(alias) :])
    return keras_layers.NAMES.get(name, name)


def knows(name: str) -> bool:
    """Tell whether a function, a class or a module is in the tables."""
    return name in _FUNCTIONS or name in _MADE or name in _MODULES


def function(name: str) -> Effect | None:
    """Give what a function of a library does, if that is known."""
    return _FUNCTIONS.get(canonical(name))


def is_callable_class(name: str) -> bool:
    """Tell whether objects of a class can be called, with an effect that is known."""
    return canonical(name) in _MADE


def make(call: Call) -> Value:
    """Make an object of a class; something unknown if it is not the name of one."""
    name = canonical(call.name)
    last = name.rpartition(".")[2]
    if name in CONTAINERS:
        return containers.made(call)
    if name in _MADE or last[:1].isupper() or torch_others.is_model(name):
        given = call.arguments
        return Made(name, given.positional, dict(given.keywords), call.place, open=given.open)
    return Tensor()


def call_made(call: Call) -> Value:
    """Call an object of a library."""
    if torch_others.is_model(call.name):
        return torch_others.call_model(call)
    if keras_models.is_application(call.name):
        return keras_models.call_application(call)
    effect = _MADE.get(call.name)
    return Tensor() if effect is None else effect(call)


def is_method(name: str) -> bool:
    """Tell whether tensors have a method or an attribute, of which something is known."""
    return name in METHODS or name in ("T", "mT", "shape") or (name.endswith("_") and name[:-1] in METHODS)


def read(value: Tensor, name: str) -> Value | None:
    """Read an attribute of a tensor that is no method."""
    match name:
        case "T" | "mT":
            return torch_shapes.transposed(value)
        case "data":
            return value
        case "shape":
            return Tensor()
    return None


def attribute(made: Made, name: str) -> Value:
    """Read an attribute of an object of a library."""
    if made.name in WRAPPERS and name == "module":
        inner = torch_modules.wrapped(made)
        if inner is not None:
            return inner
    if made.name == "torch.nn.ModuleDict" and made.positional and isinstance(made.positional[0], Dictionary):
        found = made.positional[0].contents.get(name)
        if found is not None:
            return found
    return Method(made, name)


def item(made: Made, key: Value) -> Value:
    """Read an item of a container."""
    if made.name not in CONTAINERS and made.name != python.NAMED_TUPLE:
        return Tensor()
    if made.positional and isinstance(made.positional[0], Dictionary) and (name := text(key)) is not None:
        return made.positional[0].contents.get(name, Tensor())
    items, at = torch_modules.contained(made), integer(key)
    if at is None or not -len(items) <= at < len(items) or any(isinstance(each, Rest) for each in items):
        return Tensor()
    found = items[at]
    return found.item if isinstance(found, Rest) else found


def contained(value: Value) -> tuple[Value | Rest, ...] | None:
    """Give what a container of a library holds; None if the value is none."""
    if isinstance(value, Made) and value.name == python.NAMED_TUPLE:
        return value.positional
    if isinstance(value, Made) and value.name in CONTAINERS:
        return torch_modules.contained(value)
    return None
