"""Flax: its layers, and how its modules are called with parameters."""

from __future__ import annotations

from typing import Final

from normexp.check.known import integer, text
from normexp.check.libraries.adapters import first, logits_or_nothing
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.containers import in_turn
from normexp.check.libraries.effects import same
from normexp.check.libraries.jax import FUNCTIONS as JAX
from normexp.check.libraries.jax import MADE as TRANSFORMS
from normexp.check.libraries.jax import NN
from normexp.check.libraries.keras_layers import raw
from normexp.check.machine import Arguments
from normexp.check.values import NONE, Bound, Constant, Function, List, Made, Method, Tensor, Tuple, Value


def _layer(at: int, *names: str) -> Effect:
    """Make the effect of a layer with weights; `at` is where the number of its outputs stands."""

    def effect(call: Call) -> Value:
        made = call.made
        if made is None:
            return Tensor()
        size = integer(made.get(at, *names))
        return raw(made.place, made.name.rpartition(".")[2], call.tensor(0, "inputs"), size)

    return effect


def _sequential(call: Call) -> Value:
    made = call.made
    if made is None:
        return Tensor()
    given = made.get(0, "layers")
    items = given.items if isinstance(given, List | Tuple) else made.positional
    return in_turn(call, items, call.get(0) or Tensor())


def _apply(call: Call) -> Value:
    """Call ``model.apply(variables, x)``: with the variables that are given, ``model(x)``."""
    given = dict(call.arguments.keywords)
    method, mutable = given.pop("method", NONE), given.pop("mutable", NONE)
    for ours in ("rngs", "variables", "capture_intermediates"):
        given.pop(ours, None)
    positional = call.arguments.positional
    arguments = Arguments(
        positional if "variables" in call.arguments.keywords else positional[1:], given, call.arguments.open
    )
    model = call.receiver or Tensor()
    name = text(method)
    if method == NONE:
        called: Value = model
    elif name is not None:
        called = call.machine.attribute(model, name, call.frame)
    elif isinstance(method, Function):
        called = Bound(method, model)
    elif isinstance(method, Bound | Method):
        called = method
    else:
        return Tensor()
    result = call.machine.call(called, arguments, call.place, call.frame)
    # With mutable collections, what became of them is returned too.
    return result if mutable in (NONE, Constant(False)) else Tuple((result, Tensor()))


def _train_state(call: Call) -> Value:
    """Make a TrainState: its apply_fn is that of a model."""
    given = dict(call.arguments.keywords)
    return Made("flax.training.train_state.TrainState", (), given, call.place, given)


_KEEP: Final = ("Dropout", "BatchNorm", "LayerNorm", "GroupNorm", "RMSNorm")
_CONVOLUTIONS: Final = ("Conv", "ConvTranspose")

MADE: Final[dict[str, Effect]] = {
    "flax.linen.Dense": _layer(0, "features"),
    **{f"flax.linen.{name}": _layer(0, "features") for name in _CONVOLUTIONS},
    "flax.nnx.Linear": _layer(1, "out_features"),
    **{f"flax.nnx.{name}": _layer(1, "out_features") for name in _CONVOLUTIONS},
    **{f"flax.{api}.{name}": logits_or_nothing for api in ("linen", "nnx") for name in _KEEP},
    **{f"flax.{api}.Sequential": _sequential for api in ("linen", "nnx")},
    **{f"flax.nnx.{name.rpartition('.')[2]}": effect for name, effect in TRANSFORMS.items()},
}
FUNCTIONS: Final[dict[str, Effect]] = {
    **{f"flax.{api}.{name}": effect for api in ("linen", "nnx") for name, effect in NN.items()},
    **{f"flax.linen.{name}": same for name in ("avg_pool", "max_pool")},
    **{f"flax.nnx.{name}": JAX[f"jax.{name}"] for name in ("value_and_grad", "grad", "vmap", "pmap")},
    **{f"flax.{api}.{name}": first for api in ("linen", "nnx") for name in ("jit", "remat", "compact")},
    "flax.training.train_state.TrainState.create": _train_state,
}
METHODS: Final[dict[tuple[str, str], Effect]] = {("flax.linen.Module", "apply"): _apply}
SET_UP: Final[dict[str, str]] = {"flax.linen.Module": "setup"}
ALIASES: Final = (
    ("flax.experimental.nnx.", "flax.nnx."),
    ("flax.linen.activation.", "flax.linen."),
    ("flax.linen.linear.", "flax.linen."),
    ("flax.linen.module.", "flax.linen."),
)
