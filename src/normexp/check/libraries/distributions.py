"""Distributions of TensorFlow Probability, distrax and TensorFlow 1: they take logits as a cross-entropy does."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Operation
from normexp.check.libraries.call import Call, Effect
from normexp.check.values import Tensor, Value

_MODULES: Final = (
    "distrax",
    "tensorflow_probability.distributions",
    "tensorflow_probability.substrates.jax.distributions",
    "tensorflow_probability.substrates.numpy.distributions",
    "tensorflow.distributions",
    "tensorflow.contrib.distributions",
)


def _logits(operation: Operation) -> Effect:
    def effect(call: Call) -> Value:
        shown = f"{call.name.rpartition('.')[2]}(logits=...)"
        call.report(operation, shown, Tensor(), input=call.get(0, "logits"))
        return Tensor()

    return effect


FUNCTIONS: Final[dict[str, Effect]] = {
    **{
        f"{module}.{name}": _logits("cross_entropy")
        for module in _MODULES
        for name in ("Categorical", "OneHotCategorical")
    },
    **{f"{module}.Bernoulli": _logits("binary_cross_entropy_with_logits") for module in _MODULES},
}
