"""NX108 double-sigmoid."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import without
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX108",
    name="double-sigmoid",
    severity="error",
    summary="The output of a sigmoid is given to a loss that takes the sigmoid itself.",
    why="""\
BCEWithLogitsLoss, and the other losses that say "with logits", take the sigmoid themselves. The sigmoid of a number
between 0 and 1 lies between 0.5 and 0.731, so the loss of a positive example cannot fall below 0.313 and that of a
negative one not below 0.693, which is what tossing a coin costs. The gradient is damped twice.

Give the logits to the loss, and take the sigmoid where probabilities are wanted.
""",
    bad="""\
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 1)


def step(x, labels):
    return F.binary_cross_entropy_with_logits(torch.sigmoid(net(x)), labels)
""",
    good="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 1)


def step(x, labels):
    return F.binary_cross_entropy_with_logits(net(x), labels)
""",
    references=(
        (
            "torch.nn.BCEWithLogitsLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find the output of a sigmoid that a binary cross-entropy takes as logits."""
    value = event.tensor()
    if event.operation != "binary_cross_entropy_with_logits" or value.kind is not Kind.SIGMOID:
        return None
    return Problem(
        f"{event.shown} does the sigmoid itself, but gets the output of one: give it the logits.",
        value,
        without(event, value, "sigmoid"),
    )
