"""What is timed: a function, an array, and whoever can compute the one of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Output = Literal["fresh", "out=", ""]  # "" where nothing but a number comes out

OPERATIONS: Final = ("softmax", "log_softmax", "logsumexp")
DTYPES: Final = ("float16", "bfloat16", "float32", "float64")

# Logits of a trained network differ by tens; five standard normals reach +-25 in a long row.
_SPREAD: Final = 5.0
_SEED: Final = 20


@dataclass(frozen=True)
class Cell:
    """One function of one array: the rows are normalized, or reduced."""

    op: str
    x: Array
    out: Array
    """The buffer that every contender with ``out=`` writes to: the same pages for all."""
    threads: int

    @classmethod
    def make(cls, op: str, shape: tuple[int, int], dtype: str, threads: int) -> Cell:
        """Fill an array with normal logits and make a buffer for the results.

        Raises
        ------
        MemoryError
            The arrays do not fit.
        """
        if dtype == "bfloat16":
            import ml_dtypes  # NumPy has no such type of its own

            element = np.dtype(ml_dtypes.bfloat16)
        else:
            element = np.dtype(dtype)
        work = np.float64 if dtype == "float64" else np.float32
        logits = np.random.default_rng(_SEED).standard_normal(shape, dtype=work)
        logits *= _SPREAD
        x = logits.astype(element, copy=False)
        out = np.zeros(shape[:1] if op == "logsumexp" else shape, element)
        return cls(op, x, out, threads)

    @property
    def reads_only(self) -> bool:
        """Whether the limit is a max, which reads, and not a copy, which also writes as much."""
        return self.op == "logsumexp"

    @property
    def title(self) -> str:
        """The cell in words."""
        return f"{self.op}, {self.x.shape[0]} x {self.x.shape[1]} {self.x.dtype}"


@dataclass(frozen=True)
class Contender:
    """A way to compute a cell: by us, by a peer, or the limit that memory sets to both."""

    name: str
    output: Output
    ways: Mapping[str, Callable[[], object]]
    """How to do it, by name; most know one way, whose name may be empty. Of several the fastest counts."""
    moved: int
    """Bytes that have to move: each input read once, each output written once."""
    result: Callable[[], Array] | None = None
    """Call it and give the values as a NumPy array; None where the values are not the function's."""

    @property
    def is_limit(self) -> bool:
        """Whether this only moves memory."""
        return self.result is None


class MissingError(Exception):
    """A peer cannot take part; the message says why."""
