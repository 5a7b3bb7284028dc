"""NX304 argmax-of-softmax."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import argument_of_softmax
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX304",
    name="argmax-of-softmax",
    severity="info",
    summary="The argmax of a softmax is taken; that of the logits is the same.",
    why="""\
A softmax keeps the order of a row, so the argmax of the logits is the same class, for less work. It is even the
better one: a softmax rounds, and where two large logits differ by less than it can show, their probabilities are
equal and argmax takes the first of them.
""",
    bad="""\
import torch


def predict(logits):
    return torch.softmax(logits, dim=1).argmax(dim=1)
""",
    good="""\
import torch


def predict(logits):
    return logits.argmax(dim=1)
""",
    references=(
        (
            "torch.argmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.argmax.html",
        ),
        (
            "torch.nn.functional.softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html",
        ),
    ),
    fixes="safe",
)


def find(event: Event) -> Problem | None:
    """Find the argmax of what comes straight from a softmax."""
    value = event.tensor()
    straight = value.kind in (Kind.PROBABILITIES, Kind.LOG_PROBABILITIES) and value.origin is not None
    if event.operation != "argmax" or not straight:
        return None
    return Problem(
        f"The {event.shown} of a softmax is that of the logits: the softmax is needless.",
        value,
        argument_of_softmax(event, value),
    )
