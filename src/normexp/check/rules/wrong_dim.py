"""NX202 wrong-dim."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.known import integer
from normexp.check.rule import Rule
from normexp.check.rules._classes import classes_last
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
    """Find a softmax of a layer's output, whose axes are known, along another axis than that of the classes."""
    value, axis = event.tensor(), integer(event.value("dim"))
    if event.operation not in ("softmax", "log_softmax") or value.kind is not Kind.LOGITS or axis is None:
        return None
    # Rows of a batch, and images as a convolution makes them: in another shape, any axis may be meant.
    images = value.term.operation == "layer" and value.trace[0].what.startswith("Conv") and not classes_last(event)
    if value.rank != 2 and not (images and value.rank in (4, 5)):
        return None
    if not -value.rank <= axis < value.rank or axis % value.rank == 1:
        return None
    return Problem(
        f"Of {value.rank} axes, the classes are axis 1, but this {event.shown} is along {axis}: say dim=1.", value
    )
