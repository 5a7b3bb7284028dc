"""Time against size: how long an element takes in rows of 1 to 4 million classes, and in calls of 1 to 65,536 rows.

All sizes of a function take their turns in the same rounds, on one thread and on all. A cliff is a size at which an
element takes more than `CLIFF` times as long as at the next one, unless what sizes share explains it: a call costs
something however few rows it has, and a row however few classes. Both are measured: by the call of one row, and by
rows of one class.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

import normexp
from normexp.bench.cell import OPERATIONS, Array, Cell, element_type, result_shape
from normexp.bench.load import OtherLoad
from normexp.bench.peers.ours import ours
from normexp.bench.timing import STEADY, Ratio, Rounds, Series, Times, interleave
from normexp.bench.words import plural, ratio

CLIFF: Final = 1.5
"""No size should take more than 1.5 times as long as its neighbours without a stated reason."""

# 16 MiB of float32: more than the second-level caches hold.
_ELEMENTS: Final = 1 << 22

# Powers of two, and what lies beside vectors of 16 and 32, blocks of 2048, and powers of ten.
_AWKWARD: Final = (3, 10, 15, 17, 31, 33, 63, 65, 100, 255, 257, 1000, 2047, 2049, 4097)
_CLASSES: Final = tuple(sorted({*(1 << k for k in range(23)), *_AWKWARD}))
_ROWS: Final = tuple(1 << k for k in range(17))
_SEED: Final = 21
_SPREAD: Final = 5.0  # as in cell.py


@dataclass(frozen=True)
class Sweep:
    """Sizes that follow each other."""

    title: str
    along: str
    """What grows: "classes" or "rows"."""
    shapes: tuple[tuple[int, int], ...]
    """Rows and classes."""

    @property
    def places(self) -> list[int]:
        """The size that grows, of each shape."""
        return [classes if self.along == "classes" else rows for rows, classes in self.shapes]

    @property
    def reason(self) -> str:
        """What is shared."""
        return "what a row costs" if self.along == "classes" else "what a call costs"

    def shared(self, seconds: Sequence[float]) -> list[float]:
        """Return what of each time is shared by whatever is in it: the cost of a call, or of its rows.

        Parameters
        ----------
        seconds : sequence of float
            The time of each shape; the first is the smallest.
        """
        first = seconds[0]
        if self.along == "rows":
            return [first] * len(self.shapes)
        return [first * rows / self.shapes[0][0] for rows, _ in self.shapes]


SWEEPS: Final = (
    Sweep(
        "classes, of 4 million elements",
        "classes",
        tuple((max(1, _ELEMENTS // classes), classes) for classes in _CLASSES),
    ),
    Sweep("rows of 10 classes", "rows", tuple((rows, 10) for rows in _ROWS)),
    Sweep("rows of 1000 classes", "rows", tuple((rows, 1000) for rows in _ROWS)),
)


@dataclass(frozen=True)
class Cliff:
    """Two sizes that follow each other, the one far slower than the other."""

    slow: int
    quick: int
    ratio: Ratio
    """How much longer an element takes."""
    reason: str
    """What explains it; empty: nothing does."""

    def words(self, threads: int) -> str:
        """Say it, beside the slow one."""
        return self.reason or f"{ratio(self.ratio)} x {self.quick:,} on {plural(threads, 'thread')}"


@dataclass(frozen=True)
class Line:
    """One sweep on so many threads."""

    sweep: str
    along: str
    threads: int
    shapes: list[tuple[int, int]]
    places: list[int]
    ns_per_element: list[float]
    ns_quartiles: list[tuple[float, float]]
    rounds: list[int]
    cliffs: list[Cliff]


@dataclass(frozen=True)
class Scaling:
    """All sweeps of a function in a format."""

    op: str
    dtype: str
    output: str
    other_cores: float | None
    """How many cores other programs kept busy meanwhile; None where it is not known."""
    lines: list[Line]

    @property
    def cliffs(self) -> list[str]:
        """Those that nothing explains, in words."""
        return [
            f"{self.op} {self.dtype}, {line.sweep}, {plural(line.threads, 'thread')}: {one.slow:,} {line.along} take"
            f" {ratio(one.ratio)} times as long, an element, as {one.quick:,}"
            for line in self.lines
            for one in line.cliffs
            if not one.reason
        ]


class Sweeping:
    """The times of one function in one format over all sizes, into a given result where there is one.

    Parameters
    ----------
    op, dtype : str
        What to time.
    threads : int
        The most to use; one is tried as well.
    sweeps : sequence of Sweep
        The sizes.

    Raises
    ------
    MemoryError
        The arrays do not fit.
    """

    def __init__(self, op: str, dtype: str, threads: int, sweeps: Sequence[Sweep]) -> None:
        self._op, self._dtype = op, dtype
        maker = _Maker(op, dtype, max(math.prod(shape) for sweep in sweeps for shape in sweep.shapes))
        self._output = maker.output
        self._load = OtherLoad()
        self._timed = [
            # Nobody else's threads are awake here, and ours sleep when they wait.
            (sweep, n, [Series(maker.ways(shape, n), partial(_on, n), settle=0.0) for shape in sweep.shapes])
            for n in dict.fromkeys((1, threads))
            for sweep in sweeps
        ]

    def time(self, seconds: float, progress: Callable[[float], None] = lambda used: None) -> None:
        """Time all sizes in turns, until the ratios of neighbours are steady or the time is used up."""
        pairs: list[tuple[Times, Times]] = []
        for _, _, series in self._timed:
            pairs += itertools.pairwise(series)
        with self._load:
            interleave([one for _, _, series in self._timed for one in series], pairs, seconds, progress)

    @property
    def rounds(self) -> int:
        """How many rounds all have taken part in."""
        return min(len(one.times) for _, _, series in self._timed for one in series)

    @property
    def result(self) -> Scaling:
        """What came out."""
        return Scaling(self._op, self._dtype, self._output, self._load.cores, [_line(*one) for one in self._timed])


@contextmanager
def _on(threads: int) -> Iterator[None]:
    before = normexp.get_num_threads()
    normexp.set_num_threads(threads)
    try:
        yield
    finally:
        normexp.set_num_threads(before)


class _Maker:
    """Makes calls on views of the same memory, so that no size finds other pages than its neighbours do."""

    def __init__(self, op: str, dtype: str, elements: int) -> None:
        self._op = op
        element = element_type(dtype)
        random = np.random.default_rng(_SEED)
        logits = random.standard_normal(elements, dtype=np.float64 if dtype == "float64" else np.float32)
        logits *= _SPREAD
        self._x: Array = logits.astype(element, copy=False)
        self._out = np.zeros(elements, element)
        self._random = random
        self._targets: dict[tuple[int, int], NDArray[np.int64]] = {}
        self.output = ours(self._cell((1, 1), 1))[-1].output

    def _cell(self, shape: tuple[int, int], threads: int) -> Cell:
        x = self._x[: math.prod(shape)].reshape(shape)
        given = result_shape(self._op, shape)
        out = self._out[: math.prod(given)].reshape(given)
        target = self._target(shape) if OPERATIONS[self._op].is_loss else None
        return Cell(self._op, x, target, out, threads)

    def _target(self, shape: tuple[int, int]) -> NDArray[np.int64]:
        if shape not in self._targets:
            self._targets[shape] = self._random.integers(shape[1], size=shape[0])
        return self._targets[shape]

    def ways(self, shape: tuple[int, int], threads: int) -> Mapping[str, Callable[[], object]]:
        """Return the call of one size."""
        return ours(self._cell(shape, threads))[-1].ways


def _line(sweep: Sweep, threads: int, series: Sequence[Series]) -> Line:
    sizes = [math.prod(shape) for shape in sweep.shapes]
    per_element = [1e9 / size for size in sizes]
    quartiles = [one.quartiles for one in series]
    return Line(
        sweep=sweep.title,
        along=sweep.along,
        threads=threads,
        shapes=list(sweep.shapes),
        places=sweep.places,
        ns_per_element=[unit * one.median for unit, one in zip(per_element, series, strict=True)],
        ns_quartiles=[(unit * low, unit * high) for unit, (low, high) in zip(per_element, quartiles, strict=True)],
        rounds=[len(one.times) for one in series],
        cliffs=list(cliffs(sweep, [one.times for one in series])),
    )


def cliffs(sweep: Sweep, times: Sequence[Rounds]) -> Iterator[Cliff]:
    """Find the neighbours of which one takes far longer, an element, than the other.

    Parameters
    ----------
    sweep : Sweep
        The sizes.
    times : sequence of Rounds
        The seconds of each.

    Yields
    ------
    Cliff
        In the order of the sizes.
    """
    sizes = [math.prod(shape) for shape in sweep.shapes]
    medians = [statistics.median(one.values()) for one in times]
    shared = sweep.shared(medians)
    for i, j in itertools.pairwise(range(len(sizes))):
        # The ratio of neighbours in a round, not of medians that other minutes have gone into.
        slower = Ratio.of(times[i], times[j]).scaled(sizes[j] / sizes[i])
        if slower.median > CLIFF:
            # The smaller is the slower: does it only bear what both have to pay? Times are known to STEADY.
            own = [max(medians[k] - shared[k], 0.0) / sizes[k] for k in (i, j)]
            explained = own[0] <= CLIFF * own[1] + STEADY * medians[i] / sizes[i]
            yield Cliff(sweep.places[i], sweep.places[j], slower, sweep.reason if explained else "")
        elif slower.median < 1 / CLIFF:
            yield Cliff(sweep.places[j], sweep.places[i], slower.inverse, "")
