"""torch.nn.functional: layers, activations and losses as functions."""

from __future__ import annotations

from typing import Final

from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import activation, loss, same, sigmoid, softmax
from normexp.check.values import Constant, Kind, Tensor, Value


def _linear(call: Call) -> Value:
    value = call.tensor(0, "input")
    return Tensor(kind=Kind.LOGITS, rank=value.rank, half=value.half, trace=(call.place.step("linear"),))


def _kl_div(call: Call) -> Value:
    given = call.get(-1, "log_target")
    known = Constant(False) if given is None and not call.arguments.open else given
    call.report(
        "kl_div", "kl_div", Tensor(), input=call.get(0, "input"), target=call.get(1, "target"), log_target=known
    )
    return Tensor()


_ACTIVATIONS: Final = [
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "celu",
    "silu",
    "swish",
    "mish",
    "hardswish",
    "hardtanh",
    "relu6",
    "prelu",
    "rrelu",
    "softplus",
    "tanh",
    "softsign",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
]
_POOLS: Final = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "interpolate",
    "upsample",
]
_LAYERS: Final = [
    "batch_norm",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "pad",
]
_INPUT: Final = ("input",)

FUNCTIONAL: Final[dict[str, Effect]] = {
    "softmax": softmax((1, ("dim",))),
    "softmin": softmax((1, ("dim",))),
    "log_softmax": softmax((1, ("dim",)), Kind.LOG_PROBABILITIES),
    "sigmoid": sigmoid,
    "tanh": activation,
    "linear": _linear,
    "cross_entropy": loss("cross_entropy", _INPUT),
    "nll_loss": loss("nll_loss", _INPUT),
    "kl_div": _kl_div,
    "binary_cross_entropy": loss("binary_cross_entropy", _INPUT),
    "binary_cross_entropy_with_logits": loss("binary_cross_entropy_with_logits", _INPUT),
    **dict.fromkeys(_ACTIVATIONS, activation),
    **dict.fromkeys((name + "_" for name in ("relu", "leaky_relu", "elu")), activation),
    **dict.fromkeys(_POOLS, same),
    **dict.fromkeys(_LAYERS, activation),
}
