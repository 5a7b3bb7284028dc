"""NX109 softmax-bce."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX109",
    name="softmax-bce",
    severity="info",
    summary="The output of a softmax is given to a binary cross-entropy.",
    why="""\
A binary cross-entropy treats each class as a question of its own, while a softmax makes the classes compete: raising
one lowers the others. The sum of the binary losses is a proper loss, and some mean exactly this, but it is rarely
what was intended: for classes that exclude each other, cross-entropy on the logits is the likelihood; for labels that
do not, a sigmoid is.
""",
    bad="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, targets):
    return F.binary_cross_entropy(F.softmax(net(x), dim=1), targets)
""",
    good="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, targets):
    return F.binary_cross_entropy_with_logits(net(x), targets)
""",
    references=(
        (
            "torch.nn.BCELoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html",
        ),
        (
            "torch.nn.BCEWithLogitsLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html",
        ),
    ),
)


def find(event: Event) -> Problem | None:
    """Find the output of a softmax in a binary cross-entropy."""
    value = event.tensor()
    losses = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
    if event.operation not in losses or value.kind is not Kind.PROBABILITIES:
        return None
    return Problem(
        f"{event.shown} takes each class for itself, but gets a softmax: use cross-entropy on logits.", value
    )
