"""NX205 mask-fill."""

from __future__ import annotations

from typing import Final

from normexp.check.rule import Rule

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
