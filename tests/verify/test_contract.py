"""The special values, and that a wrong answer to one of them is noticed."""

import math

import numpy as np
import pytest
from imposters import imposter

from normexp.verify import losses, peers
from normexp.verify.contract import SPECIALS, Special, check

NAN = math.nan


@pytest.mark.parametrize("special", SPECIALS, ids=lambda special: special.title)
def test_normexp_gives_what_it_promises(special, ours):
    result = check(special, ours, [])
    assert result.passed, result.failure


WRONG = {
    "zeros for a row of nothing": lambda function, x, t: np.nan_to_num(peers.shifted(function, x)),
    "a NaN dropped": lambda function, x, t: peers.shifted(function, np.where(np.isnan(x), -np.inf, x)),
    "a masked entry that counts": lambda function, x, t: peers.shifted(function, np.where(np.isneginf(x), -9.0, x)),
    "one-hot for +inf": lambda function, x, t: np.where(np.isposinf(x), 1.0, 0.0),
}


# The first row, by its title, that each of them gets wrong.
CAUGHT = {
    "zeros for a row of nothing": "softmax([-inf, -inf])",
    "a NaN dropped": "softmax([nan, -inf, 0])",
    "a masked entry that counts": "softmax([0, -inf])",
    "one-hot for +inf": "softmax([inf, 0])",
}


def loss_of(change):
    """normexp's own losses, with one thing done wrong to what it is asked."""

    def compute(function, x, target, **options):
        return losses.ours(*change(function, x, target), **options)

    return imposter(lambda function, x, t: peers.shifted(function, x), compute)


@pytest.mark.parametrize(
    ("change", "caught"),
    [
        (lambda f, x, t: (f, np.nan_to_num(x, nan=0.0), t), "cross_entropy([nan, 0], 1)"),
        (lambda f, x, t: (f, x, np.maximum(t, 0) if t.dtype.kind == "i" else t), "cross_entropy([nan, inf], -100)"),
        (lambda f, x, t: (f, np.maximum(x, -60000), t), "cross_entropy([5, -inf], 0, label_smoothing=0.1)"),
        (lambda f, x, t: (f, x, t + t.dtype.type(t.dtype.kind == "f")), "cross_entropy([5, -inf], [1.0, 0.0])"),
    ],
)
def test_wrong_losses_are_noticed(change, caught):
    special = next(one for one in SPECIALS if one.title == caught)
    assert not check(special, loss_of(change), []).passed
    assert check(special, loss_of(lambda *given: given), []).passed


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_noticed(name):
    special = next(one for one in SPECIALS if one.title == CAUGHT[name])
    result = check(special, imposter(WRONG[name]), [])
    assert not result.passed
    assert f"{special.title}, float32: float32 [" in result.failure


def test_a_wrong_value_of_integers_is_noticed():
    special = next(one for one in SPECIALS if one.dtype == "uint8")
    slightly = peers.Implementation(
        "normexp", "0", lambda function, x, t: peers.shifted(function, x.astype(float)) * (1 + 1e-12)
    )
    assert not check(special, slightly, []).passed


def test_a_wrong_dtype_is_noticed():
    wrong = peers.Implementation("normexp", "0", lambda function, x, t: np.array([NAN, NAN]))
    special = Special("softmax", [-math.inf, -math.inf], [NAN, NAN])
    assert check(special, wrong, []).failure.startswith("softmax([-inf, -inf]), float32: float64")


def test_what_the_others_make_of_it(ours):
    def raises(function, x, temperature):
        raise NotImplementedError

    def refuses(function, x, temperature):
        raise peers.UnsupportedError

    textbook = peers.Implementation("textbook", "0", lambda function, x, t: peers.shifted(function, x))
    others = [
        textbook,
        peers.Implementation("raises", "0", raises),
        peers.Implementation("refuses", "0", refuses),
    ]
    unsigned = next(special for special in SPECIALS if special.dtype == "uint8")
    result = check(unsigned, ours, others)
    assert result.got == {
        "normexp": "[0.2447, 0.6652, 0.09003]",
        "textbook": "[nan, 0, nan]",
        "raises": "raises NotImplementedError",
        "refuses": "-",
    }
    masked = next(special for special in SPECIALS if special.arguments)
    assert check(masked, ours, others).got["textbook"] == "-"
