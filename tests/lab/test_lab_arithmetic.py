"""The page's arithmetic in the browser that shows it: formats, rounding, exp and log to the last place, digits."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from flint import arb, ctx
from lab_calls import numbers, texts
from support import DTYPES

from normexp.verify.measure import Ruler

FORMATS = ["float16", "bfloat16", "float32", "float64"]
HALVES = ["float16", "bfloat16"]


def rounded(values, dtype):
    """To nearest, ties to even, by exact scaling; ml_dtypes goes to bfloat16 through float32, and rounds twice."""
    info = ml_dtypes.finfo(dtype)
    values = np.asarray(values, np.float64)
    _, exponent = np.frexp(values)
    unit = np.maximum(exponent - 1, info.minexp) - info.nmant
    with np.errstate(over="ignore", under="ignore"):
        result = np.ldexp(np.rint(np.ldexp(values, -unit)), unit)
    return np.where(np.abs(result) > float(info.max), np.copysign(np.inf, values), result)


def patterns(count, seed=0):
    """Numbers of float64 by random bits: all magnitudes, and among them numbers near ties of the narrower formats."""
    rng = np.random.default_rng(seed)
    everywhere = rng.integers(0, 2**64, count, np.uint64).view(np.float64)
    everywhere = everywhere[np.isfinite(everywhere)]
    near = np.ldexp(rng.integers(2**11, 2**12, count) + 0.5, rng.integers(-160, 120, count))
    near = np.concatenate([near, np.nextafter(near, 0), np.nextafter(near, np.inf)])
    narrow = np.ldexp(rng.standard_normal(count), rng.integers(-30, 18, count))
    return np.concatenate([everywhere, near, -near, narrow, [0.0, -0.0]])


def all_of(name):
    """All 65536 numbers of a format of 16 bits, in the order of their bits."""
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        return np.arange(2**16, dtype=np.uint16).view(DTYPES[name]).astype(np.float64)


@pytest.mark.parametrize("name", HALVES)
def test_all_numbers_of_the_half_types(lab, name):
    values = all_of(name)
    finite = ~np.isnan(values)
    np.testing.assert_array_equal(numbers(lab, name, values, "(F, v) => lab.round(F, v)"), values)
    bits = np.array([int(text, 16) for text in texts(lab, name, values, "(F, v) => lab.bits(F, v)")])
    np.testing.assert_array_equal(bits[finite], np.arange(2**16)[finite])
    assert set(bits[~finite]) == {0x7E00 if name == "float16" else 0x7FC0}
    states = texts(lab, name, values, "(F, v) => lab.state(F, v)")
    info = ml_dtypes.finfo(DTYPES[name])
    for value, state in zip(np.abs(values).tolist(), states, strict=True):
        normal = "normal" if value >= float(info.smallest_normal) else "subnormal"
        special = {0.0: "zero", math.inf: "inf"}.get(value, normal)
        assert state == ("nan" if math.isnan(value) else special)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_rounding(lab, name):
    values = patterns(8_000)
    got = numbers(lab, name, values, "(F, v) => lab.round(F, v)")
    expected = rounded(values, DTYPES[name])
    np.testing.assert_array_equal(got.view(np.uint64), expected.view(np.uint64))
    if name != "bfloat16":
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(expected, values.astype(DTYPES[name]).astype(np.float64))
    # The same from wide numbers: the other rounding, in whole numbers.
    again = numbers(lab, name, values, "(F, v) => lab.toFormat(F, lab.wide(v))")
    np.testing.assert_array_equal(again, expected)


def test_wide_numbers_give_float64_back(lab):
    values = np.concatenate([patterns(10_000), [5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]])
    np.testing.assert_array_equal(numbers(lab, "float64", values, "(F, v) => lab.toFormat(F, lab.wide(v))"), values)


def arguments(name, function):
    """Where the function has finite results, its ends, and where they are hard to round: next to 1."""
    rng = np.random.default_rng(7)
    info = ml_dtypes.finfo(DTYPES[name])
    if function == "exp":
        ends = np.array([math.log(float(info.smallest_subnormal)) - 1, math.log(float(info.max))])
        values = np.concatenate(
            [rng.uniform(*ends, 1200), ends, rng.standard_normal(300) * 1e-3, np.ldexp(1.0, -np.arange(1, 60))]
        )
    else:
        spread = np.ldexp(rng.uniform(1, 2, 1200), rng.integers(info.minexp - info.nmant, info.maxexp, 1200))
        values = np.concatenate(
            [
                spread,
                1 + rng.standard_normal(300) * 1e-3,
                1 + np.ldexp(1.0, -np.arange(1, 53)),
                1 - np.ldexp(1.0, -np.arange(1, 54)),
            ]
        )
    values = rounded(values, DTYPES[name])
    return values[np.isfinite(values) & ((values > 0) | (function == "exp"))]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("function", ["exp", "log"])
def test_exp_and_log_are_right_to_the_last_place(lab, name, function):
    values = arguments(name, function)
    got = numbers(lab, name, values, f"(F, v) => lab.operations(F).{function}(v)")
    with ctx.workprec(400):
        exact = [getattr(arb(v), function)() for v in values.tolist()]
    # An exact value is never halfway, but for exp(0) = 1 and log(1) = 0, so that half a unit is where right ends.
    errors = Ruler(exact, DTYPES[name]).errors(got.astype(DTYPES[name]))
    assert errors.max() <= 0.5
    assert errors.max() > 0.4  # something was rounded


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("function", ["exp", "log"])
def test_exp_and_log_of_all_numbers_of_the_half_types(lab, name, function):
    values = np.unique(all_of(name))
    values = values[np.isfinite(values)]
    values = values[(values > 0) if function == "log" else (values > -100) & (values < 100)][::7]
    got = numbers(lab, name, values, f"(F, v) => lab.operations(F).{function}(v)")
    exact = [getattr(arb(v), function)() for v in values.tolist()]
    assert Ruler(exact, DTYPES[name]).errors(got.astype(DTYPES[name])).max() <= 0.5


def test_log1p_keeps_its_digits(lab):
    values = np.concatenate(
        [np.ldexp(1.37, -np.arange(0, 1070, 7)), np.ldexp(1.0, -np.arange(18, 24)), [3.0, 1e9, 5e-324]]
    )
    got = numbers(lab, "float64", values, "(F, v) => lab.toFormat(F, lab.log1p(lab.wide(v)))")
    with ctx.workprec(2400):
        exact = [arb(v).log1p() for v in values.tolist()]
    assert Ruler(exact, np.dtype(np.float64)).errors(got).max() <= 0.5


def test_special_arguments(lab):
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0]
    np.testing.assert_array_equal(
        numbers(lab, "float32", values, "(F, v) => lab.operations(F).exp(v)")[:5], [np.nan, np.inf, 0, 1, 1]
    )
    np.testing.assert_array_equal(
        numbers(lab, "float32", values, "(F, v) => lab.operations(F).log(v)"),
        [np.nan, np.inf, np.nan, -np.inf, -np.inf, np.nan],
    )


@pytest.mark.parametrize("name", FORMATS)
def test_digits_are_the_shortest_that_give_the_number_back(lab, name):
    if name in HALVES:
        values = all_of(name)
        values = values[np.isfinite(values) & (values > 0)]
    else:
        values = np.abs(rounded(patterns(1500), DTYPES[name]))
        powers = np.ldexp(1.0, np.arange(ml_dtypes.finfo(DTYPES[name]).minexp - 20, 120))
        values = np.concatenate([values[np.isfinite(values) & (values > 0)], rounded(powers, DTYPES[name])])
        values = values[values > 0]
    said = texts(lab, name, values, "(F, v) => lab.shortest(F, v)")
    read = np.array([float(text) for text in said])
    np.testing.assert_array_equal(rounded(read, DTYPES[name]), values)
    shorter = []
    for value, text in zip(values.tolist(), said, strict=True):
        digits = len(text.partition("e")[0].replace(".", "").lstrip("0").rstrip("0"))
        if name == "float32":
            assert digits == len(
                np.format_float_scientific(np.float32(value), trim="-").partition("e")[0].replace(".", "")
            )
        elif name == "float64":
            assert float(text) == value
            assert digits <= len(repr(value).partition("e")[0].replace(".", "").lstrip("0").rstrip("0"))
        elif digits > 1:
            ten = 10.0 ** (math.floor(math.log10(value)) - digits + 2)
            for fewer in (math.floor(value / ten), math.ceil(value / ten)):
                shorter.append((float(f"{fewer}e{round(math.log10(ten))}"), value))
    if name in HALVES:
        tried, values = np.array(shorter).T
        assert (rounded(tried, DTYPES[name]) != values).all()


def test_digits_of_special_numbers(lab):
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 65504, 1e9, -0.0001, 120, 4.5e-5]
    expected = ["NaN", "inf", "-inf", "0", "-0", "65504", "1e9", "-0.0001", "120", "4.5e-5"]
    assert texts(lab, "float64", values, "(F, v) => lab.shortest(F, v)") == expected


@pytest.mark.parametrize(
    ("x", "expected"),
    [(-2000, "2.576535873e-869"), (1, "2.718281828"), (-1e9, "1e-434294482"), (700, "1.014232055e304")],
)
def test_digits_beyond_any_format(lab, x, expected):
    assert lab.evaluate("(x) => lab.approximate(lab.exp(lab.wide(x)), 10)", x) == expected


@pytest.mark.parametrize("name", FORMATS)
def test_errors_are_measured_as_by_verify(lab, name):
    rng = np.random.default_rng(3)
    info = ml_dtypes.finfo(DTYPES[name])
    ends = math.log(float(info.smallest_subnormal)) - 2, math.log(float(info.max)) + 2
    x = np.concatenate([rng.uniform(*ends, 400), [0.0, ends[1]]])
    with np.errstate(over="ignore"):
        got = rounded(np.exp(x) * (1 + rng.standard_normal(402) * float(info.eps) * 3), DTYPES[name])
    got[::50] = [np.nan, np.inf, 0, -np.inf, 1, np.inf, 0, 1, np.nan]
    table = dict(zip(x.tolist(), got.tolist(), strict=True))
    js = "([f, pairs]) => pairs.map(([x, v]) => lab.ulps(lab.FORMATS[f], v, lab.exp(lab.wide(x))))"
    errors = np.array(lab.evaluate(js, [name, [list(pair) for pair in table.items()]]))
    with ctx.workprec(300):
        expected = Ruler([arb(v).exp() for v in table], DTYPES[name]).errors(
            np.array(list(table.values())).astype(DTYPES[name])
        )
    np.testing.assert_allclose(errors, expected, rtol=1e-12, atol=1e-15)
