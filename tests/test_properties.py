"""Laws that hold for every row, as far as rounding lets them; each bound follows from the accuracy contract."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from support import APART, BOUND, DTYPES, FUNCTIONS, LONG_EPS, MAPS, assert_same_bits, eps, floats_apart, smallest

import normexp

kinds = st.sampled_from(sorted(DTYPES))
maps = st.sampled_from(sorted(MAPS))
functions = st.sampled_from(sorted(FUNCTIONS))


@st.composite
def rows(draw: st.DrawFn, low: float = -1e4, high: float = 1e4, max_size: int = 150) -> np.ndarray:
    """One row in any dtype: chosen numbers repeated and shuffled, so that there are ties and many lengths."""
    dtype = DTYPES[draw(kinds)]
    chosen = draw(st.lists(st.floats(low, high) | st.floats(-3, 3), min_size=1, max_size=20))
    length = draw(st.integers(1, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.choice(np.array(chosen), length).astype(dtype)


def wide(array: np.ndarray) -> np.ndarray:
    """In long double, where the bounds below are computed."""
    return np.asarray(array).astype(np.longdouble)


def unit(array: np.ndarray) -> np.ndarray:
    """At least one unit in the last place of the exact value, given the rounded one.

    A unit is at most eps times the exact value, or the smallest subnormal number; 1.01 pays for the difference between
    rounded and exact, half of bfloat16's eps of 2^-7 at most.
    """
    dtype = np.asarray(array).dtype
    return 1.01 * eps(dtype) * np.abs(wide(array)) + smallest(dtype)


@given(name=maps, dtype=kinds, seed=st.integers(0, 2**16), length=st.integers(1, 150), shift=st.integers(-8, 8))
def test_shift_invariance(name: str, dtype: str, seed: int, length: int, shift: int) -> None:
    # Eighths below 4, shifted by up to 8, need 7 bits: exact even in the 8 bits of bfloat16.
    x = np.random.default_rng(seed).integers(-32, 33, length) / 8
    assert (x.astype(DTYPES[dtype]) == x).all()
    assert ((x + shift).astype(DTYPES[dtype]) == x + shift).all()
    plain, shifted = (FUNCTIONS[name](row.astype(DTYPES[dtype])) for row in (x, x + shift))
    assert floats_apart(plain, shifted) <= APART[dtype]


@given(dtype=kinds, seed=st.integers(0, 2**16), length=st.integers(1, 150), shift=st.integers(1, 8))
def test_logsumexp_shifts_along(dtype: str, seed: int, length: int, shift: int) -> None:
    x = np.abs(np.random.default_rng(seed).integers(-32, 33, length) / 8)
    plain, shifted = (normexp.logsumexp(row.astype(DTYPES[dtype])) for row in (x, x + shift))
    # Each is off by BOUND of its own units, the shift is exact.
    assert abs(wide(shifted) - wide(plain) - shift) <= BOUND[dtype] * (unit(shifted) + unit(plain))


@given(x=rows())
def test_softmax_sums_to_one(x: np.ndarray) -> None:
    p = normexp.softmax(x)
    assert ((p >= 0) & (p <= 1)).all()
    # Each p_i is off by BOUND units, a unit being at most eps p_i or the smallest subnormal number. The exact p_i sum
    # to 1, so that all units together are at most eps, however long the row is. fsum rounds once, to float64.
    bound = BOUND[x.dtype.name] * (eps(x.dtype) + x.size * smallest(x.dtype)) + 2**-53
    assert abs(math.fsum(p.astype(float)) - 1) <= bound


def test_four_million_sum_to_one() -> None:
    x = (np.random.default_rng(0).standard_normal(4_000_000) * 3).astype(np.float32)
    # As above: half a unit of 1 is allowed. PyTorch 2.13 is some 4000 units off.
    total = math.fsum(normexp.softmax(x).astype(float))
    assert abs(total - 1) <= BOUND["float32"] * eps(x.dtype)


@given(x=rows())
def test_ties_share_and_order_is_kept(x: np.ndarray) -> None:
    order = np.argsort(x, kind="stable")
    x = x[order]
    tied = x[1:] == x[:-1]
    for name, result in ((name, FUNCTIONS[name](x)) for name in MAPS):
        result = result[::-1] if name == "softmin" else result
        equal = tied[::-1] if name == "softmin" else tied
        falls = np.maximum(wide(result[:-1]) - wide(result[1:]), 0)
        assert (falls[equal] == 0).all(), "equal numbers, different results"
        # Rounding is monotone, and float64 lanes resolve far finer steps than narrower dtypes have: with but that one
        # rounding (BOUND 0.51) no fall at all. Otherwise both of a pair may be BOUND units off.
        bound = BOUND[x.dtype.name]
        allowed = 2 * bound * unit(result[1:]) if bound > 0.51 else 0
        assert (falls <= allowed).all(), name


@given(x=rows(-80, 80))
def test_softmax_is_exp_of_log_softmax(x: np.ndarray) -> None:
    p, log_p = normexp.softmax(x), normexp.log_softmax(x)
    bound = BOUND[x.dtype.name]
    # An error of d in log p is one of exp(log p) (e^d - 1) in p; exp in long double adds a unit or two of its own.
    allowed = bound * unit(p) + np.exp(wide(log_p)) * (np.expm1(bound * unit(log_p)) + 2 * LONG_EPS)
    assert (np.abs(wide(p) - np.exp(wide(log_p))) <= allowed).all()


@given(x=rows())
def test_log_softmax_is_the_difference_from_logsumexp(x: np.ndarray) -> None:
    log_p, total = normexp.log_softmax(x), normexp.logsumexp(x)
    # Both are off by BOUND of their units; x itself is exact, and its difference from the total rounded once.
    allowed = BOUND[x.dtype.name] * (unit(log_p) + unit(total)) + LONG_EPS * (np.abs(wide(x)) + np.abs(wide(total)))
    assert (np.abs(wide(x) - wide(total) - wide(log_p)) <= allowed).all()


@given(x=rows())
def test_softmin_is_softmax_of_the_negative(x: np.ndarray) -> None:
    assert_same_bits(normexp.softmin(x), normexp.softmax(-x))
    assert_same_bits(normexp.softmin(x, temperature=0.7), normexp.softmax(-x, temperature=0.7))


@given(x=rows(), name=maps)
def test_temperature_one_is_none(x: np.ndarray, name: str) -> None:
    assert_same_bits(FUNCTIONS[name](x, temperature=1.0), FUNCTIONS[name](x))


@given(x=rows(-1e3, 1e3), name=maps, power=st.integers(-3, 3))
def test_temperature_divides(x: np.ndarray, name: str, power: int) -> None:
    scaled = x * np.array(2.0**-power, dtype=x.dtype)
    assume((scaled.astype(float) * 2.0**power == x.astype(float)).all())  # no number became subnormal
    assert floats_apart(FUNCTIONS[name](x, temperature=2.0**power), FUNCTIONS[name](scaled)) <= APART[x.dtype.name]


@given(x=rows(), name=functions, seed=st.integers(0, 2**16))
def test_permutation(x: np.ndarray, name: str, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(x.size)
    result = np.asarray(FUNCTIONS[name](x))
    permuted = np.asarray(FUNCTIONS[name](x[order]))
    assert floats_apart(result if name == "logsumexp" else result[order], permuted) <= APART[x.dtype.name]


@given(x=rows())
def test_logsumexp_lies_between_max_and_max_plus_log_n(x: np.ndarray) -> None:
    total = wide(normexp.logsumexp(x))
    # The maximum is itself a number of the dtype: rounding a larger value cannot go below it.
    assert total >= wide(x.max())
    assert total <= wide(x.max()) + np.log(np.longdouble(x.size)) + BOUND[x.dtype.name] * unit(normexp.logsumexp(x))


@given(x=rows(), name=functions)
def test_minus_infinity_adds_nothing(x: np.ndarray, name: str) -> None:
    assume(name != "softmin")
    longer = np.append(x, np.array(-np.inf, dtype=x.dtype))
    result = np.asarray(FUNCTIONS[name](longer))
    assert (
        floats_apart(result if name == "logsumexp" else result[:-1], np.asarray(FUNCTIONS[name](x)))
        <= APART[x.dtype.name]
    )


@given(x=rows(), name=functions, seed=st.integers(0, 2**16))
def test_mask_is_leaving_out(x: np.ndarray, name: str, seed: int) -> None:
    mask = np.random.default_rng(seed).random(x.size) < 0.5
    assume(mask.any())
    result = np.asarray(FUNCTIONS[name](x, where=mask))
    left = np.asarray(FUNCTIONS[name](x[mask]))
    assert floats_apart(result if name == "logsumexp" else result[mask], left) <= APART[x.dtype.name]


@given(x=rows())
def test_it_is_deterministic(x: np.ndarray) -> None:
    for function in FUNCTIONS.values():
        assert_same_bits(np.asarray(function(x)), np.asarray(function(x.copy())))
