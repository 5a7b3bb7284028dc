"""What is timed: a function, an array, and whoever can compute the one of the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Shape = tuple[int, ...]
Limit = Literal["copy", "max", "max + copy"]
Output = Literal["fresh", "out=", ""]  # "" where nothing is computed and nothing written
Front = Literal["numpy", "torch"]
Scope = Callable[[], AbstractContextManager[object]]

AXIS: Final = 1
"""The classes': PyTorch's, for rows x columns and for channel-first arrays alike."""


@dataclass(frozen=True)
class Operation:
    """What is known of a function before there is an array."""

    limit: Limit
    """What the memory has to do at least: a max reads, a copy reads and also writes as much."""
    shapes: Mapping[Front, tuple[Shape, ...]]
    """Where it is timed if nothing else is asked for."""
    is_loss: bool = False


# One small row, where a call is all overhead; two classes to a whole memory's worth of them.
_SHAPES: Final = (
    (1, 10),
    (65536, 2),
    (65536, 10),
    (65536, 64),
    (4096, 1000),
    (512, 32000),
    (256, 128256),
    (4, 4_000_000),
)
_LOSS_SHAPES: Final = (
    (65536, 2),
    (65536, 10),
    (65536, 64),
    (4096, 1000),
    (512, 32000),
    (256, 128256),
    (8, 21, 512, 512),
)
# A batch of 64 rows of 10 is a small network's: there, a call of PyTorch's is mostly its overhead.
_SMALL: Final = (64, 10)
_TORCH_SHAPES: Final = (_SMALL, (65536, 10), (4096, 1000), (256, 128256))
_TORCH_LOSS_SHAPES: Final = (_SMALL, (4096, 10), (65536, 10), (4096, 1000), (512, 32000), (64, 128256))
_OF_MAPS: Final[Mapping[Front, tuple[Shape, ...]]] = {"numpy": _SHAPES, "torch": _TORCH_SHAPES}
_OF_LOSSES: Final[Mapping[Front, tuple[Shape, ...]]] = {"numpy": _LOSS_SHAPES, "torch": _TORCH_LOSS_SHAPES}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "softmax": Operation("copy", _OF_MAPS),
    "log_softmax": Operation("copy", _OF_MAPS),
    "logsumexp": Operation("max", _OF_MAPS),
    "cross_entropy": Operation("max", _OF_LOSSES, is_loss=True),
    # It needs the loss's sum over the row before it can write, so that a row is read before it is copied.
    "cross_entropy_and_grad": Operation("max + copy", _OF_LOSSES, is_loss=True),
}
DTYPES: Final = ("float16", "bfloat16", "float32", "float64")

# Logits of a trained network differ by tens; five standard normals reach +-25 in a long row.
_SPREAD: Final = 5.0
_SEED: Final = 20

# Up to here all is in a core's cache and a call takes some microseconds: what it takes is said, and not bytes a second.
_SMALL_BYTES: Final = 1 << 17


@dataclass(frozen=True)
class Cell:
    """One function of one array: the rows, which lie along `AXIS`, are normalized, reduced, or scored."""

    op: str
    x: Array
    target: NDArray[np.int64] | None
    """The class of each row, for the losses, which are means over the rows."""
    out: Array
    """The buffer that every contender with ``out=`` writes to: the same pages for all."""
    threads: int
    front: Front = "numpy"
    """Which of ours takes part: normexp, or normexp.torch."""

    @classmethod
    def make(cls, op: str, shape: Shape, dtype: str, threads: int, front: Front = "numpy") -> Cell:
        """Fill an array with normal logits, draw targets, and make a buffer for the results.

        Raises
        ------
        MemoryError
            The arrays do not fit.
        """
        element = element_type(dtype)
        work = np.float64 if dtype == "float64" else np.float32
        random = np.random.default_rng(_SEED)
        logits = random.standard_normal(shape, dtype=work)
        logits *= _SPREAD
        x = logits.astype(element, copy=False)
        rows = shape[:AXIS] + shape[AXIS + 1 :]
        target = random.integers(shape[AXIS], size=rows) if OPERATIONS[op].is_loss else None
        return cls.of(op, x, target, threads, front)

    @classmethod
    def of(cls, op: str, x: Array, target: NDArray[np.int64] | None, threads: int, front: Front = "numpy") -> Cell:
        """Make the cell of these logits and targets."""
        return cls(op, x, target, _room(op, x), threads, front)

    def in_float32(self) -> Cell:
        """Return the cell of the same logits in float32."""
        x = self.x.astype(np.float32)
        return replace(self, x=x, out=_room(self.op, x))

    def of_rows(self, index: tuple[NDArray[np.intp], ...]) -> Cell:
        """Return the cell of some of the rows, which lie one after the other: rows x classes."""
        x = np.ascontiguousarray(np.moveaxis(self.x, AXIS, -1)[index])
        target = None if self.target is None else self.target[index]
        return replace(self, x=x, target=target, out=_room(self.op, x))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return math.prod(self.x.shape[:AXIS] + self.x.shape[AXIS + 1 :])

    def chosen(self, elements: int) -> tuple[NDArray[np.intp], ...]:
        """Choose rows that have no more elements than that, but one at least; evenly, the first and last among them.

        Returns
        -------
        tuple of ndarray
            Their index in arrays that have no classes, or have them last.
        """
        count = max(1, min(self.rows, elements // self.x.shape[AXIS]))
        chosen = np.linspace(0, self.rows - 1, count).astype(np.intp)
        return np.unravel_index(chosen, self.x.shape[:AXIS] + self.x.shape[AXIS + 1 :])

    @property
    def is_map(self) -> bool:
        """Whether each element of a row has a result of its own."""
        return self.out.ndim == self.x.ndim

    @property
    def is_mean(self) -> bool:
        """Whether the rows come to one number."""
        return self.op == "cross_entropy"

    @property
    def is_small(self) -> bool:
        """Whether the memory has no part in it."""
        return self.moved <= _SMALL_BYTES

    @property
    def limit(self) -> Limit:
        """What the memory has to do at least."""
        return OPERATIONS[self.op].limit

    @property
    def moved(self) -> int:
        """Bytes that have to move: each input read once, each output written once."""
        return self.x.nbytes + (0 if self.target is None else self.target.nbytes) + self.out.nbytes

    @property
    def title(self) -> str:
        """The cell in words."""
        through = ", through normexp.torch" if self.front == "torch" else ""
        return f"{self.op}, {' x '.join(map(str, self.x.shape))} {self.x.dtype}{through}"


def element_type(dtype: str) -> np.dtype:
    """Return the type of these elements."""
    if dtype == "bfloat16":
        import ml_dtypes  # NumPy has no such type of its own

        dtype = ml_dtypes.bfloat16
    return np.dtype(dtype)


def result_shape(op: str, shape: Shape) -> Shape:
    """Return the shape of the results."""
    return {"logsumexp": shape[:AXIS] + shape[AXIS + 1 :], "cross_entropy": ()}.get(op, shape)


def _room(op: str, x: Array) -> Array:
    """Make a buffer for the results."""
    return np.zeros(result_shape(op, x.shape), x.dtype)


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
    sum_of: tuple[str, ...] = ()
    """The contenders whose times, added up in each round, are those of this one, which has no ways of its own."""
    scope: Scope = nullcontext
    """What its calls run within; entering it is not timed."""


class MissingError(Exception):
    """A peer cannot take part; the message says why."""
