"""Timing side by side: every contender in every round, and medians of the ratios within the rounds.

A machine's speed drifts (other programs, clock rates, memory), so that two times taken apart cannot be compared. Here
they are taken A B C A B C ..., and a ratio is formed only between neighbours of one round. The median of these ratios,
and how sure it is, decide when to stop.
"""

from __future__ import annotations

import gc
import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Final

Call = Callable[[], object]

# Idle threads of PyTorch (libgomp: 300,000 turns of a spin of at most 140 cycles, 14 ms at 3 GHz) and of ONNX Runtime
# keep a core busy after a call. Nobody's time should pay for that, so each contender first runs untimed for longer.
SETTLE_SECONDS: Final = 0.025

# A spin of 14 ms on one of two cores is under 3% of a call as long as ten times this: such calls need no settling.
_LONG_CALL_SECONDS: Final = 10 * SETTLE_SECONDS

# Long beside the clock's step and the interpreter's loop (tens of nanoseconds a call), short beside the drift.
_SAMPLE_SECONDS: Final = 0.005

# The fewest rounds whose smallest and largest value enclose the median with 95% confidence: 1 - 2^(1 - 6) = 0.969.
MIN_ROUNDS: Final = 6

# A ratio known to 3% tells 1.2 from 1.25. Where noise forbids it within the time allowed, the report says so.
STEADY: Final = 0.03


@dataclass(frozen=True)
class Ratio:
    """The median of per-round ratios, with its 95% confidence interval."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Half the width of the interval, relative to the median."""
        return (self.high - self.low) / (2 * self.median)

    @property
    def steady(self) -> bool:
        """Whether the median is known well enough to stop."""
        return self.spread <= STEADY

    @classmethod
    def of(cls, times: Sequence[float], reference: Sequence[float]) -> Ratio:
        """Compare two series, round by round.

        The interval needs no assumption about the noise: the number of values below the median is binomial, so that
        its standard deviation is sqrt(n) / 2, and the ranks n/2 -+ 1.96 sqrt(n)/2 enclose the median.
        """
        ratios = sorted(a / b for a, b in zip(times, reference, strict=True))
        n = len(ratios)
        below = max(0, math.floor((n - 1.96 * math.sqrt(n)) / 2) - 1)
        return cls(statistics.median(ratios), ratios[below], ratios[n - 1 - below])


class Times(ABC):
    """The times of one contender, in seconds a call, one a round."""

    @property
    @abstractmethod
    def times(self) -> list[float]:
        """The time of each round."""

    @property
    def median(self) -> float:
        """The median of the times."""
        return statistics.median(self.times)

    @property
    def fastest(self) -> str:
        """The name of the way that is the fastest in the median; empty where there is no choice."""
        return ""


class Series(Times):
    """Times that are taken.

    Parameters
    ----------
    ways : mapping of str to callable
        The ways to do the work. Where there are several, the fastest of each round counts.
    scope : callable
        Makes the context in which they run; it is entered before the clock starts.
    """

    def __init__(
        self, ways: Mapping[str, Call], scope: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> None:
        self._scope = scope
        with scope():
            self._ways = {name: _Way(call) for name, call in ways.items()}

    def sample(self) -> None:
        """Add the time of this round."""
        with self._scope():
            for way in self._ways.values():
                way.sample()

    @property
    def times(self) -> list[float]:
        """The time of each round."""
        return [min(times) for times in zip(*(way.times for way in self._ways.values()), strict=True)]

    @property
    def fastest(self) -> str:
        """The name of the way that is the fastest in the median."""
        return min(self._ways, key=lambda name: statistics.median(self._ways[name].times))


class Sum(Times):
    """Times that are added up from those of other contenders, within each round.

    Parameters
    ----------
    parts : sequence of Times
        The others.
    """

    def __init__(self, parts: Sequence[Times]) -> None:
        self._parts = parts

    @property
    def times(self) -> list[float]:
        """The time of each round."""
        return [sum(times) for times in zip(*(part.times for part in self._parts), strict=True)]


class _Way:
    def __init__(self, call: Call) -> None:
        self._call = call
        self.times: list[float] = []
        call()  # the first call pays for pages, pools and code that the others find ready
        self._expected = self._time(1)
        self._repeats = max(1, math.ceil(_SAMPLE_SECONDS / self._expected))

    def sample(self) -> None:
        if self._expected < _LONG_CALL_SECONDS:
            start = perf_counter()
            while perf_counter() - start < SETTLE_SECONDS:
                self._call()
        self.times.append(self._time(self._repeats))

    def _time(self, repeats: int) -> float:
        call = self._call
        collecting = gc.isenabled()
        gc.disable()
        try:
            start = perf_counter()
            for _ in range(repeats):
                call()
            return (perf_counter() - start) / repeats
        finally:
            if collecting:
                gc.enable()


def interleave(
    series: Sequence[Series],
    pairs: Sequence[tuple[Times, Times]],
    seconds: float,
    progress: Callable[[float], None] = lambda used: None,
) -> None:
    """Add rounds to all series until the ratios of all pairs are steady, or the time is used up.

    Parameters
    ----------
    series : sequence of Series
        All that are timed. Each round starts with another one, so that none always follows the same neighbour's caches.
    pairs : sequence of (Times, Times)
        The ratios that matter.
    seconds : float
        Stop after this time even if a ratio is not steady; `MIN_ROUNDS` are run in any case.
    progress : callable
        Told the seconds used, after each round.
    """
    start = perf_counter()
    count = 0
    while True:
        first = count % len(series)
        for one in (*series[first:], *series[:first]):
            one.sample()
        count += 1
        used = perf_counter() - start
        progress(used)
        if count >= MIN_ROUNDS and (used >= seconds or all(Ratio.of(a.times, b.times).steady for a, b in pairs)):
            return
