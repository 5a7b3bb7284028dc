"""The metric on cases made by hand."""

import math

import ml_dtypes
import numpy as np
import pytest
from flint import arb, ctx

from normexp.verify.measure import Ruler, max_ulp, ulp_error

FORMATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
DIGITS = {np.float16: 10, ml_dtypes.bfloat16: 7, np.float32: 23, np.float64: 52}


@pytest.fixture(autouse=True)
def _bits():
    with ctx.workprec(200):
        yield


def two(exponent):
    return arb(2) ** exponent


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_unit_is_that_of_the_exact_value(dtype):
    got = np.array([1.0], dtype=dtype)
    unit = two(-DIGITS[dtype])
    assert max_ulp(got, arb(1)) == 0
    assert max_ulp(got, 1 + unit / 4) == 0.25
    assert max_ulp(got, 1 + unit * 3) == 3
    assert max_ulp(got, 1 - unit / 4) == 0.5  # below a power of two the unit is half as large
    assert max_ulp(-got, arb(-1) - unit / 8) == 0.125


@pytest.mark.parametrize("dtype", FORMATS)
def test_below_the_smallest_normal_number(dtype):
    info = ml_dtypes.finfo(dtype)
    tiny = two(int(info.minexp) - DIGITS[dtype])
    smallest = np.array([info.smallest_subnormal], dtype=dtype)
    assert max_ulp(smallest, tiny) == 0
    assert max_ulp(smallest, tiny * 5 / 4) == 0.25
    assert max_ulp(np.zeros(1, dtype=dtype), tiny / 3) == pytest.approx(1 / 3, rel=1e-15)
    assert max_ulp(smallest * dtype(3), tiny * 7 / 2) == 0.5
    assert max_ulp(smallest, arb(0)) == 1
    assert max_ulp(np.zeros(1, dtype=dtype), two(-100_000)) == 0


@pytest.mark.parametrize("dtype", FORMATS)
def test_overflow_is_the_next_value_after_the_largest(dtype):
    info = ml_dtypes.finfo(dtype)
    largest = np.array([info.max], dtype=dtype)
    infinite = np.array([math.inf], dtype=dtype)
    beyond = two(int(info.maxexp))
    unit = two(int(info.maxexp) - 1 - DIGITS[dtype])
    assert max_ulp(infinite, beyond - unit / 4) == 0.25
    assert max_ulp(largest, beyond - unit / 4) == 0.75
    assert max_ulp(infinite, beyond * 1000) == 0
    assert max_ulp(largest, beyond * 1000) == 1
    assert max_ulp(-infinite, -beyond) == 0
    assert max_ulp(infinite, -beyond) == 2 ** (DIGITS[dtype] + 2)
    assert max_ulp(infinite, arb(1)) > 2 ** DIGITS[dtype]


def test_special_values():
    nan, inf = math.nan, math.inf
    got = np.array([nan, nan, 0.0, inf, inf, -inf, 1.0], dtype=np.float32)
    exact = [arb.nan(), arb(1), arb.nan(), arb.pos_inf(), arb.neg_inf(), arb.neg_inf(), arb.pos_inf()]
    assert ulp_error(got, exact).tolist() == [0, inf, inf, 0, inf, 0, inf]


def test_more_digits_than_float64_has():
    """The part of the exact value that float64 cannot hold counts."""
    assert max_ulp(np.array([1.0]), 1 + two(-52) / 3) == pytest.approx(1 / 3, rel=1e-12)
    assert max_ulp(np.array([1e300]), arb(1e300) + two(944) / 3) == pytest.approx(1 / 3, rel=1e-12)


def test_every_shape_and_none():
    assert ulp_error(np.ones((2, 2), dtype=np.float32), [arb(1)] * 4).tolist() == [0, 0, 0, 0]
    assert max_ulp(np.float32(1), arb(1)) == 0
    assert max_ulp(np.empty(0, dtype=np.float32), []) == 0


def test_wrong_use():
    ruler = Ruler([arb(1)], np.dtype(np.float32))
    with pytest.raises(TypeError, match="float32, not float64"):
        ruler.errors(np.ones(1))
    with pytest.raises(ValueError, match="2 results for 1 exact"):
        ruler.errors(np.ones(2, dtype=np.float32))


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_rounded_value_is_within_half_a_unit(dtype):
    thirds = [arb(k) / 3 for k in range(1, 100)]
    got = np.array([k / 3 for k in range(1, 100)]).astype(dtype)
    errors = ulp_error(got, thirds)
    assert errors.max() <= 0.5
    assert errors.max() > 0.3
