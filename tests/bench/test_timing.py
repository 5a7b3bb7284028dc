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


def rounds(*times):
    return dict(enumerate(times))


def test_ratio_is_the_median_of_ratios_within_rounds():
    # A machine that slows down fourfold on the way: the ratio of each round is 2 all the same.
    reference = [1.0, 2.0, 3.0, 4.0, 4.0, 4.0]
    assert Ratio.of(rounds(*[2 * t for t in reference]), rounds(*reference)) == Ratio(2.0, 2.0, 2.0)


def test_a_ratio_is_of_rounds_that_both_took_part_in():
    # The second sat out round 1, the first was interrupted in round 3.
    assert Ratio.of({0: 2.0, 1: 9.0, 2: 4.0}, {0: 1.0, 2: 2.0, 3: 5.0}) == Ratio(2.0, 2.0, 2.0)


def test_few_rounds_give_the_whole_range():
    ratio = Ratio.around([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (ratio.low, ratio.median, ratio.high) == (1.0, 3.5, 6.0)
    assert not ratio.steady


def test_the_interval_encloses_the_median_95_times_in_100():
    generator = random.Random(0)
    for rounds in (6, 9, 30, 101):
        inside = 0
        for _ in range(2000):
            ratio = Ratio.around([generator.expovariate(1.0) for _ in range(rounds)])
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
    assert min(series.times.values()) >= 1e-4
    assert series.median < 2e-3


class Given(Times):
    """Times that nobody took."""

    def __init__(self, *times):
        self.given = rounds(*times)

    @property
    def times(self):
        return self.given

    @property
    def taken(self):
        return ()


def test_a_sum_adds_within_rounds():
    total = Sum([Given(1.0, 2.0, 9.0), Given(5.0, 1.0, 1.0)])
    assert total.times == rounds(6.0, 3.0, 10.0)
    assert total.median == 6.0  # the medians of the parts would give 3
    assert total.fastest == ""


def test_half_of_the_rounds_lie_between_the_quartiles():
    assert Given(5.0, 1.0, 2.0, 4.0, 3.0).quartiles == (2.0, 4.0)
    assert Given(5.0).quartiles == (5.0, 5.0)


def test_what_is_steady_rests_and_what_is_slow_waits_its_turn(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_SAMPLE_SECONDS", 0.0)
    generator = random.Random(0)

    def restless(seconds):
        return lambda: spin(seconds * generator.uniform(1, 3))()

    ours, quick, slow, sure = (
        Series({"": call}) for call in (restless(1e-4), restless(2e-4), restless(3e-3), spin(1e-4))
    )
    pairs = [(quick, ours), (slow, ours), (sure, sure)]
    interleave([ours, quick, slow, sure], pairs, seconds=0.5)
    taken = {name: len(one.times) for name, one in {"ours": ours, "quick": quick, "slow": slow, "sure": sure}.items()}
    assert taken["sure"] == MIN_ROUNDS
    assert MIN_ROUNDS < taken["slow"] < taken["quick"] / 4
    assert taken["ours"] >= taken["quick"]
    # Of two that wait, each has half of the time.
    assert slow.seconds < 0.7 * 0.5


def test_a_call_too_short_for_the_clock_is_repeated():
    series = Series({"": lambda: None}, settle=0.0)
    interleave([series], [], seconds=1e-9)
    assert series._ways[""]._repeats * series.median >= timing._SAMPLE_SECONDS / 4
    assert series.median < 1e-6
    assert 0 < timing.empty_call() < 1e-6
