"""NX103 nll-on-probs."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._fixes import log_instead
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX103",
    name="nll-on-probs",
    severity="error",
    summary="Probabilities are given to a negative log-likelihood loss, which takes log-probabilities.",
    why="""\
NLLLoss takes log-probabilities and does no logarithm itself. Given probabilities, it is the negative mean probability
of the label: between -1 and 0, never the likelihood. Its gradient is largest where the network is undecided and
vanishes where it is surely wrong, which is where cross-entropy pulls hardest.

Take log_softmax instead of softmax, or give the logits to cross-entropy.
""",
    bad="""\
import torch.nn.functional as F
from torch import nn

net = nn.Linear(64, 10)


def step(x, labels):
    return F.nll_loss(F.softmax(net(x), dim=1), labels)
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
            "torch.nn.functional.log_softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find probabilities that a negative log-likelihood takes as log-probabilities."""
    value = event.tensor()
    if event.operation != "nll_loss" or value.kind not in (Kind.PROBABILITIES, Kind.SIGMOID):
        return None
    message = f"{event.shown} takes log-probabilities, but gets probabilities: use log_softmax for the softmax."
    return Problem(message, value, log_instead(event, value))
