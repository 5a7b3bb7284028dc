"""NX202 wrong-dim."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.rules._classes import over_classes
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX202",
    name="wrong-dim",
    severity="warning",
    summary="A softmax is taken along an axis that is not that of the classes.",
    why="""\
A softmax along the wrong axis still gives numbers between 0 and 1, and nothing complains: along axis 0 of a batch it
is the examples that add up to 1, not the classes, so a prediction depends on who else is in the batch. PyTorch's
losses take the classes on axis 1, whatever the number of dimensions; a layer such as Linear puts them last.
""",
    bad="""\
import torch
from torch import nn

net = nn.Linear(64, 10)
x = torch.randn(32, 64)
probabilities = torch.softmax(net(x), dim=0)
""",
    good="""\
import torch
from torch import nn

net = nn.Linear(64, 10)
x = torch.randn(32, 64)
probabilities = torch.softmax(net(x), dim=1)
""",
    references=(
        (
            "torch.nn.functional.softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html",
        ),
    ),
)


def find(event: Event) -> Problem | None:
    """Find probabilities that are normalised along another axis than that of the classes."""
    value = event.tensor()
    losses = ("cross_entropy", "nll_loss")
    kinds = (Kind.PROBABILITIES, Kind.LOG_PROBABILITIES)
    if event.operation not in losses or value.kind not in kinds or value.rank is None or over_classes(value):
        return None
    return Problem(f"{event.shown} has its classes along axis 1, but the softmax was along {value.axis}: give it dim=1.", value)
