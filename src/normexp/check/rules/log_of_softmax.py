"""NX301 log-of-softmax."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import log_of_softmax
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX301",
    name="log-of-softmax",
    severity="warning",
    summary="The logarithm of a softmax is taken in two steps: it underflows.",
    why="""\
A softmax in float32 is exactly 0 for a logit that lies 104 or more below the largest of its row (17.4 in half
precision, which real networks reach). The logarithm of 0 is -inf, the loss is infinite, its gradient NaN. Adding 1e-8
first hides this: the logarithm then stops at -18.4, and the gradient vanishes where the network is most wrong.

`log_softmax` does both in one step: x - max - log(sum(exp(x - max))), which neither overflows nor underflows.
""",
    bad="""\
import torch


def loss(logits, targets):
    return -(targets * torch.log(torch.softmax(logits, dim=-1))).sum(dim=-1).mean()
""",
    good="""\
import torch


def loss(logits, targets):
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1).mean()
""",
    references=(
        (
            "torch.nn.functional.log_softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html",
        ),
        (
            "P. Blanchard, D. J. Higham, N. J. Higham: Accurately computing the log-sum-exp and softmax functions",
            "https://doi.org/10.1093/imanum/draa038",
        ),
    ),
    fixes="safe",
)


def find(event: Event) -> Problem | None:
    """Find the logarithm of what comes straight from a softmax."""
    value = event.tensor()
    # Of unknown kind are single elements of a softmax.
    if event.operation != "log" or value.kind not in (Kind.PROBABILITIES, Kind.UNKNOWN) or value.origin is None:
        return None
    return Problem(
        "The logarithm of a softmax underflows to -inf: use log_softmax.", value, log_of_softmax(event, value)
    )
