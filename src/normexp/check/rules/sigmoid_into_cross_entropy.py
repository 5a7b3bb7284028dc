"""NX107 sigmoid-into-cross-entropy."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import without
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX107",
    name="sigmoid-into-cross-entropy",
    severity="error",
    summary="The output of a sigmoid is given to a cross-entropy loss that takes logits.",
    why="""\
Cross-entropy takes the softmax of its input. A sigmoid before it squeezes every logit into the range from 0 to 1, so
the loss of K classes cannot fall below ln(1 + (K - 1) / e), 1.461 for 10 classes, however sure the network is: the
same floor as under a softmax taken twice.

For classes that exclude each other, give the logits to cross-entropy. For labels that do not, give the logits to
BCEWithLogitsLoss, which has the sigmoid inside.
""",
    bad="""\
import torch
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, labels):
    return F.cross_entropy(torch.sigmoid(net(x)), labels)
""",
    good="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, labels):
    return F.cross_entropy(net(x), labels)
""",
    references=(
        (
            "torch.nn.CrossEntropyLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
        ),
        (
            "torch.nn.BCEWithLogitsLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find the output of a sigmoid that a cross-entropy takes as logits."""
    value = event.tensor()
    if event.operation != "cross_entropy" or value.kind is not Kind.SIGMOID:
        return None
    return Problem(
        f"{event.shown} takes logits, but gets the output of a sigmoid: leave the sigmoid out.",
        value,
        without(event, value, "sigmoid"),
    )
