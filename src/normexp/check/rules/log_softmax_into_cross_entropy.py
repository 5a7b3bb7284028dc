"""NX110 log-softmax-into-cross-entropy."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import without
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX110",
    name="log-softmax-into-cross-entropy",
    severity="info",
    summary="Log-probabilities are given to a cross-entropy loss that takes logits.",
    why="""\
Harmless, and twice the work: log_softmax of log-probabilities gives them back, because the exponentials of a row add
up to 1 and the logarithm of that is 0. The loss is right. Either half of it can go: give the logits to cross-entropy,
or the log-probabilities to NLLLoss.
""",
    bad="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, labels):
    return F.cross_entropy(F.log_softmax(net(x), dim=1), labels)
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
            "torch.nn.NLLLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find log-probabilities that a cross-entropy takes as logits."""
    value = event.tensor()
    if event.operation != "cross_entropy" or value.kind is not Kind.LOG_PROBABILITIES:
        return None
    return Problem(
        f"{event.shown} does the log_softmax itself: one before it is needless.",
        value,
        without(event, value, "log_softmax"),
    )
