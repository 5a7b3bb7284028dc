"""What a guarded step costs, counted and not timed: looks at losses, and calls of Python functions of guard's."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch
import torch.nn.functional as F
from torch import nn

import normexp.guard
import normexp.torch as nxt
from normexp.guard import pace, watch

GUARD = str(Path(normexp.guard.__file__).parent)
STEP = 0.28e-3  # seconds of a step of a small network
STEPS = 200


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes by steps, so that what is counted does not depend on the machine."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(pace, "perf_counter", lambda: Clock.now)
    return Clock


@pytest.fixture
def looks(monkeypatch):
    """Counts of the looks at losses, close ones and glances."""
    counted: Counter[str] = Counter()
    for name in ("_look_closely", "_glance", "_first_backward"):
        real = getattr(watch.Watch, name)

        def counting(*args, _name=name, _real=real):
            counted[_name] += 1
            return _real(*args)

        monkeypatch.setattr(watch.Watch, name, counting)
    return counted


def trainer(clock, seconds=STEP):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y, criterion = torch.randn(8, 64), torch.arange(8), nn.CrossEntropyLoss()

    def train(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
            clock.now += seconds

    return train


def test_short_steps_are_looked_at_now_and_then(clock, looks):
    train = trainer(clock)
    with nxt.guard():
        train(STEPS)
    assert looks["_look_closely"] == 5
    assert looks["_first_backward"] == 2
    assert 8 <= looks["_glance"] <= 12  # one in 21 of 195, and the two by which the clock is set


def test_long_steps_are_looked_at_each_time(clock, looks):
    train = trainer(clock, 4e-3)
    with nxt.guard():
        train(50)
    assert looks["_glance"] == 45


def test_a_steady_step_calls_two_functions_of_ours(clock):
    train, calls = trainer(clock), Counter()

    def count(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(GUARD):
            calls[frame.f_code.co_name] += 1

    with nxt.guard():
        train(20)
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            train(STEPS)
        finally:
            sys.setprofile(before)
    assert calls["tapped"] == calls["backward"] == STEPS
    # 10 looks of some ten calls each: line, site, value, pace.
    assert sum(calls.values()) - 2 * STEPS <= 10 * 15


def test_an_evaluation_is_seen_whatever_the_training_rests(clock, looks):
    train = trainer(clock)
    with nxt.guard(tell=lambda finding: None) as watched:
        train(30)  # amid the rests
        assert watched.findings == []
        seen = looks["_look_closely"]
        with torch.no_grad():
            F.cross_entropy(torch.randn(8, 10).softmax(1), torch.arange(8))
    assert looks["_look_closely"] == seen + 1
    assert [one.kind.name for one in watched.findings] == ["double-softmax"]


def test_a_line_that_stays_open_does_not_cost_every_step_a_look(clock, looks):
    train = trainer(clock)
    with nxt.guard():
        with torch.no_grad():
            for _ in range(2):  # as a training begins that first tries out its evaluation
                F.cross_entropy(torch.randn(8, 10), torch.arange(8))
        train(STEPS)
    assert looks["_glance"] <= 45


def test_logits_are_looked_at_for_what_they_are_once(monkeypatch):
    from normexp.guard import losses

    seen, real = [], losses.look
    monkeypatch.setattr(losses, "look", lambda *args, **options: (seen.append(args), real(*args, **options))[1])
    with nxt.guard():
        for _ in range(5):
            F.cross_entropy(torch.randn(8, 10), torch.arange(8))
    assert len(seen) == 1


def test_a_loss_under_no_grad_rests_like_any(clock, looks):
    with nxt.guard(), torch.no_grad():
        for _ in range(STEPS):
            F.cross_entropy(torch.randn(8, 10), torch.arange(8))
            clock.now += STEP
    assert looks["_look_closely"] == 5
    assert looks["_glance"] <= 12
