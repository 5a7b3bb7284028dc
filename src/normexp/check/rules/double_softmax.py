"""NX101 double-softmax."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._classes import over_classes
from normexp.check.rules._fixes import without
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX101",
    name="double-softmax",
    severity="error",
    summary="Probabilities are given to a cross-entropy loss that takes the softmax itself.",
    why="""\
A cross-entropy loss takes logits: it does the softmax itself. Given probabilities, it takes the softmax of values
between 0 and 1, which is nearly flat, so even a perfect prediction keeps a large loss: with K classes it cannot fall
below ln(1 + (K - 1) / e), that is 0.313 for 2 classes, 1.461 for 10 and 5.909 for 1,000. The gradient is damped as
well, and vanishes where the network is sure, right or wrong.

Nothing fails. The network trains, slowly and to a worse result, and the loss curve looks like a learning rate that is
too small. Give the loss the logits; take the softmax where probabilities are wanted, outside of the loss.
""",
    bad="""\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)


net = Net()
criterion = nn.CrossEntropyLoss()


def step(x, labels):
    return criterion(net(x), labels)
""",
    good="""\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(x)


net = Net()
criterion = nn.CrossEntropyLoss()


def step(x, labels):
    return criterion(net(x), labels)


def predict(x):
    return torch.softmax(net(x), dim=1)
""",
    references=(
        (
            "torch.nn.CrossEntropyLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
        ),
        (
            "tf.nn.softmax_cross_entropy_with_logits",
            "https://www.tensorflow.org/api_docs/python/tf/nn/softmax_cross_entropy_with_logits",
        ),
        (
            "optax.softmax_cross_entropy",
            "https://optax.readthedocs.io/en/latest/api/losses.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find probabilities, along the axis of the classes, that a cross-entropy takes as logits."""
    value = event.tensor()
    if event.operation != "cross_entropy" or value.kind is not Kind.PROBABILITIES or not over_classes(event, value):
        return None
    return Problem(
        f"{event.shown} does the softmax itself, but gets probabilities: give it the logits.",
        value,
        without(event, value, "softmax"),
    )
