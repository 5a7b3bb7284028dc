"""The oracle against mpmath in 400 digits, where a float64 reference would be no judge."""

import math

import ml_dtypes
import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from normexp.verify import oracle

RNG = np.random.default_rng(20)

ROWS = {
    "plain": RNG.normal(size=50),
    "wide": RNG.normal(size=50) * 300,
    "offset": RNG.normal(size=50) + 1e6,
    "confident": np.array([20.0, 0.0]),
    "ties": np.array([1.0, 1.0, 1.0, -3.0, -3.0]),
    "one": np.array([-7.25]),
    "masked": np.array([0.5, -math.inf, 2.0]),
    "subnormal results": np.array([0.0, -708.5, -744.0, -745.2, -800.0]),
    "largest numbers": np.array([1.7e308, -1.7e308, 1.69e308]),
    "float16": RNG.normal(size=30).astype(np.float16),
    "bfloat16": RNG.normal(size=30).astype(ml_dtypes.bfloat16),
    "float32": RNG.normal(size=30).astype(np.float32),
    "integers": np.array([3, 1, 200], dtype=np.uint8),
}


@pytest.fixture(autouse=True)
def _digits():
    with mpmath.workdps(400), ctx.workprec(1400):
        yield


def numbers(row):
    return [mpmath.mpf(float(v)) for v in row]


def mp_logsumexp(xs):
    return mpmath.log(mpmath.fsum(mpmath.exp(x) for x in xs))


def mp_softmax(xs):
    top = max(xs)
    weights = [mpmath.exp(x - top) for x in xs]
    total = mpmath.fsum(weights)
    return [w / total for w in weights]


def encloses(value: arb, expected: mpmath.mpf) -> bool:
    """The 400-digit value lies in the enclosure, and the enclosure is narrow."""
    if mpmath.isinf(expected):
        return not value.is_finite() and float(value) == float(expected)
    sign, mantissa, exponent, _ = expected._mpf_
    point = arb(int(mantissa)) * arb(2) ** int(exponent) * (-1) ** sign
    near = (value - point).abs_upper() <= 2 * value.rad() + abs(point) * arb(2) ** -120 + arb(2) ** -1101
    return bool(near) and (value.rel_accuracy_bits() >= 80 or bool(value.abs_upper() < arb(2) ** -1101))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("temperature", [1.0, 0.1, 37.0])
def test_agrees_with_mpmath(name, temperature):
    row = ROWS[name]
    xs = [x / mpmath.mpf(temperature) for x in numbers(row)]
    for got, expected in zip(oracle.softmax(row, temperature), mp_softmax(xs), strict=True):
        assert encloses(got, expected)
    for got, expected in zip(
        oracle.softmin(row[np.isfinite(row)], temperature),
        mp_softmax([-x for x in xs if mpmath.isfinite(x)]),
        strict=True,
    ):
        assert encloses(got, expected)
    lse = max(xs) + mp_logsumexp([x - max(xs) for x in xs])
    for got, x in zip(oracle.log_softmax(row, temperature), xs, strict=True):
        assert encloses(got, x - lse) or abs(x - lse) < mpmath.mpf(2) ** -1100


@pytest.mark.parametrize("name", ROWS)
def test_logsumexp_agrees_with_mpmath(name):
    xs = numbers(ROWS[name])
    assert encloses(oracle.logsumexp(ROWS[name]), max(xs) + mp_logsumexp([x - max(xs) for x in xs]))


def test_logsumexp_of_a_row_with_a_temperature():
    xs = [x / mpmath.mpf(0.1) for x in numbers(ROWS["plain"])]
    assert encloses(oracle.Row(ROWS["plain"], 0.1).logsumexp(), mp_logsumexp(xs))


@pytest.mark.parametrize("bits", [20, 45, 53, 60])
def test_logsumexp_that_cancels(bits):
    """m = -log(1 + exp(m' - m)) to the last bit of float64, and beyond it with a third, tiny term."""
    a = math.log(0.5)
    row = np.array([a, a, a - bits * math.log(2) - 40])
    for x in (row[:2], row):
        assert encloses(oracle.logsumexp(x), mp_logsumexp(numbers(x)))


def test_logsumexp_beyond_the_first_precision(monkeypatch):
    """Where the first precision sees nothing but cancellation, the enclosure is narrowed all the same."""
    row = np.array([math.log(0.5)] * 2)
    expected = mp_logsumexp(numbers(row))
    monkeypatch.setattr(oracle, "_START_BITS", 20)
    assert encloses(oracle.logsumexp(row), expected)


def test_positions_choose_values_of_the_whole_row():
    row = RNG.normal(size=1000)
    whole = oracle.softmax(row)
    some = oracle.softmax(row, positions=[999, 3, 3])
    assert [str(v) for v in some] == [str(whole[i]) for i in (999, 3, 3)]
    assert str(oracle.log_softmax(row, positions=[5])[0]) == str(oracle.log_softmax(row)[5])


def test_the_sum_over_a_million_elements_is_exact():
    row = np.resize(np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32), 1_000_000)
    one = mpmath.mpf(1) / (250_000 * mpmath.fsum(mpmath.exp(k) for k in range(4)))
    assert encloses(oracle.softmax(row, positions=[0])[0], one)


def floats(values):
    return [float(v) for v in values]


def test_special_values():
    inf, nan = math.inf, math.nan
    for row in ([-inf, -inf], [inf, 0.0], [nan, 0.0], [nan, -inf], [inf, nan]):
        for function in (oracle.softmax, oracle.log_softmax):
            assert np.isnan(floats(function(row))).all()
    assert floats(oracle.softmax([0.0, -inf])) == [1.0, 0.0]
    assert floats(oracle.log_softmax([0.0, -inf])) == [0.0, -inf]
    assert floats(oracle.softmin([0.0, inf])) == [1.0, 0.0]
    assert float(oracle.logsumexp([-inf, -inf])) == -inf
    assert float(oracle.logsumexp([])) == -inf
    assert float(oracle.logsumexp([inf, 0.0, -inf])) == inf
    assert math.isnan(float(oracle.logsumexp([inf, nan])))
    assert float(oracle.logsumexp([-inf, 3.0])) == 3.0
    assert oracle.softmax([]) == []


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_bad_temperature(temperature):
    with pytest.raises(ValueError, match="positive, finite"):
        oracle.softmax([1.0], temperature)


def test_only_rows():
    with pytest.raises(ValueError, match=r"one dimension.*\(2, 2\)"):
        oracle.softmax(np.zeros((2, 2)))
