"""JAX: its NumPy, its activations, and what makes functions of functions."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.known import tensor, truth
from normexp.check.libraries.adapters import binary, first
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import activation, keep, reduction, sigmoid, softmax
from normexp.check.libraries.numpy import AXIS, ELEMENTWISE, KEEPDIMS
from normexp.check.libraries.torch_functions import FUNCTIONS as SHARED
from normexp.check.machine import Arguments
from normexp.check.values import Constant, Kind, Made, Rest, Tensor, Tuple, Value

_SOFTMAX: Final = softmax(AXIS, default=-1)
_LOG_SOFTMAX: Final = softmax(AXIS, Kind.LOG_PROBABILITIES, default=-1)
_LOGSUMEXP: Final = reduction("logsumexp", AXIS, KEEPDIMS)

NN: Final[dict[str, Effect]] = {
    "softmax": _SOFTMAX,
    "log_softmax": _LOG_SOFTMAX,
    "sigmoid": sigmoid,
    "logsumexp": _LOGSUMEXP,
    **dict.fromkeys(
        ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish", "softplus", "soft_sign",
         "hard_tanh", "hard_swish", "hard_silu", "tanh"), activation
    ),
}  # fmt: skip
"""What jax.nn has, and flax again under its own names."""

_NUMPY: Final[dict[str, Effect]] = {
    **ELEMENTWISE,
    "add": binary(ast.Add()),
    "subtract": binary(ast.Sub()),
    "multiply": binary(ast.Mult()),
    "divide": binary(ast.Div()),
    "true_divide": binary(ast.Div()),
    "array": keep,
    "asarray": keep,
    "copy": keep,
    "take_along_axis": SHARED["gather"],
    "zeros_like": lambda call: tensor(Constant(0)),
    "ones_like": lambda call: tensor(Constant(1)),
}


def _transformed(call: Call) -> Value:
    """Make a function that calls another: value_and_grad, vmap."""
    function = call.get(0, "fun", "f")
    if function is None or isinstance(function, Rest):
        return Tensor()
    return Made(call.name, (function,), dict(call.arguments.keywords), call.place, open=call.arguments.open)


def _result(call: Call) -> Value:
    made = call.made
    function = made.get(0) if made is not None else None
    return Tensor() if function is None else call.machine.call(function, call.arguments, call.place, call.frame)


def _value_and_grad(call: Call) -> Value:
    return Tuple((_result(call), Tensor()))


def _grad(call: Call) -> Value:
    result = _result(call)
    has_aux = truth(call.made.get(-1, "has_aux")) if call.made is not None else None
    if has_aux and isinstance(result, Tuple) and len(result.items) == 2:
        return Tuple((Tensor(), result.items[1]))
    return Tensor()


def _each(call: Call) -> Value:
    """Call a function for each of the first axis: axes counted from the end stay what they are."""
    given = call.arguments
    call.arguments = Arguments(
        tuple(Rest(_counted(item.item)) if isinstance(item, Rest) else _counted(item) for item in given.positional),
        {name: _counted(value) for name, value in given.keywords.items()},
        given.open,
    )
    return _counted(_result(call))


def _counted(value: Value) -> Value:
    if not isinstance(value, Tensor):
        return value
    from_end = value.axis is None or value.axis < 0 or not value.known
    kept = value if from_end else value.but(axis=None)
    return kept.but(rank=None, sizes=tuple(pair for pair in value.sizes if pair[0] < 0), fill=None)


_UNCHANGED: Final = ("jit", "checkpoint", "remat", "custom_jvp", "custom_vjp", "named_call")
_TRANSFORMS: Final[dict[str, Effect]] = {
    "value_and_grad": _value_and_grad,
    "grad": _grad,
    "vmap": _each,
    "pmap": _each,
}

FUNCTIONS: Final[dict[str, Effect]] = {
    **{f"jax.numpy.{name}": effect for name, effect in _NUMPY.items()},
    **{f"jax.nn.{name}": effect for name, effect in NN.items()},
    "jax.scipy.special.softmax": _SOFTMAX,
    "jax.scipy.special.log_softmax": _LOG_SOFTMAX,
    "jax.scipy.special.expit": sigmoid,
    "jax.scipy.special.logsumexp": _LOGSUMEXP,
    "jax.lax.stop_gradient": keep,
    "jax.lax.logistic": sigmoid,
    "jax.device_get": keep,
    "jax.device_put": keep,
    **{f"jax.{name}": first for name in _UNCHANGED},
    **{f"jax.{name}": _transformed for name in _TRANSFORMS},
}
MADE: Final[dict[str, Effect]] = {f"jax.{name}": effect for name, effect in _TRANSFORMS.items()}
