"""NX203 implicit-dim."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.rule import Rule
from normexp.check.values import NONE

RULE: Final = Rule(
    code="NX203",
    name="implicit-dim",
    severity="info",
    summary="A softmax is taken without saying along which axis.",
    why="""\
Without `dim`, PyTorch guesses: axis 0 for tensors of 0, 1 or 3 dimensions, axis 1 for all others. A batch of
sequences is so normalised over its examples. PyTorch warns of this and keeps the guess only for old programs.
""",
    bad="""\
import torch.nn.functional as F


def predict(logits):
    return F.softmax(logits)
""",
    good="""\
import torch.nn.functional as F


def predict(logits):
    return F.softmax(logits, dim=-1)
""",
    references=(
        (
            "torch.nn.functional.softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html",
        ),
    ),
)


def find(event: Event) -> Problem | None:
    """Find a softmax of PyTorch without dim."""
    if event.operation not in ("softmax", "log_softmax") or event.library != "torch":
        return None
    if event.value("dim") not in (None, NONE):
        return None
    return Problem(
        f"{event.shown} without dim guesses the axis: say which, most often dim=-1.", None, None, event.result.origin
    )
