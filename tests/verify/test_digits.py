"""The real case: normexp passes it, the textbook's form loses rows."""

import numpy as np
import pytest

from normexp.verify import digits, peers


@pytest.fixture(scope="module")
def logits():
    return digits.logits()


@pytest.fixture(autouse=True)
def _train_once(logits, monkeypatch):
    monkeypatch.setattr(digits, "logits", lambda: logits)


def test_the_network_has_learnt(logits):
    images, labels = digits.load()
    assert images.shape == (1797, 64)
    assert images.min() == 0
    assert images.max() == 1
    assert logits.dtype == np.float32
    assert logits.shape == (1797, 10)
    assert (logits.argmax(axis=1) == labels).mean() > 0.98


def test_normexp_keeps_every_row(ours, textbook):
    other = peers.Implementation("textbook", "0", textbook.compute, textbook.compute_loss)
    case = digits.run([ours, other])
    assert case.passed
    assert case.scores["normexp"].zeros == 0
    assert case.scores["normexp"].mean == pytest.approx(case.exact_mean, rel=1e-7)
    # log(1 + rest) is 0 in float32 for every row whose rest is below 2^-24, a gap of 16.6.
    assert case.scores["textbook"].zeros > 50
    assert case.scores["textbook"].max_ulp > 1e6


def test_an_implementation_that_loses_rows_fails(textbook):
    assert not digits.run([textbook]).passed


def test_one_that_does_not_offer_it_is_left_out(ours):
    def refuses(function, x, temperature):
        raise peers.UnsupportedError

    case = digits.run([ours, peers.Implementation("refuses", "0", refuses)])
    assert list(case.scores) == ["normexp"]
