"""NX203 implicit-dim."""

from __future__ import annotations

from typing import Final

from normexp.check.rule import Rule

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
