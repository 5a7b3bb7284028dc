"""Optax's losses: predictions first, classes on the last axis."""

from __future__ import annotations

from typing import Final

from normexp.check.libraries.call import Call, Effect
from normexp.check.libraries.effects import loss
from normexp.check.values import Constant, Tensor, Value

_LOGITS: Final = ("logits",)
_LABELS: Final = ("labels",)


def _divergence(log_target: bool) -> Effect:
    def effect(call: Call) -> Value:
        call.report(
            "kl_div",
            call.name.rpartition(".")[2],
            Tensor(),
            input=call.get(0, "log_predictions"),
            target=call.get(1, "targets", "log_targets"),
            log_target=Constant(log_target),
        )
        return Tensor()

    return effect


FUNCTIONS: Final[dict[str, Effect]] = {
    **{f"optax.{name}": loss("cross_entropy", _LOGITS, _LABELS) for name in (
        "softmax_cross_entropy", "softmax_cross_entropy_with_integer_labels", "safe_softmax_cross_entropy",
        "poly_loss_cross_entropy", "multiclass_logistic_loss", "ctc_loss")},
    **{f"optax.{name}": loss("binary_cross_entropy_with_logits", _LOGITS, _LABELS) for name in (
        "sigmoid_binary_cross_entropy", "sigmoid_focal_loss", "binary_logistic_loss")},
    "optax.kl_divergence": _divergence(False),
    "optax.convex_kl_divergence": _divergence(False),
    "optax.kl_divergence_with_log_targets": _divergence(True),
}  # fmt: skip
ALIASES: Final = (("optax.losses.", "optax."), ("optax.loss.", "optax."))
