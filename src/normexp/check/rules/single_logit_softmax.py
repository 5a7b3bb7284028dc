"""NX201 single-logit-softmax."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.known import integer
from normexp.check.rule import Rule
from normexp.check.rules._classes import classes_last
from normexp.check.values import Kind

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

net = nn.Sequential(nn.Linear(64, 1), nn.Softmax(dim=-1))


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


def find(event: Event) -> Problem | None:
    """Find a softmax, or a cross-entropy, along an axis of one element."""
    value = event.tensor()
    if event.operation in ("softmax", "log_softmax"):
        axis = integer(event.value("dim"))
        # Axis 1 is the last one of rows, and that of positions of sequences: attention that pools is written so. How
        # many axes there are is known too seldom, through the layers of a large model, to call it an error.
        if axis is None or axis > 0 or value.size(axis) != 1:
            return None
        constant = "1" if event.operation == "softmax" else "0"
        return Problem(
            f"{event.shown} along an axis of one element is always {constant}: use a sigmoid.",
            None,
            None,
            event.result.origin,
        )
    if event.operation == "cross_entropy" and value.kind is Kind.LOGITS:
        size = value.size(-1 if value.rank is None or classes_last(event) else 1)
        if size == 1:
            return Problem(f"{event.shown} of one logit is always 0: use BCEWithLogitsLoss, or two outputs.", value)
    return None
