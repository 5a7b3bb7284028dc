"""Keras' losses: they take the labels first, and probabilities unless they are told that logits come."""

from __future__ import annotations

from typing import Final, NamedTuple

from normexp.check.event import Operation
from normexp.check.known import truth
from normexp.check.libraries.call import Call, Effect
from normexp.check.values import Made, Tensor, Value


class _Loss(NamedTuple):
    logits: Operation | None
    """What it is from logits; None: it never takes them."""
    probabilities: Operation
    function: str
    parameters: tuple[str, ...]
    """Of the function, after labels and predictions, up to from_logits; those of the class are the same."""


_CATEGORICAL: Final = ("cross_entropy", "cross_entropy_of_probabilities")
_BINARY: Final = ("binary_cross_entropy_with_logits", "binary_cross_entropy")
_DIVERGENCE: Final = (None, "cross_entropy_of_probabilities")

_LOSSES: Final[dict[str, _Loss]] = {
    "CategoricalCrossentropy": _Loss(*_CATEGORICAL, "categorical_crossentropy", ("from_logits",)),
    "SparseCategoricalCrossentropy": _Loss(*_CATEGORICAL, "sparse_categorical_crossentropy", ("from_logits",)),
    "CategoricalFocalCrossentropy": _Loss(
        *_CATEGORICAL, "categorical_focal_crossentropy", ("alpha", "gamma", "from_logits")
    ),
    "BinaryCrossentropy": _Loss(*_BINARY, "binary_crossentropy", ("from_logits",)),
    "BinaryFocalCrossentropy": _Loss(
        *_BINARY, "binary_focal_crossentropy", ("apply_class_balancing", "alpha", "gamma", "from_logits")
    ),
    "KLDivergence": _Loss(*_DIVERGENCE, "kl_divergence", ()),
}
# What Keras, in its versions, takes for the name of a loss.
SPELLINGS: Final[dict[str, str]] = {
    "bce": "binary_crossentropy",
    "BCE": "binary_crossentropy",
    "kld": "kl_divergence",
    "KLD": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
}


def _demand(call: Call, loss: _Loss, told: Value | None) -> Value:
    from_logits = False if told is None or loss.logits is None else truth(told)
    if from_logits is None:
        return Tensor()
    operation = loss.logits if from_logits else loss.probabilities
    if operation is not None:
        call.report(
            operation,
            call.name.rpartition(".")[2],
            Tensor(),
            input=call.get(1, "y_pred", "output"),
            target=call.get(0, "y_true", "target"),
        )
    return Tensor()


def _function(loss: _Loss) -> Effect:
    at = 2 + len(loss.parameters) - 1

    def effect(call: Call) -> Value:
        told = call.get(at, "from_logits") if loss.parameters else None
        return _demand(call, loss, Tensor() if told is None and call.arguments.open else told)

    return effect


def _object(loss: _Loss) -> Effect:
    at = len(loss.parameters) - 1

    def effect(call: Call) -> Value:
        return Tensor() if call.made is None else _demand(call, loss, call.made.get(at, "from_logits"))

    return effect


def named(call: Call, name: str) -> Value | None:
    """Give the object that Keras makes of the name of a loss, if it is that of a class."""
    return Made(f"keras.losses.{name}", (), {}, call.place) if name in _LOSSES else None


FUNCTIONS: Final[dict[str, Effect]] = {
    f"keras.{module}.{loss.function}": _function(loss)
    for loss in _LOSSES.values()
    for module in ("losses", "metrics", "backend", "ops", "ops.nn")
} | {
    f"keras.losses.{name}": _function(_LOSSES["KLDivergence"]) for name in ("kld", "KLD", "kullback_leibler_divergence")
}
MADE: Final[dict[str, Effect]] = {f"keras.losses.{name}": _object(loss) for name, loss in _LOSSES.items()}
