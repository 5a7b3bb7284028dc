"""TensorFlow 1 and 2, without Keras."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.event import Operation
from normexp.check.join import join
from normexp.check.known import tensor, text
from normexp.check.libraries.adapters import binary, clipped, first, logits_or_nothing, renamed, squashed
from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import (
    argmax,
    elementwise,
    exp,
    joined,
    keep,
    log,
    loss,
    reduction,
    sigmoid,
    softmax,
)
from normexp.check.libraries.keras_layers import activated, raw
from normexp.check.libraries.numpy import ELEMENTWISE
from normexp.check.libraries.torch_functions import FUNCTIONS as SHARED
from normexp.check.terms import Term, term
from normexp.check.values import Constant, Kind, Library, Tensor, Value

_AXIS: Final = (1, ("axis", "reduction_indices", "dim", "dimension"))
_KEEPDIMS: Final = (2, ("keepdims", "keep_dims"))

_LABELS: Final = ("labels", "targets")
_LABEL: Final = "label"
"""The term of what can only be labels: what is fed in, or one-hot."""


def _with_logits(operation: Operation) -> Effect:
    """Make the effect of a loss that has had its logits first, before 1.0, and has its labels first, since 2.0."""

    def effect(call: Call) -> Value:
        named = call.arguments.keywords.keys()
        if "logits" in named:
            value, target = call.get(-1, "logits"), call.get(-1, *_LABELS)
        elif named & set(_LABELS) or _is_label(call.get(1)):
            value, target = call.get(0), call.get(1, *_LABELS)
        else:
            value, target = call.get(1), call.get(0)
        call.report(operation, call.name.rpartition(".")[2], Tensor(), input=value, target=target)
        return Tensor()

    return effect


def _is_label(value: Value | None) -> bool:
    known: Term | None = tensor(value).term
    while known is not None and known.operation in ("view", "squeeze"):
        known = known.part(0)
    return known is not None and known.operation == _LABEL


def _label(call: Call) -> Value:
    return Tensor(term=term(_LABEL, id(call.place.node)))


def _cast(call: Call) -> Value:
    value, wanted = call.tensor(0, "x"), call.get(1, "dtype")
    name = wanted.name.rpartition(".")[2] if isinstance(wanted, Library) else text(wanted) or ""
    if name in ("float16", "half"):
        return value.but(half=True)
    if name.startswith(("int", "uint", "bool")):
        return Tensor(term=value.term)
    return value.but(half=False) if name.startswith(("float", "bfloat", "double")) else value


def _cond(call: Call) -> Value:
    one, other = call.get(1, "true_fn", "fn1"), call.get(2, "false_fn", "fn2")
    return Tensor() if one is None or other is None else join(call.apply(one), call.apply(other))


def _layer(size: tuple[str, ...], activation_at: int, activation: str, default: Value | None = None) -> Effect:
    """Make the effect of a function that is a layer: of inputs, and then of the number of its outputs."""

    def effect(call: Call) -> Value:
        data_format = call.get(-1, "data_format")
        units = (
            call.integer(1, *size) if data_format is None or text(data_format) in ("NHWC", "channels_last") else None
        )
        value = raw(call.place, call.name.rpartition(".")[2], call.tensor(0, "inputs"), units)
        given = call.get(activation_at, activation)
        if given is None:
            given = Tensor() if call.arguments.open else default
        return activated(call, value, given, call.place)

    return effect


_LAYER: Final = _layer(("units", "filters"), 2, "activation")
_CONVOLUTION: Final = _layer(("filters",), -1, "activation")
# Their default is relu, but for what an arg_scope says.
_CONTRIB: Final = _layer(("num_outputs",), -1, "activation_fn", Tensor())

_SOFTMAX: Final = renamed(softmax(_AXIS, default=-1), _logits="logits")
_LOG_SOFTMAX: Final = softmax(_AXIS, Kind.LOG_PROBABILITIES, default=-1)
_SPARSE: Final = "sparse_softmax_cross_entropy"

_PLAIN: Final[dict[str, Effect]] = {
    "exp": exp,
    "log": log,
    "log1p": elementwise("log1p"),
    "sqrt": elementwise("sqrt"),
    "square": elementwise("square"),
    "abs": elementwise("abs"),
    "negative": elementwise("negative"),
    "softmax": _SOFTMAX,
    "log_softmax": _LOG_SOFTMAX,
    "sigmoid": sigmoid,
    "tanh": squashed,
    "add": binary(ast.Add()),
    "subtract": binary(ast.Sub()),
    "multiply": binary(ast.Mult()),
    "divide": binary(ast.Div()),
    "div": binary(ast.Div()),
    "truediv": binary(ast.Div()),
    "maximum": ELEMENTWISE["maximum"],
    "clip_by_value": renamed(clipped, clip_value_min="min", t="input"),
    "reduce_sum": reduction("sum", _AXIS, _KEEPDIMS),
    "reduce_max": reduction("max", _AXIS, _KEEPDIMS),
    "reduce_mean": reduction("mean", _AXIS, _KEEPDIMS),
    "reduce_logsumexp": reduction("logsumexp", _AXIS, _KEEPDIMS),
    "argmax": argmax,
    "arg_max": argmax,
    "identity": keep,
    "stop_gradient": keep,
    "convert_to_tensor": renamed(keep, value="x"),
    "check_numerics": keep,
    "reshape": SHARED["reshape"],
    "squeeze": renamed(SHARED["squeeze"], squeeze_dims="axis"),
    "expand_dims": ELEMENTWISE["expand_dims"],
    "transpose": SHARED["permute"],
    "concat": renamed(joined, values="inputs"),
    "stack": renamed(joined, values="inputs"),
    "where": renamed(SHARED["where"], x="input", y="other"),
    **{f"is_{name[2:]}": SHARED[name] for name in ("isnan", "isinf", "isfinite")},
    "gather_nd": SHARED["gather"],
    "zeros_like": lambda call: tensor(Constant(0)),
    "ones_like": lambda call: tensor(Constant(1)),
    "cast": _cast,
    "placeholder": _label,
    "one_hot": _label,
    "to_float": keep,
    "cond": _cond,
    "function": first,
    "nn.softmax": _SOFTMAX,
    "nn.log_softmax": _LOG_SOFTMAX,
    "nn.sigmoid": sigmoid,
    "nn.dropout": logits_or_nothing,
    "nn.bias_add": logits_or_nothing,
    **{f"nn.{name}": squashed for name in (
        "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "tanh", "softplus")},
    **{f"nn.{name}": _with_logits("cross_entropy") for name in (
        "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2",
        "sparse_softmax_cross_entropy_with_logits")},
    **{f"nn.{name}": _with_logits("binary_cross_entropy_with_logits") for name in (
        "sigmoid_cross_entropy_with_logits", "weighted_cross_entropy_with_logits")},
    "nn.ctc_loss": loss("cross_entropy", ("logits", "inputs"), ("labels",), at=1),
    "losses.softmax_cross_entropy": loss("cross_entropy", ("logits",), ("onehot_labels",), at=1),
    f"losses.{_SPARSE}": loss("cross_entropy", ("logits",), ("labels",), at=1),
    "losses.sigmoid_cross_entropy": loss(
        "binary_cross_entropy_with_logits", ("logits",), ("multi_class_labels",), at=1),
    "layers.dense": _LAYER,
    **{f"layers.conv{n}d": _CONVOLUTION for n in (1, 2, 3)},
    **{f"layers.{name}": logits_or_nothing for name in ("dropout", "flatten", "batch_normalization")},
}  # fmt: skip
_IN_CONTRIB: Final[dict[str, Effect]] = {
    "losses.softmax_cross_entropy": loss("cross_entropy", ("logits",), ("onehot_labels",)),
    f"losses.{_SPARSE}": loss("cross_entropy", ("logits",), ("labels",)),
    "losses.sigmoid_cross_entropy": loss("binary_cross_entropy_with_logits", ("logits",), ("multi_class_labels",)),
    "seq2seq.sequence_loss": loss("cross_entropy", ("logits",), ("targets",)),
    **{f"layers.{name}": _CONTRIB for name in ("fully_connected", "conv2d", "convolution", "convolution2d")},
    "layers.linear": _layer(("num_outputs",), -1, "activation_fn"),
    "layers.softmax": _SOFTMAX,
    **{f"layers.{name}": logits_or_nothing for name in ("dropout", "flatten", "batch_norm")},
}


def _taking(effect: Effect) -> Effect:
    """Take the first argument by the names that TensorFlow has for it."""
    return renamed(effect, input_tensor="input", tensor="input", features="x")


FUNCTIONS: Final[dict[str, Effect]] = {
    **{f"tensorflow.{name}": _taking(effect) for name, effect in _PLAIN.items()},
    **{f"tensorflow.contrib.{name}": effect for name, effect in _IN_CONTRIB.items()},
    "tensorflow_addons.seq2seq.sequence_loss": _IN_CONTRIB["seq2seq.sequence_loss"],
}

ALIASES: Final = (
    ("tensorflow.compat.v1.", "tensorflow."),
    ("tensorflow.compat.v2.", "tensorflow."),
    ("tensorflow.math.", "tensorflow."),
    ("tensorflow.contrib.slim.losses.", "tensorflow.contrib.losses."),
    ("tensorflow.contrib.slim.", "tensorflow.contrib.layers."),
    ("tf_slim.", "tensorflow.contrib.layers."),
    # TensorFlow 2 has Keras' losses here, and those of 1 no longer.
    *((f"tensorflow.losses.{name}", f"keras.losses.{name}") for name in (
        "CategoricalCrossentropy", "SparseCategoricalCrossentropy", "BinaryCrossentropy", "KLDivergence",
        "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy", "kld")),
)  # fmt: skip
