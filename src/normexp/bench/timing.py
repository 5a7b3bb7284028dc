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
Rounds = Mapping[int, float]
"""Seconds a call, by the number of the round: not everybody takes part in all of them."""

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

    @property
    def inverse(self) -> Ratio:
        """The ratio the other way round."""
        return Ratio(1 / self.median, 1 / self.high, 1 / self.low)

    def scaled(self, factor: float) -> Ratio:
        """Return it times a number."""
        return Ratio(self.median * factor, self.low * factor, self.high * factor)

    @classmethod
    def of(cls, times: Rounds, reference: Rounds) -> Ratio:
        """Compare two series over the rounds that both took part in."""
        return cls.around([times[i] / reference[i] for i in times.keys() & reference.keys()])

    @classmethod
    def around(cls, ratios: Sequence[float]) -> Ratio:
        """Take the median.

        The interval needs no assumption about the noise: the number of values below the median is binomial, so that
        its standard deviation is sqrt(n) / 2, and the ranks n/2 -+ 1.96 sqrt(n)/2 enclose the median.
        """
        ordered, n = sorted(ratios), len(ratios)
        below = max(0, math.floor((n - 1.96 * math.sqrt(n)) / 2) - 1)
        return cls(statistics.median(ordered), ordered[below], ordered[n - 1 - below])


class Times(ABC):
    """The times of one contender."""

    @property
    @abstractmethod
    def times(self) -> Rounds:
        """The time of each round that it took part in."""

    @property
    @abstractmethod
    def taken(self) -> tuple[Series, ...]:
        """Whose times have to be taken for it."""

    @property
    def median(self) -> float:
        """The median of the times."""
        return statistics.median(self.times.values())

    @property
    def quartiles(self) -> tuple[float, float]:
        """What half of the times lie between."""
        times = list(self.times.values())
        low, _, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
        return low, high

    @property
    def spent(self) -> float:
        """The seconds that went into it."""
        return sum(one.seconds for one in self.taken)

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
    settle : float
        The seconds to run untimed before each sample; by default long enough for others' threads to fall asleep.
    """

    def __init__(
        self,
        ways: Mapping[str, Call],
        scope: Callable[[], AbstractContextManager[object]] = nullcontext,
        settle: float | None = None,
    ) -> None:
        self._scope = scope
        self.seconds = 0.0
        with scope():
            self._ways = {name: _Way(call, SETTLE_SECONDS if settle is None else settle) for name, call in ways.items()}

    def sample(self, number: int) -> None:
        """Add the time of this round."""
        start = perf_counter()
        with self._scope():
            for way in self._ways.values():
                way.sample(number)
        self.seconds += perf_counter() - start

    @property
    def times(self) -> Rounds:
        """The time of each round that it took part in."""
        first, *others = (way.times for way in self._ways.values())
        # The last round may have been interrupted.
        return {i: min(t, *(way[i] for way in others)) if others else t for i, t in first.items() if _all(i, others)}

    @property
    def expected(self) -> float:
        """What a call took while this was set up, in seconds."""
        return sum(way.expected for way in self._ways.values())

    @property
    def taken(self) -> tuple[Series, ...]:
        """Itself."""
        return (self,)

    @property
    def fastest(self) -> str:
        """The name of the way that is the fastest in the median."""
        return min(self._ways, key=lambda name: statistics.median(self._ways[name].times.values()))


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
    def times(self) -> Rounds:
        """The time of each round that all of them took part in."""
        first, *others = (part.times for part in self._parts)
        return {i: t + sum(part[i] for part in others) for i, t in first.items() if _all(i, others)}

    @property
    def taken(self) -> tuple[Series, ...]:
        """All that its parts need."""
        return tuple(one for part in self._parts for one in part.taken)


def _all(number: int, rounds: Sequence[Rounds]) -> bool:
    return all(number in one for one in rounds)


class _Way:
    def __init__(self, call: Call, settle: float) -> None:
        self._call = call
        self._settle = settle
        self.times: dict[int, float] = {}
        call()  # the first call pays for pages, pools and code that the others find ready
        # Twice as many until they fill a sample: what the first few say of a call of half a microsecond is the clock's.
        self._repeats = 1
        while (expected := self._time(self._repeats)) * self._repeats < _SAMPLE_SECONDS:
            self._repeats *= 2
        self.expected = expected
        self._settles = settle > 0 and expected < _LONG_CALL_SECONDS

    def sample(self, number: int) -> None:
        if self._settles:
            start = perf_counter()
            while perf_counter() - start < self._settle:
                self._call()
        self.times[number] = self._time(self._repeats)

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
    """Add rounds until the ratios of all pairs are steady, or the time is used up.

    All take part in the first `MIN_ROUNDS`. From then on a pair whose ratio is steady rests, and so does one that has
    had more than its share of the time: whoever is thirty times as slow is known sooner, and needs no more rounds.

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
    due: Sequence[Series] = series
    while due:
        first = count % len(due)
        for one in (*due[first:], *due[:first]):
            one.sample(count)
        count += 1
        used = perf_counter() - start
        progress(used)
        if count >= MIN_ROUNDS:
            if used >= seconds:
                return
            due = _due(series, pairs)


def _due(series: Sequence[Series], pairs: Sequence[tuple[Times, Times]]) -> list[Series]:
    """Return who takes part in the next round."""
    waiting = [pair for pair in pairs if not Ratio.of(pair[0].times, pair[1].times).steady]
    if not waiting:
        return []
    share = sum(one.seconds for one in series) / len(waiting)
    # Parts of sums are counted twice, so that all may have had more; then it is the turn of the one with the least.
    chosen = [pair for pair in waiting if pair[0].spent <= share] or [min(waiting, key=lambda pair: pair[0].spent)]
    needed = {one for pair in chosen for times in pair for one in times.taken}
    return [one for one in series if one in needed]


def empty_call() -> float:
    """Return the seconds that the loop takes to call a function that does nothing: part of every time taken."""
    series = Series({"": lambda: None}, settle=0)
    interleave([series], [], 0.0)
    return series.median
