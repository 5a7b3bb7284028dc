"""The arithmetic of side-by-side timing, on times that are made up."""

import math
import random
from time import perf_counter

import pytest

from normexp.bench import timing
from normexp.bench.timing import MIN_ROUNDS, Ratio, Series, Sum, Times, interleave


def spin(seconds):
    def call():
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass

    return call


def test_ratio_is_the_median_of_ratios_within_rounds():
    # A machine that slows down fourfold on the way: the ratio of each round is 2 all the same.
    reference = [1.0, 2.0, 3.0, 4.0, 4.0, 4.0]
    assert Ratio.of([2 * t for t in reference], reference) == Ratio(2.0, 2.0, 2.0)


def test_few_rounds_give_the_whole_range():
    ratio = Ratio.of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0] * MIN_ROUNDS)
    assert (ratio.low, ratio.median, ratio.high) == (1.0, 3.5, 6.0)
    assert not ratio.steady


def test_the_interval_encloses_the_median_95_times_in_100():
    generator = random.Random(0)
    for rounds in (6, 9, 30, 101):
        inside = 0
        for _ in range(2000):
            ratio = Ratio.of([generator.expovariate(1.0) for _ in range(rounds)], [1.0] * rounds)
            inside += ratio.low <= math.log(2) <= ratio.high  # the median of expovariate(1)
        # Four standard deviations of a count with p = 0.95 over 2000 trials: 4 * sqrt(2000 * 0.95 * 0.05) = 39.
        assert inside >= 2000 * 0.95 - 39, rounds


def test_every_contender_runs_in_every_round(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_SAMPLE_SECONDS", 0.0)
    order = []
    series = [Series({"": lambda name=name: order.append(name)}) for name in "ABC"]
    order.clear()
    interleave(series, [(series[0], series[1])], seconds=1e-9)
    assert "".join(order) == "ABCBCACAB" * (MIN_ROUNDS // 3)
    assert [len(one.times) for one in series] == [MIN_ROUNDS] * 3


def test_it_stops_when_steady_or_out_of_time(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_SECONDS", 0.0)
    told = []
    series = [Series({"": spin(1e-4)}), Series({"": spin(3e-4)})]
    interleave(series, [], seconds=60.0, progress=told.append)  # no ratio to wait for
    assert len(told) == MIN_ROUNDS
    monkeypatch.setattr(timing, "STEADY", -1.0)  # no ratio is ever steady
    interleave(series, [(series[1], series[0])], seconds=0.2, progress=told.append)
    assert told[-1] >= 0.2
    assert Ratio.of(series[1].times, series[0].times).median == pytest.approx(3, rel=0.5)


def test_the_fastest_way_counts(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_SECONDS", 0.0)
    series = Series({"slow": spin(2e-3), "quick": spin(1e-4)})
    interleave([series], [], seconds=1e-9)
    assert series.fastest == "quick"
    assert min(series.times) >= 1e-4
    assert series.median < 2e-3


class Given(Times):
    """Times that nobody took."""

    def __init__(self, *times):
        self.given = list(times)

    @property
    def times(self):
        return self.given


def test_a_sum_adds_within_rounds():
    total = Sum([Given(1.0, 2.0, 9.0), Given(5.0, 1.0, 1.0)])
    assert total.times == [6.0, 3.0, 10.0]
    assert total.median == 6.0  # the medians of the parts would give 3
    assert total.fastest == ""
