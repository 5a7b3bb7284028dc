import math

import pytest
from flint import arb, ctx

from normexp.verify import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (arb(0), "0"),
        (arb(1), "1"),
        (arb("0.25"), "0.25"),
        (-arb(120000), "-1.2e+05"),
        (arb("2.0611536e-9"), "2.061e-09"),
        (arb(1) - arb("4.5e-5"), "1 - 4.5e-05"),
        (arb.nan(), "nan"),
        (arb.neg_inf(), "-inf"),
        (arb(-1000).exp(), "5.076e-435"),
    ],
)
def test_exact(value, text):
    assert words.exact(value) == text


def test_hardly_below_one_needs_the_digits_to_tell():
    with ctx.workprec(128):
        assert words.exact(arb(1) - arb(2) ** -100) == "1 - 7.889e-31"
        assert words.exact(arb(1) - arb(2) ** -200) == "1"


def test_numbers():
    assert words.numbers([0.1145, math.nan, arb("0.5")]) == "[0.1145, nan, 0.5]"
    assert words.numbers(range(10)) == "[0, 1, 2, ..., 8, 9]"
    assert words.numbers([]) == "[]"


@pytest.mark.parametrize(
    ("error", "text"),
    [(None, "-"), (0.5, "0.50"), (33.81, "33.81"), (1.66e7, "1.7e+07"), (3e30, "3e+30"), (math.inf, "wrong")],
)
def test_ulp(error, text):
    assert words.ulp(error) == text


def test_plural():
    assert words.plural(1, "claim") == "1 claim"
    assert words.plural(1207, "cell") == "1,207 cells"
