"""The hard inputs, in named families; the same ones in every run."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from normexp.verify.peers import FUNCTIONS, LOSSES, Array

DTYPES: Final[dict[str, np.dtype]] = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}

# Longer rows are measured at some positions only: exact arithmetic takes about a microsecond an element.
_ALL_MEASURED: Final = 4096
_EVENLY: Final = 256
_EXTREMES: Final = 64


@dataclass(frozen=True)
class Case:
    """Rows (the last axis of a two-dimensional array), the temperature to apply to them, and their classes if given."""

    x: Array
    temperature: float = 1.0
    target: NDArray[np.int64] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """A class for each row: by turns the likeliest, the least likely and the one in the middle."""
        if self.target is not None:
            return self.target
        rows, count = self.x.shape
        choices = np.stack([self.x.argmax(axis=1), self.x.argmin(axis=1), np.full(rows, count // 2)])
        turns = (np.arange(rows) + count) % 3
        chosen: NDArray[np.int64] = choices[turns, np.arange(rows)].astype(np.int64)
        return chosen

    @property
    def positions(self) -> list[int] | None:
        """Where to measure each row; None means everywhere."""
        count = self.x.shape[1]
        if count <= _ALL_MEASURED:
            return None
        order = np.argsort(self.x[0])
        evenly = np.linspace(0, count - 1, _EVENLY).astype(np.intp)
        chosen: list[int] = np.unique(np.concatenate([evenly, order[:_EXTREMES], order[-_EXTREMES:]])).tolist()
        return chosen


@dataclass(frozen=True)
class Format:
    """A dtype, a source of random numbers, and the sizes that make an input hard in that dtype."""

    dtype: np.dtype
    rng: np.random.Generator

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return float(self._info.max)

    @property
    def log_smallest_normal(self) -> float:
        """The logit gap at which softmax becomes subnormal."""
        return math.log(self._info.smallest_normal)

    @property
    def log_smallest(self) -> float:
        """The logit gap at which softmax becomes 0, to half a unit."""
        return math.log(self._info.smallest_subnormal)

    @property
    def _info(self) -> Any:  # noqa: ANN401 - ml_dtypes has no types
        return ml_dtypes.finfo(self.dtype)  # type: ignore[no-untyped-call]

    def case(self, x: NDArray[np.floating[Any]], temperature: float = 1.0) -> Case:
        """Round the logits to this format, no further out than its largest number."""
        return Case(np.atleast_2d(np.clip(x, -self.largest, self.largest)).astype(self.dtype), temperature)

    def normal(self, rows: int, count: int, spread: float) -> NDArray[np.float64]:
        """Draw normal logits."""
        return self.rng.normal(size=(rows, count)) * spread


def _spread(factor: float) -> Callable[[Format], Iterator[Case]]:
    def family(f: Format) -> Iterator[Case]:
        yield f.case(f.normal(8, 10, factor))
        yield f.case(f.normal(2, 1000, factor))
        yield f.case(f.normal(10, 10, factor))  # square: where rows and columns may be mistaken for each other

    return family


def _every_length(f: Format) -> Iterator[Case]:
    """Yield every length up to two blocks of 64 lanes and a bit: the tails of vector loops."""
    for count in range(1, 131):
        yield f.case(f.normal(1 if count > 32 else 3, count, 5.0))


def _offset(f: Format) -> Iterator[Case]:
    # 1e6, or what float16 has instead.
    offset = min(1e6, f.largest / 2)
    for sign in (-1, 1):
        yield f.case(f.normal(4, 10, 5.0) + sign * offset)
        yield f.case(f.normal(1, 1000, 50.0) + sign * offset)


def _confident(f: Format) -> Iterator[Case]:
    """Yield rows with one clear winner: log_softmax there is near 0, and `1 + rest` forgets the rest."""
    gaps = np.linspace(0.5, -f.log_smallest, 80)
    yield f.case(np.stack([gaps, np.zeros_like(gaps)], axis=1))
    rows = f.normal(8, 200, 1.0)
    rows[np.arange(8), f.rng.integers(200, size=8)] = np.linspace(8, -f.log_smallest_normal, 8)
    yield f.case(rows)


def _ties(f: Format) -> Iterator[Case]:
    yield f.case(f.rng.integers(0, 3, size=(4, 100)).astype(float))
    yield f.case(np.full((1, 1000), -7.5))
    winners = f.normal(2, 50, 3.0)
    winners[:, [3, 44]] = 30.0
    yield f.case(winners)
    # More terms than float16 has numbers: their sum overflows there.
    yield f.case(np.zeros((1, 70_000)))


def _near_zero_logsumexp(f: Format) -> Iterator[Case]:
    """Yield rounded log-probabilities: their logsumexp would be 0, and is the sum of the roundings."""
    for rows, count in ((20, 2), (20, 3), (8, 10), (1, 1000)):
        yield f.case(np.log(f.rng.dirichlet(np.ones(count), size=rows)))
    yield f.case(np.log([[0.5, 0.5]]))


def _subnormal(f: Format) -> Iterator[Case]:
    low = np.linspace(f.log_smallest_normal + 1, f.log_smallest - 2, 199)
    yield f.case(np.concatenate([[0.0], low]))
    yield f.case(np.concatenate([low - 3, low, [5.0, 5.0]]))


def _largest_numbers(f: Format) -> Iterator[Case]:
    """Yield logits as large as the format has: differences and sums overflow in it."""
    yield f.case(f.rng.uniform(-1, 1, size=(4, 10)) * f.largest)
    yield f.case(np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0], [0.75, -0.5]]) * f.largest)


def _smallest_numbers(f: Format) -> Iterator[Case]:
    """Yield subnormal logits; the logsumexp of a row of one is that one."""
    tiny = math.exp(f.log_smallest)
    yield f.case(f.rng.integers(-9, 10, size=(4, 10)) * tiny)
    yield f.case(np.array([[1.0], [-3.0], [0.0]]) * tiny)


def _masked(f: Format) -> Iterator[Case]:
    for rows, count in ((8, 10), (2, 1000)):
        x = f.normal(rows, count, 5.0)
        masked = f.rng.random(x.shape) < 0.4
        masked[:, 0] = False
        yield Case(np.where(masked, -np.inf, x).astype(f.dtype))


def _temperatures(f: Format) -> Iterator[Case]:
    for temperature in (0.07, 0.7, 3.0, 100.0):
        yield f.case(f.normal(4, 10, 5.0), temperature)
        yield f.case(f.normal(1, 1000, 5.0), temperature)


def _layouts(f: Format) -> Iterator[Case]:
    """Yield rows that do not lie side by side: transposed, every other column, back to front, one row many times."""
    x = f.case(f.normal(12, 300, 5.0)).x
    yield Case(np.asfortranarray(x))
    yield Case(x[:, ::2])
    yield Case(x[::3, 1::7])
    yield Case(x[::-1, ::-1])
    yield Case(np.broadcast_to(x[0], (4, 300)))


def _rising(f: Format) -> Iterator[Case]:
    """Yield sorted rows: a running maximum changes at every element, or never."""
    row = np.sort(f.normal(1, 3000, 20.0)[0])
    yield f.case(np.stack([row, row[::-1]]))


def _long(f: Format) -> Iterator[Case]:
    yield f.case(f.normal(1, 100_000, 1.0))
    yield f.case(f.normal(1, 100_000, 5.0))


def _four_million(f: Format) -> Iterator[Case]:
    yield f.case(f.normal(1, 1 << 22, 1.0))
    # Of few values: the roundings of one long sum after the other all go the same way.
    yield f.case(f.rng.integers(0, 3, size=(1, 1 << 22)).astype(float))


@dataclass(frozen=True)
class Family:
    """Cases that are hard for one reason; `functions` and `dtypes` say where they are."""

    name: str
    make: Callable[[Format], Iterator[Case]]
    functions: tuple[str, ...] = (*FUNCTIONS[:3], *LOSSES)
    dtypes: tuple[str, ...] = tuple(DTYPES)

    def cases(self, dtype: str, draw: int = 0) -> list[Case]:
        """Make the cases: the same ones whatever else runs, since each family and draw has its own random numbers."""
        seed = [zlib.crc32(f"{self.name} {dtype}".encode()), *([draw] if draw else [])]
        return list(self.make(Format(DTYPES[dtype], np.random.default_rng(seed))))


# softmin is softmax of -x: the families that tell whether the minus sign is in its place will do.
_WITH_SOFTMIN: Final = (*FUNCTIONS, *LOSSES)
_WITH_TEMPERATURE: Final = ("softmax", "log_softmax", "softmin")

FAMILIES: Final = (
    Family("spread x1", _spread(1.0)),
    Family("spread x10", _spread(10.0), _WITH_SOFTMIN),
    Family("spread x100", _spread(100.0)),
    Family("spread x1000", _spread(1000.0)),
    Family("every length to 130", _every_length, _WITH_SOFTMIN),
    Family("offset 1e6", _offset),
    Family("one clear winner", _confident),
    Family("ties", _ties, _WITH_SOFTMIN),
    Family("logsumexp near 0", _near_zero_logsumexp),
    Family("subnormal results", _subnormal),
    Family("largest numbers", _largest_numbers),
    Family("smallest numbers", _smallest_numbers),
    Family("masked by -inf", _masked),
    Family("temperatures", _temperatures, _WITH_TEMPERATURE),
    Family("layouts", _layouts),
    Family("rising and falling", _rising),
    Family("rows of 100,000", _long),
    Family("a row of 4 million", _four_million, dtypes=("float32",)),
)
