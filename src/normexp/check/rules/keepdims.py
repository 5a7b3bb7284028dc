"""NX204 keepdims."""

from __future__ import annotations

from typing import Final

from normexp.check.rule import Rule

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
