"""PyTorch's functions and the methods of its tensors.

A method has the arguments of the function of the same name, one later: so one table serves both.
"""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.known import tensor, text, truth
from normexp.check.libraries.adapters import binary
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import (
    activation,
    argmax,
    clamp,
    elementwise,
    exp,
    joined,
    keep,
    log,
    nothing,
    reduce,
    reduction,
    same,
    sigmoid,
    softmax,
)
from normexp.check.libraries.masks import broken, masked_fill, method_where, where
from normexp.check.libraries.torch_functional import FUNCTIONAL
from normexp.check.libraries.torch_shapes import SHAPES
from normexp.check.shapes import picked, viewed
from normexp.check.terms import term
from normexp.check.values import Constant, Kind, Library, List, Rest, Tensor, Tuple, Value

DIM: Final = (1, ("dim", "axis"))
KEEPDIM: Final = (2, ("keepdim", "keepdims"))


def _max(call: Call) -> Value:
    other = call.get(1, "other", "dim", "axis")
    value = call.tensor(0, "input")
    if isinstance(other, Tensor) and not call.given(-1, "dim"):
        return Tensor(term=term("maximum", value.term, other.term))
    made = reduce(call, "max" if call.name.endswith("max") else "min", DIM, KEEPDIM)
    # NumPy's arrays have the method too, and it returns no indices.
    ours = not {"axis", "keepdims"} & call.arguments.keywords.keys() and "torch" in call.frame.scope.home.roots
    return Tuple((made, Tensor())) if other is not None and ours else made


def _half(call: Call) -> Value:
    value = call.get(0)
    return value.but(half=True) if isinstance(value, Tensor) else keep(call)


def _float(call: Call) -> Value:
    value = call.get(0)
    return value.but(half=False) if isinstance(value, Tensor) else keep(call)


_HALF: Final = frozenset(
    {"torch.float16", "torch.half", "torch.HalfTensor", "numpy.float16", "jax.numpy.float16", "tensorflow.float16"}
)
_ARRAYS: Final = ("torch.", "numpy.", "jax.numpy.", "tensorflow.")


def _to(call: Call) -> Value:
    value = call.get(0)
    if not isinstance(value, Tensor):
        return keep(call)
    wanted = [*call.rest(1), *call.arguments.keywords.values()]
    names = {each.name for each in wanted if isinstance(each, Library)}
    if names & _HALF or any(text(each) == "float16" for each in wanted):
        return value.but(half=True)
    whole = any(name.rpartition(".")[2] in ("long", "int", "bool", "int64", "int32", "uint8") for name in names)
    if whole:
        return Tensor()
    return value.but(half=False) if any(name.startswith(_ARRAYS) for name in names) else value


def _gather(call: Call) -> Value:
    value = call.tensor(0, "input")
    return picked(value, term("gather", value.term))


def _chunk(call: Call) -> Value:
    value = call.tensor(0, "input", "tensor")
    kind = value.kind if value.kind is Kind.LOGITS else Kind.UNKNOWN
    part = Tensor(kind=kind, half=value.half, trace=value.trace if kind is Kind.LOGITS else ())
    axis = call.integer(2, "dim", "axis") if call.given(2, "dim", "axis") else 0
    if axis == 0 and value.kind in (Kind.PROBABILITIES, Kind.LOG_PROBABILITIES, Kind.SIGMOID) and value.axis != 0:
        part = value.passed("part").but(sizes=())  # some of the rows
    count = call.integer(1, "chunks")
    if call.name.endswith("chunk") and count is not None and 0 < count <= 16:
        return Tuple((part,) * count)
    return List({0: (Rest(part),)})


def _topk(call: Call) -> Value:
    # Its values, which are probabilities of a softmax, are mostly used: the softmax is not needless.
    return Tuple((Tensor(), Tensor()))


def _unchanged_object(call: Call) -> Value:
    return call.get(0, "model", "module", "obj", "mod") or Tensor()


def _tensor_of(call: Call) -> Value:
    value = call.get(0, "data")
    return tensor(value) if isinstance(value, Tensor | Constant) else Tensor()


def _sized(call: Call) -> Value:
    """Make a tensor of the sizes that are given, one by one or as a tuple."""
    return viewed(Tensor(), call.rest(0) or tuple(filter(None, [call.get(0, "size")])))


def _full(number: int) -> Effect:
    return lambda call: tensor(Constant(number))


