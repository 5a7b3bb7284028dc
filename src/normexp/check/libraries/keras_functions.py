"""Keras' functions: activations, the old backend, and the operations of Keras 3."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.libraries.adapters import binary, clipped, renamed, squashed
from normexp.check.libraries.call import Effect
from normexp.check.libraries.effects import argmax, exp, joined, keep, log, reduction, sigmoid, softmax
from normexp.check.libraries.numpy import ELEMENTWISE
from normexp.check.libraries.torch_functions import FUNCTIONS as SHARED
from normexp.check.values import Constant, Kind

_AXIS: Final = (1, ("axis",))
_KEEPDIMS: Final = (2, ("keepdims",))

_NORMALISE: Final[dict[str, Effect]] = {
    "softmax": softmax(_AXIS, default=-1),
    "log_softmax": softmax(_AXIS, Kind.LOG_PROBABILITIES, default=-1),
    "sigmoid": sigmoid,
}
# Their outputs may be meant as probabilities: Keras' losses divide by the sum.
_SQUASH: Final = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "mish", "tanh", "softplus", "softsign",
    "exponential", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "celu", "glu", "log_sigmoid", "sparsemax",
)  # fmt: skip
_ACTIVATIONS: Final[dict[str, Effect]] = {**dict.fromkeys(_SQUASH, squashed), **_NORMALISE, "linear": keep}
_REDUCTIONS: Final[dict[str, Effect]] = {
    "sum": reduction("sum", _AXIS, _KEEPDIMS),
    "max": reduction("max", _AXIS, _KEEPDIMS),
    "mean": reduction("mean", _AXIS, _KEEPDIMS),
    "logsumexp": reduction("logsumexp", _AXIS, _KEEPDIMS),
}
_BACKEND: Final[dict[str, Effect]] = {
    **_ACTIVATIONS,
    **_REDUCTIONS,
    "exp": exp,
    "log": log,
    "clip": renamed(clipped, min_value="min"),
    "argmax": argmax,
    "maximum": ELEMENTWISE["maximum"],
    "stop_gradient": keep,
    "identity": keep,
    "expand_dims": ELEMENTWISE["expand_dims"],
    "squeeze": SHARED["squeeze"],
    "reshape": SHARED["reshape"],
    "permute_dimensions": SHARED["permute"],
    "concatenate": renamed(joined, tensors="inputs"),
    "cast": SHARED["to"],
    "epsilon": lambda call: Constant(1e-7),  # Keras' default
}
_OPERATIONS: Final[dict[str, Effect]] = {
    **ELEMENTWISE,
    **_ACTIVATIONS,
    **_REDUCTIONS,
    "clip": renamed(clipped, x_min="min"),
    "add": binary(ast.Add()),
    "subtract": binary(ast.Sub()),
    "multiply": binary(ast.Mult()),
    "divide": binary(ast.Div()),
    "stop_gradient": keep,
    "cast": SHARED["to"],
    "convert_to_tensor": keep,
    "convert_to_numpy": keep,
    "take_along_axis": SHARED["gather"],
}

FUNCTIONS: Final[dict[str, Effect]] = {
    **{f"keras.activations.{name}": effect for name, effect in _ACTIVATIONS.items()},
    **{f"keras.backend.{name}": effect for name, effect in _BACKEND.items()},
    **{f"keras.ops.{name}": effect for name, effect in _OPERATIONS.items()},
    **{f"keras.ops.nn.{name}": effect for name, effect in _ACTIVATIONS.items()},
}
