"""NX104 kl-probs-input."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import log_instead
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX104",
    name="kl-probs-input",
    severity="error",
    summary="The input of KLDivLoss is not log-probabilities.",
    why="""\
`kl_div(input, target)` wants the logarithm of the model's probabilities as its first argument, and (by default) plain
probabilities as its second. Given probabilities twice it computes the sum of q (ln q - p), which is no divergence:
for two equal uniform distributions over 10 classes it gives -2.40 where 0 is right, and the gradient of its input is
-q, whatever the model says.
""",
    bad="""\
import torch.nn.functional as F


def distil(student, teacher):
    return F.kl_div(F.softmax(student, dim=1), F.softmax(teacher, dim=1), reduction="batchmean")
""",
    good="""\
import torch.nn.functional as F


def distil(student, teacher):
    return F.kl_div(F.log_softmax(student, dim=1), F.softmax(teacher, dim=1), reduction="batchmean")
""",
    references=(
        (
            "torch.nn.KLDivLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find probabilities as the first argument of a divergence that wants their logarithm."""
    value = event.tensor()
    if event.operation != "kl_div" or value.kind not in (Kind.PROBABILITIES, Kind.LOGITS):
        return None
    got = "probabilities" if value.kind is Kind.PROBABILITIES else "logits"
    return Problem(
        f"{event.shown} takes log-probabilities as its input, but gets {got}: use log_softmax.",
        value,
        log_instead(event, value),
    )