def _full_like(call: Call) -> Value:
    value = call.get(1, "fill_value")
    return tensor(value) if isinstance(value, Constant) else Tensor()


FUNCTIONS: Final[dict[str, Effect]] = {
    **dict.fromkeys(
        ("detach", "clone", "contiguous", "cpu", "cuda", "numpy", "asarray", "as_tensor", "from_numpy",
         "requires_grad_", "pin_memory", "data", "type_as", "to_dense", "resolve_conj", "tolist", "expand_as"), keep
    ),
    **SHAPES,
    "softmax": softmax(DIM),
    "softmin": softmax(DIM),
    "log_softmax": softmax(DIM, Kind.LOG_PROBABILITIES),
    "sigmoid": sigmoid,
    "expit": sigmoid,
    "exp": exp,
    "log": log,
    "log2": elementwise("log2"),
    "log10": elementwise("log10"),
    "log1p": elementwise("log1p"),
    "sqrt": elementwise("sqrt"),
    "square": elementwise("square"),
    "abs": elementwise("abs"),
    "neg": elementwise("negative"),
    "pow": elementwise("power"),
    "tanh": activation,
    "relu": activation,
    "add": binary(ast.Add()),
    "sub": binary(ast.Sub()),
    "subtract": binary(ast.Sub()),
    "mul": binary(ast.Mult()),
    "multiply": binary(ast.Mult()),
    "div": binary(ast.Div()),
    "divide": binary(ast.Div()),
    "true_divide": binary(ast.Div()),
    "clamp": clamp,
    "clip": clamp,
    "clamp_min": clamp,
    "sum": reduction("sum", DIM, KEEPDIM),
    "mean": reduction("mean", DIM, KEEPDIM),
    "logsumexp": reduction("logsumexp", DIM, KEEPDIM),
    "amax": reduction("max", DIM, KEEPDIM),
    "max": _max,
    "min": _max,
    "argmax": argmax,
    "topk": _topk,
    "half": _half,
    "float": _float,
    "double": _float,
    "bfloat16": _float,
    "to": _to,
    "type": _to,
    "astype": _to,
    "masked_fill": masked_fill,
    **dict.fromkeys(("isnan", "isinf", "isfinite"), broken),
    "gather": _gather,
    "index_select": same,
    "masked_select": nothing,
    "chunk": _chunk,
    "split": _chunk,
    "unbind": _chunk,
    "expand": same,
    "repeat": same,
    "where": where,
}  # fmt: skip

ONLY_FUNCTIONS: Final[dict[str, Effect]] = {
    "cat": joined,
    "concat": joined,
    "concatenate": joined,
    "stack": joined,
    "tensor": _tensor_of,
    "compile": _unchanged_object,
    "zeros_like": _full(0),
    "zeros": _full(0),
    "ones_like": _full(1),
    "full_like": _full_like,
    "full": _full_like,
    **dict.fromkeys(("randn", "rand", "empty", "normal"), _sized),
}

TORCH: Final[dict[str, Effect]] = {
    **{f"torch.{name}": effect for name, effect in (FUNCTIONS | ONLY_FUNCTIONS).items()},
    **{f"torch.special.{name}": FUNCTIONS[name] for name in ("softmax", "log_softmax", "expit", "logsumexp")},
    **{f"torch.nn.functional.{name}": effect for name, effect in FUNCTIONAL.items()},
    **dict.fromkeys(
        ("torch.jit.script", "torch.jit.trace", "torch.jit.freeze", "torch.nn.utils.weight_norm",
         "torch.nn.utils.spectral_norm", "torch.nn.utils.parametrizations.weight_norm",
         "torch.nn.utils.parametrizations.spectral_norm", "torch.quantization.prepare",
         "torch.nn.SyncBatchNorm.convert_sync_batchnorm",
         "torch.fx.symbolic_trace", "copy.deepcopy", "copy.copy"), _unchanged_object
    ),
    "torch.is_grad_enabled": lambda call: Constant(True),
    "torch.jit.is_scripting": lambda call: Constant(False),
    "torch.jit.is_tracing": lambda call: Constant(False),
    "torch.onnx.is_in_onnx_export": lambda call: Constant(False),
    "torch.autograd.Variable": _tensor_of,
    "torch.sigmoid": sigmoid,
}  # fmt: skip

METHODS: Final[dict[str, Effect]] = {**FUNCTIONS, "where": method_where, "view_as": same}

__all__ = ["METHODS", "TORCH", "tensor", "truth"]
