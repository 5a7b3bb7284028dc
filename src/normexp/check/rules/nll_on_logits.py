"""NX102 nll-on-logits."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX102",
    name="nll-on-logits",
    severity="error",
    summary="Logits are given to a negative log-likelihood loss, which takes log-probabilities.",
    why="""\
NLLLoss does no softmax and no logarithm: it picks one number a row and returns its negative mean. Given logits, the
optimiser only has to raise the logit of the label, without end; nothing holds the other classes down, and the loss
falls below 0, where a negative log-likelihood cannot be.

Use cross-entropy on the logits, or take log_softmax first: the two are the same.
""",
    bad="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, labels):
    return F.nll_loss(net(x), labels)
""",
    good="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, labels):
    return F.nll_loss(F.log_softmax(net(x), dim=1), labels)
""",
    references=(
        (
            "torch.nn.NLLLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html",
        ),
        (
            "torch.nn.CrossEntropyLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
        ),
    ),
)


def find(event: Event) -> Problem | None:
    """Find raw outputs of a layer that a negative log-likelihood takes as log-probabilities."""
    value = event.tensor()
    if event.operation != "nll_loss" or value.kind is not Kind.LOGITS:
        return None
    return Problem(
        f"{event.shown} takes log-probabilities, but gets logits: use cross-entropy, or log_softmax first.", value
    )
