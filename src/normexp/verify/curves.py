"""The error against the length of the row, for each implementation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normexp.verify.cases import DTYPES, Case
from normexp.verify.conformance import Exact
from normexp.verify.peers import Implementation

FUNCTIONS: Final = ("softmax", "log_softmax", "logsumexp", "cross_entropy")
LENGTHS: Final = tuple(4**k for k in range(1, 11))  # 4 to a million
SPREAD: Final = 5.0
COUNT: Final = len(FUNCTIONS)
_DTYPE: Final = "float32"
_ELEMENTS: Final = 1024  # of short rows, as many as have this many elements together


@dataclass(frozen=True)
class Curve:
    """The largest error of each implementation, by the length of the row; None where it has no result."""

    function: str
    max_ulp: dict[str, list[float | None]]

    def document(self) -> dict[str, Any]:
        """Return this curve for the JSON file."""
        return {
            "function": self.function,
            "dtype": _DTYPE,
            "spread": SPREAD,
            "lengths": list(LENGTHS),
            "max_ulp": self.max_ulp,
        }


def curves(implementations: Sequence[Implementation]) -> Iterator[Curve]:
    """Measure normal logits in float32, the same ones for all functions."""
    rng = np.random.default_rng(0)
    shapes = [(max(1, _ELEMENTS // length), length) for length in LENGTHS]
    cases = [Exact(Case((rng.standard_normal(shape) * SPREAD).astype(DTYPES[_DTYPE]))) for shape in shapes]
    for function in FUNCTIONS:
        yield Curve(function, {one.name: [case.worst(function, one).ulp for case in cases] for one in implementations})
