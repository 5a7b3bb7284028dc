"""NX204 keepdims."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.finding import Fix
from normexp.check.rule import Rule
from normexp.check.rules._fixes import appended
from normexp.check.terms import Term
from normexp.check.values import Tensor

RULE: Final = Rule(
    code="NX204",
    name="keepdims",
    severity="error",
    summary="A softmax by hand divides by sums whose axis was dropped.",
    why="""\
`exp.sum(axis=1)` of an array of n rows and k columns has the shape (n,), which broadcasting lines up with the
columns, not with the rows. Where n and k differ that is an error; where they are equal, every element is divided by
the sum of another row, and nothing says so. `keepdims=True` (PyTorch: `keepdim=True`) keeps the axis, so that each
row meets its own sum.
""",
    bad="""\
import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1)
""",
    good="""\
import numpy as np


def softmax(x):
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)
""",
    references=(
        (
            "NumPy: broadcasting",
            "https://numpy.org/doc/stable/user/basics.broadcasting.html",
        ),
        (
            "numpy.sum",
            "https://numpy.org/doc/stable/reference/generated/numpy.sum.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find exponentials divided by their sums along an axis that was not kept."""
    value = event.tensor()
    if event.operation == "divide":
        divisor = event.tensor("divisor").term
        if value.term.operation == "exp" and divisor.operation == "sum" and _dropped(divisor, value.term, value):
            return Problem(
                "The sums of a softmax have lost their axis and meet other rows: keep it (keepdims=True).",
                None,
                _fix(event),
            )
        exponent = value.term.part(0)
        if divisor.part(0) == value.term and exponent is not None and exponent.operation == "subtract":
            whole, largest = exponent.part(0), exponent.part(1)
            if whole and largest and largest.operation == "max" and _dropped(largest, whole, value):
                return Problem(
                    "The maxima of a softmax have lost their axis and meet other rows: keep it (keepdims=True)."
                )
    return None


def _dropped(reduced: Term, whole: Term, value: Tensor) -> bool:
    """Tell whether a reduction of `whole` lost an axis that broadcasting does not put back where it was.

    What is left after axis 0 of two went lines up with the columns, where it belongs; of one axis a number is left.
    """
    axis, kept = reduced.operands[1:]
    return reduced.part(0) == whole and kept is False and isinstance(axis, int) and axis != 0 and value.rank != 1


def _fix(event: Event) -> Fix | None:
    """Keep the axis of a sum that stands in the division itself."""
    divisor = event.node.right if isinstance(event.node, ast.BinOp) else None
    if not isinstance(divisor, ast.Call) or any(keyword.arg in KEEPS for keyword in divisor.keywords):
        return None
    name = "keepdim" if any(keyword.arg == "dim" for keyword in divisor.keywords) else "keepdims"
    return Fix((appended(event.source, divisor, f"{name}=True"),), False, f"Say {name}=True.")


KEEPS: Final = ("keepdim", "keepdims")
