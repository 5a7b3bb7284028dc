"""The verdicts follow from the numbers: for normexp, without PyTorch, and for implementations that are wrong."""

import math

import numpy as np
import pytest
from flint import arb
from imposters import imposter

from normexp.verify import peers
from normexp.verify.claims import CLAIMS, Verdict
from normexp.verify.claims._trial import Claim, Trial, threshold

BY_ID = {claim.id: claim for claim in CLAIMS}

# What the article's wording comes to. A2's bound is a rounding error; all others are exact statements.
EXPECTED = {
    "A1": Verdict.REFINED,
    "A2": Verdict.WITHIN,
    "A3": Verdict.REFINED,
    "A4": Verdict.REFINED,
    "A5": Verdict.REFINED,
    "B1": Verdict.HOLDS,
    "B2": Verdict.HOLDS,
    "B3": Verdict.HOLDS,
    "B4": Verdict.REFINED,
    "B5": Verdict.HOLDS,
    "C1": Verdict.REFINED,
    "D1": Verdict.REFINED,
    "D2": Verdict.HOLDS,
}


def test_every_row_of_the_article():
    assert list(BY_ID) == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_verdict(name, ours, torch):
    result = BY_ID[name].judge(ours, torch)
    assert result.failures == []
    assert result.verdict == EXPECTED[name]
    assert bool(result.counterexamples) == (result.verdict is Verdict.REFINED)
    assert result.statement
    assert result.evidence
    assert all(one.torch != "missing" for one in result.evidence)


@pytest.mark.parametrize("name", EXPECTED)
def test_without_pytorch(name, ours):
    result = BY_ID[name].judge(ours, None)
    about_torch = name in ("A2", "D2")
    assert result.failures == []
    assert result.verdict == (Verdict.UNCHECKED if about_torch else EXPECTED[name])
    assert ("not checked: PyTorch is missing" in result.notes) == about_torch
    assert all(one.torch == "missing" for one in result.evidence)


def wrong_softmax(function, x, temperature):
    """Softmax is a thousandth too large; the rest is right."""
    values = peers.shifted(function, x.astype(np.float64))
    return values * 1.001 if function == "softmax" else values


def textbook_float32(function, x, temperature):
    """The textbook's form: loses log_softmax near 0."""
    return peers.shifted(function, x)


def no_shift(function, x, temperature):
    return peers.naive(x.astype(np.float64)) if function == "softmax" else peers.shifted(function, x)


@pytest.mark.parametrize(
    ("compute", "failing"),
    [
        (wrong_softmax, ["A1", "A2", "A3", "A4", "A5", "B3", "D1"]),
        (textbook_float32, ["C1"]),
        (no_shift, ["A1", "B1", "B2"]),
    ],
)
def test_a_wrong_implementation_fails(compute, failing, ours):
    with np.errstate(all="ignore"):
        verdicts = {name: BY_ID[name].judge(imposter(compute), None).verdict for name in failing}
    assert verdicts == dict.fromkeys(failing, Verdict.FAILS)


def test_an_implementation_that_raises_fails_and_the_rest_goes_on():
    def raises(function, x, temperature):
        raise RuntimeError("out of order")

    result = BY_ID["B1"].judge(peers.Implementation("normexp", "0", raises), None)
    assert result.verdict is Verdict.FAILS
    assert result.failures == ["the trial broke off: RuntimeError('out of order')"]


def judged(trial, ours):
    return Claim("X", "a claim", trial).judge(ours, None)


def test_the_order_of_verdicts(ours):
    def everything(t: Trial) -> str:
        t.bound = "1 ULP"
        t.refute("this", True)
        t.unchecked = "reason"
        t.require(False, "that")
        return "so"

    def without_failure(t: Trial) -> str:
        everything(t)
        t.failures.clear()
        return "so"

    def refuted(t: Trial) -> str:
        without_failure(t)
        t.unchecked = ""
        return "so"

    def within(t: Trial) -> str:
        t.bound = "1 ULP"
        t.refute("not confirmed", False)
        t.require(True, "fine")
        return "so"

    order = [judged(trial, ours).verdict for trial in (everything, without_failure, refuted, within, lambda t: "so")]
    assert order == [Verdict.FAILS, Verdict.UNCHECKED, Verdict.REFINED, Verdict.WITHIN, Verdict.HOLDS]
    assert judged(within, ours).bound == "1 ULP"


def test_wrong_figures_are_counterexamples(ours):
    trial = Trial(ours, None)
    trial.figures([0.25, 0.33], [arb("0.25"), arb(1) / 3], 2)
    assert trial.verdict is Verdict.HOLDS
    trial.figures([0.34], [arb(1) / 3], 2)
    assert trial.counterexamples == ["the article prints 0.34, the exact value is 0.3333"]


def test_threshold_is_the_first_number():
    for dtype in (np.float16, np.float32, np.float64):
        assert threshold(lambda x: x >= 2.5, 1, 100, dtype) == 2.5
        assert threshold(lambda x: x > 2.5, 1, 100, dtype) == np.nextafter(dtype(2.5), dtype(math.inf))
