"""What guard finds: the kinds, their codes, what to do. Codes up to NX3xx are those of the rules in source code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Parameters
    ----------
    code : str
        Its number.
    name : str
        Its name.
    severity : {"error", "warning", "info"}
        Info is harmless, and no finding for the exit code.
    remedy : str
        What to do, in one sentence.
    """

    code: str
    name: str
    severity: Severity
    remedy: str


_ALL: Final = (
    Kind("NX101", "double-softmax", "error", "Pass the logits: cross-entropy takes the softmax itself."),
    Kind("NX102", "nll-on-logits", "error", "Use cross_entropy, or take log_softmax before nll_loss."),
    Kind("NX103", "nll-on-probs", "error", "Use cross_entropy of the logits, or log_softmax in place of softmax."),
    Kind("NX104", "kl-probs-input", "error", "Give kl_div log_softmax as its input; the target stays as it is."),
    Kind("NX105", "kl-log-target", "error", "Make the target and log_target agree: logs with log_target=True only."),
    Kind("NX107", "sigmoid-into-cross-entropy", "error", "Pass the logits, without the sigmoid, to cross_entropy."),
    Kind("NX108", "double-sigmoid", "error", "Pass the logits: BCEWithLogits takes the sigmoid itself."),
    Kind("NX110", "log-softmax-into-cross-entropy", "info", "Nothing is wrong; the log_softmax can be left out."),
    Kind(
        "NX201", "single-logit-softmax", "error", "Give it two classes or more, or use the sigmoid and BCEWithLogits."
    ),
    Kind("NX401", "kl-on-logits", "error", "Give kl_div log_softmax of these as its input."),
    Kind("NX402", "rows-all-masked", "error", "Leave one entry of each row unmasked, or leave such rows out."),
    Kind("NX403", "not-finite", "error", "Keep this operation within its domain, or use the stable form of it."),
    Kind("NX404", "half-overflow", "error", "Use bfloat16 or float32 here, or scale the values down before."),
    Kind("NX405", "not-finite-gradient", "error", "Keep this operation away from where its derivative is infinite."),
    Kind("NX406", "underflowed-gradients", "error", "Scale the loss (torch.amp.GradScaler), or compute it in float32."),
    Kind("NX407", "zero-loss", "warning", "normexp.torch.cross_entropy reads the small loss; float64 does to 1e-16."),
)

KINDS: Final = {kind.name: kind for kind in _ALL}
