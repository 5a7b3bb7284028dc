"""NX205 mask-fill."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.known import integer, number
from normexp.check.rule import Rule
from normexp.check.values import Fill

RULE: Final = Rule(
    code="NX205",
    name="mask-fill",
    severity="error",
    summary="Masked scores are filled with a value that a softmax does not ignore.",
    why="""\
A softmax gives no weight to a score of -inf, and none that matters to a very negative one. A score of 0, or of 1e-9,
is an ordinary score: in the row (-2, -1, masked) a masked element filled with 0 gets 0.665 of the weight. Three slips
lead there: 0 or 1e-9 as the fill where -1e9 was meant; the result of `masked_fill`, which changes nothing in place,
thrown away; and -1e9 in half precision, whose most negative number is -65,504: `masked_fill` refuses it with an
error.

Fill with `float("-inf")` before the softmax, and see to it that no row is masked altogether: its softmax is NaN.
`torch.finfo(scores.dtype).min` is safe there in every precision.
""",
    bad="""\
import torch


def attend(scores, mask, values):
    scores = scores.masked_fill(mask == 0, 1e-9)
    return torch.softmax(scores, dim=-1) @ values
""",
    good="""\
import torch


def attend(scores, mask, values):
    scores = scores.masked_fill(mask == 0, float("-inf"))
    return torch.softmax(scores, dim=-1) @ values
""",
    references=(
        (
            "torch.Tensor.masked_fill",
            "https://docs.pytorch.org/docs/stable/generated/torch.Tensor.masked_fill.html",
        ),
        (
            "torch.nn.functional.softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html",
        ),
    ),
)


# The most negative finite number of half precision.
HALF: Final = -65504.0


def find(event: Event) -> Problem | None:
    """Find scores that are masked with a number that a softmax sees, or one that half precision has not."""
    if event.operation in ("softmax", "log_softmax"):
        fill = event.tensor().fill
        if fill is None or not _seen(fill) or (fill.number == 0 and _whole_positions(event)):
            return None
        message = f"A softmax follows, which does not ignore {fill.number:g}: fill with -inf."
        return Problem(message, None, None, fill.place)
    if event.operation == "masked_fill" and event.tensor().half:
        value = number(event.value("value"))
        if value is not None and float("-inf") < value < HALF:
            return Problem(f"Half precision ends at -65504, before {value:g}: fill with -inf.")
    if event.operation == "dropped" and event.shown == "masked_fill":
        return Problem("masked_fill returns a new tensor, which is not used: assign it, or call masked_fill_.")
    return None


def _whole_positions(event: Event) -> bool:
    """Tell whether the softmax is over axis 1, the classes: 0 may then stand in all of them, for ignored pixels."""
    return integer(event.value("dim")) == 1 and event.tensor().rank != 2


def _seen(fill: Fill) -> bool:
    # Numbers such as -1 may be meant, as scores like others; none that is so small, or positive, may.
    return fill.number >= -1e-3
