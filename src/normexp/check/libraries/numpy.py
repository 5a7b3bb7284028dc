"""NumPy and SciPy."""

from __future__ import annotations

from typing import Final

from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import (
    MATRIX,
    activation,
    argmax,
    clamp,
    elementwise,
    exp,
    joined,
    keep,
    log,
    reduction,
    sigmoid,
    softmax,
)
from normexp.check.libraries.torch_functions import FUNCTIONS as SHARED
from normexp.check.shapes import added_axis
from normexp.check.terms import term
from normexp.check.values import Kind, Tensor, Value

AXIS: Final = (1, ("axis",))
KEEPDIMS: Final = (-1, ("keepdims",))


def _maximum(call: Call) -> Value:
    return Tensor(term=term("maximum", call.tensor(0).term, call.tensor(1).term))


def _expand(call: Call) -> Value:
    return added_axis(call.tensor(0, "a"), call.integer(1, "axis"))


def _matrix(call: Call) -> Value:
    """Make a matrix: it always has two axes, and sums keep them."""
    return Tensor(rank=2, term=term(MATRIX, call.tensor(0).term))


ELEMENTWISE: Final[dict[str, Effect]] = {
    "exp": exp,
    "log": log,
    "log2": elementwise("log2"),
    "log10": elementwise("log10"),
    "log1p": elementwise("log1p"),
    "sqrt": elementwise("sqrt"),
    "square": elementwise("square"),
    "abs": elementwise("abs"),
    "negative": elementwise("negative"),
    "tanh": activation,
    "clip": clamp,
    "maximum": _maximum,
    "sum": reduction("sum", AXIS, KEEPDIMS),
    "max": reduction("max", AXIS, KEEPDIMS),
    "amax": reduction("max", AXIS, KEEPDIMS),
    "nansum": reduction("sum", AXIS, KEEPDIMS),
    "mean": reduction("mean", AXIS, KEEPDIMS),
    "argmax": argmax,
    "expand_dims": _expand,
    "reshape": SHARED["reshape"],
    "squeeze": SHARED["squeeze"],
    "transpose": SHARED["permute"],
    "swapaxes": SHARED["transpose"],
    "concatenate": joined,
    "stack": joined,
    "where": SHARED["where"],
    **{name: SHARED[name] for name in ("isnan", "isinf", "isfinite")},
}

FUNCTIONS: Final[dict[str, Effect]] = {
    **{f"numpy.{name}": effect for name, effect in ELEMENTWISE.items()},
    **{f"numpy.{name}": keep for name in ("array", "asarray", "copy", "ascontiguousarray")},
    **{f"numpy.{name}": _matrix for name in ("matrix", "asmatrix", "mat", "bmat")},
    "numpy.float64": keep,
    "numpy.float32": keep,
    "math.exp": exp,
    "math.log": log,
    "scipy.special.softmax": softmax(AXIS),
    "scipy.special.log_softmax": softmax(AXIS, Kind.LOG_PROBABILITIES),
    "scipy.special.expit": sigmoid,
    "scipy.special.logsumexp": reduction("logsumexp", AXIS, (-1, ("keepdims",))),
}
