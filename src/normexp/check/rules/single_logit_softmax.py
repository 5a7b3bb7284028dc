"""NX201 single-logit-softmax."""

from __future__ import annotations

from typing import Final

from normexp.check.rule import Rule

RULE: Final = Rule(
    code="NX201",
    name="single-logit-softmax",
    severity="error",
    summary="A softmax is taken along an axis of one element: the result is always 1.",
    why="""\
A softmax over one element is exp(x - x) / exp(x - x): 1, whatever x is, with a gradient of 0. A network that ends so
predicts the same for everything and learns nothing. With one output, the probability is its sigmoid (and the loss
binary cross-entropy with logits); with a softmax there must be two outputs or more.
""",
    bad="""\
import torch
from torch import nn

net = nn.Sequential(nn.Linear(64, 1), nn.Softmax(dim=1))


def predict(x):
    return net(x)
""",
    good="""\
import torch
from torch import nn

net = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid())


def predict(x):
    return net(x)
""",
    references=(
        (
            "torch.nn.functional.softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html",
        ),
        (
            "torch.nn.BCEWithLogitsLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html",
        ),
    ),
)
