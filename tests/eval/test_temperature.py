"""The best temperature, held against bisection in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import textbook

from normexp.eval import run as the_run
from normexp.eval.sums import evaluate as engine
from normexp.eval.temperature import HIGHEST, LOWEST, Expansion, minimize

# What is promised: T to 1e-4 of itself. The loss at the minimum is flat, so only its own error shows: 1e-7 of a nat is
# the rounding of a row's loss in float arithmetic, at the most.
T_CLOSE, LOSS_CLOSE = 1e-4, 1e-7


class Passes:
    """Expansions of arrays in memory, counted."""

    def __init__(self, logits, labels):
        self.logits, self.labels = logits, labels
        self.temperatures = []

    def __call__(self, temperature):
        self.temperatures.append(temperature)
        bad, sums = engine(self.logits, self.labels, None, temperature)
        assert bad == -1
        return Expansion.of(sums, temperature)


def right(fit, logits, labels):
    best = textbook.best_temperature(logits, labels)
    assert fit.bound is None
    assert fit.temperature == pytest.approx(best, rel=T_CLOSE)
    assert fit.loss == pytest.approx(textbook.loss_at(logits, labels, best), rel=1e-6, abs=LOSS_CLOSE)


DATA = [
    *(("gaussian", classes, size) for classes in (2, 10, 1000) for size in (1, 4, 10)),
    *(("noise", classes, size) for classes in (2, 10, 1000) for size in (1, 4)),
    *(("gap", 10, 4), ("gap", 1000, 4), ("gap", 1000, 10), ("gap", 20_000, 10), ("noise", 20_000, 4)),
]


@pytest.mark.parametrize("truth", [0.3, 0.8, 1.7])
@pytest.mark.parametrize(("kind", "classes", "size"), DATA)
def test_against_bisection(kind, classes, size, truth):
    rng = np.random.default_rng(classes)
    logits, labels = textbook.made(rng, kind, min(4000, 2_000_000 // classes), classes, size, truth)
    passes = Passes(logits, labels)
    if not textbook.slope_at(logits, labels, 1e-3) < 0 < textbook.slope_at(logits, labels, 1e3):
        pytest.skip("made without an error, or without a row that is right")
    right(minimize(passes, 1.0), logits, labels)
    assert len(passes.temperatures) <= 8


@pytest.mark.parametrize("factor", [0.95, 1.05])
@pytest.mark.parametrize(("kind", "classes", "size"), DATA)
def test_one_pass_is_enough_near_the_minimum(kind, classes, size, factor):
    """As what a sample of some hundred rows says is near; and however far the start, what is believed is right."""
    rng = np.random.default_rng(classes)
    logits, labels = textbook.made(rng, kind, min(4000, 2_000_000 // classes), classes, size, 0.8)
    passes = Passes(logits, labels)
    fit = minimize(passes, factor * textbook.best_temperature(logits, labels))
    right(fit, logits, labels)
    assert len(passes.temperatures) <= (2 if kind == "gap" else 1)


@pytest.mark.parametrize("start", [1e-6, 1e-3, 0.1, 0.5, 2, 10, 1e3, 1e6])
def test_any_start(start):
    logits, labels = textbook.made(np.random.default_rng(1), "noise", 1000, 100, 3)
    right(minimize(Passes(logits, labels), start), logits, labels)


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1e2, 1e4])
def test_any_scale(scale):
    """Temperatures are as large as logits are."""
    logits, labels = textbook.made(np.random.default_rng(2), "noise", 1000, 100, 3)
    before = minimize(Passes(logits, labels), 1.0)
    after = minimize(Passes((logits * scale).astype(np.float32), labels), 1.0)
    assert after.temperature == pytest.approx(before.temperature * scale, rel=T_CLOSE)
    assert after.loss == pytest.approx(before.loss, rel=1e-6)


def test_rows_that_are_all_right_have_no_best_temperature():
    logits, _ = textbook.made(np.random.default_rng(3), "noise", 200, 10, 3)
    passes = Passes(logits, logits.argmax(1))
    fit = minimize(passes, 1.0)
    assert (fit.temperature, fit.bound, fit.loss) == (LOWEST, "at most", 0)
    assert passes.temperatures == [1.0, LOWEST]
    # With ties on top, the loss falls to the logarithm of their number.
    logits[:, :] = [[3, 0, 3, 1, 2, 0, 0, 0, 0, 3]]
    assert minimize(Passes(logits, np.full(200, 2)), 1.0).loss == pytest.approx(math.log(3))


def test_rows_that_are_all_wrong_want_the_uniform_distribution():
    logits, _ = textbook.made(np.random.default_rng(4), "noise", 200, 10, 3)
    fit = minimize(Passes(logits, logits.argmin(1)), 1.0)
    assert (fit.temperature, fit.bound) == (HIGHEST, "at least")
    assert fit.loss == pytest.approx(math.log(10), rel=1e-5)


def test_equal_logits_do_not_matter():
    fit = minimize(Passes(np.zeros((20, 7), np.float32), np.arange(20) % 7), 1.0)
    assert fit.loss == pytest.approx(math.log(7))


def test_a_derivative_too_few_is_noticed():
    """Far from the minimum the polynomial is wrong, and is not believed."""
    logits, labels = textbook.made(np.random.default_rng(5), "noise", 1000, 100, 3)
    best = textbook.best_temperature(logits, labels)
    near, far = (Passes(logits, labels)(factor * best).minimum() for factor in (1.02, 1.5))
    assert far is None
    assert 1 / near[0] == pytest.approx(best, rel=T_CLOSE)


def save_sorted(rows, classes, by, truth=1.0):
    logits, labels = textbook.made(np.random.default_rng(6), "noise", rows, classes, 2, truth)
    order = np.argsort(by(logits, labels), kind="stable")
    logits, labels = logits[order], labels[order]
    np.save("x.npy", logits)
    np.save("t.npy", labels)
    np.savez("both.npz", logits=logits, labels=labels)
    return logits, labels


def counted(monkeypatch):
    """Count the passes over a file."""
    passes = []
    original = the_run._pass
    monkeypatch.setattr(the_run, "_pass", lambda *arguments: passes.append(1) or original(*arguments))
    return passes


@pytest.mark.parametrize("by", [lambda x, t: t, lambda x, t: x.max(1)], ids=["label", "largest"])
def test_a_sorted_file_is_read_once(evaluate, monkeypatch, by):
    monkeypatch.setattr(the_run, "_SAMPLE_BYTES", 200_000)
    logits, labels = save_sorted(20_000, 10, by)
    passes = counted(monkeypatch)
    got, _ = evaluate("x.npy", "t.npy")
    assert len(passes) == 1
    assert got["temperature"] == pytest.approx(textbook.best_temperature(logits, labels), rel=T_CLOSE)


@pytest.mark.parametrize("share", [0, 0.01, 0.1])
def test_labels_that_say_little_are_read_once_or_twice(evaluate, monkeypatch, share):
    """A sample of them has its best 1 / T anywhere near 0, on either side."""
    monkeypatch.setattr(the_run, "_SAMPLE_BYTES", 200_000)
    rng = np.random.default_rng(7)
    logits = (rng.standard_normal((2_000, 1_000)) * 3).astype(np.float32)
    labels = np.where(rng.random(2_000) < share, logits.argmax(1), rng.integers(1_000, size=2_000))
    np.save("x.npy", logits)
    np.save("t.npy", labels)
    passes = counted(monkeypatch)
    got, _ = evaluate("x.npy", "t.npy")
    assert len(passes) <= 2
    if textbook.slope_at(logits, labels, 1e-3) < 0:
        assert got["temperature"] == pytest.approx(textbook.best_temperature(logits, labels), rel=T_CLOSE)
    else:
        assert (got["temperature"], got["temperature_bound"]) == (HIGHEST, "at least")
    best = textbook.loss_at(logits, labels, got["temperature"])
    assert got["cross_entropy_at_temperature"] == pytest.approx(best, abs=LOSS_CLOSE)


def test_a_file_that_misleads_is_read_again(evaluate, monkeypatch):
    """An archive can only be read from its beginning, where the rows are the easy ones here."""
    monkeypatch.setattr(the_run, "_SAMPLE_BYTES", 40_000)
    logits, labels = save_sorted(5_000, 10, lambda x, t: x[np.arange(len(t)), t] < x.max(1), 0.4)
    passes = counted(monkeypatch)
    got, _ = evaluate("both.npz")
    assert 1 < len(passes) < 8
    assert got["temperature"] == pytest.approx(textbook.best_temperature(logits, labels), rel=T_CLOSE)
    best = textbook.loss_at(logits, labels, got["temperature"])
    assert got["cross_entropy_at_temperature"] == pytest.approx(best, rel=1e-6)
    assert got["cross_entropy"] == pytest.approx(textbook.loss_at(logits, labels, 1), rel=1e-6)
