"""NX302 naive-exp."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.arithmetic import shifted
from normexp.check.event import Event, Problem
from normexp.check.finding import Fix
from normexp.check.rule import Rule
from normexp.check.rules._fixes import operand, replacement

RULE: Final = Rule(
    code="NX302",
    name="naive-exp",
    severity="warning",
    summary="A softmax by hand does not subtract the maximum first: it overflows.",
    why="""\
exp(x) is infinite above 88.72 in float32, above 709.78 in float64 and above 11.09 in half precision; infinity divided
by infinity is NaN. Where all the logits of a row are very negative, the sum is 0, and so is what is divided by it.
With the maximum subtracted first, the largest exponential is 1 and the result is the same. Any library's softmax does
it.
""",
    bad="""\
import numpy as np


def softmax(x):
    return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)
""",
    good="""\
import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)
""",
    references=(
        (
            "torch.nn.functional.softmax",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html",
        ),
        (
            "P. Blanchard, D. J. Higham, N. J. Higham: Accurately computing the log-sum-exp and softmax functions",
            "https://doi.org/10.1093/imanum/draa038",
        ),
    ),
    fixes="safe",
)


def find(event: Event) -> Problem | None:
    """Find exp(x) / sum(exp(x)) where nothing was subtracted from x."""
    one, other = event.tensor().term, event.tensor("divisor").term
    if event.operation != "divide" or one.operation != "exp" or other.operation != "sum" or other.part(0) != one:
        return None
    exponent = one.part(0)
    if exponent is None or shifted(exponent):
        return None
    message = "A softmax by hand overflows where an exponent is large: use softmax, or subtract the maximum first."
    return Problem(message, None, _fix(event))


def _fix(event: Event) -> Fix | None:
    """Write torch.exp(x) / torch.sum(torch.exp(x), dim=d, keepdim=True) as torch.softmax(x, dim=d)."""
    node = event.node
    if not isinstance(node, ast.BinOp) or not isinstance(node.left, ast.Call) or not isinstance(node.right, ast.Call):
        return None
    source, given = event.source, {keyword.arg: keyword.value for keyword in node.right.keywords}
    exponent = operand(node.left)
    if (
        exponent is None
        or source.segment(node.left.func) != "torch.exp"
        or "keepdim" not in given
        or "dim" not in given
    ):
        return None
    text = f"torch.softmax({source.segment(exponent)}, dim={source.segment(given['dim'])})"
    return Fix((replacement(source, node, text),), True, "Use softmax.")
