"""The engine's constants are those that tools/minimax.py finds, and its polynomials are as good as it says of them."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import minimax
import numpy as np
import pytest
from mpmath import exp, factorial, floor, log, mp, mpf, polyval, sqrt

CSRC = Path(__file__).parent.parent / "csrc"
SOURCE = "\n".join(path.read_text() for path in sorted(CSRC.glob("*.?pp")))
HEXADECIMAL = re.compile(r"-?0x[0-9a-f.]+(?:p[+-]?\d+)?", re.IGNORECASE)

EXP_REACH = float(log(2) / 2 * mpf("1.0001"))  # what rounding d log2(e) may add to half of ln 2 is far less
SINGLE_REACH = 0.0226  # of ln 2 / 32, and more: csrc/single.hpp
STEP_REACH = 0.0218  # of ln 2 / 32, and a little more: csrc/steps.hpp
LOG_REACH = float((sqrt(2) - 1) / (sqrt(2) + 1))


def words(name: str, kind: str = "double") -> list[str]:
    """The hexadecimal numbers that the constant of this name and type is made of."""
    found = re.search(rf"constexpr {kind} {name}(?:\[\w*\])* = (.*?);", SOURCE, re.DOTALL)
    assert found, name
    return HEXADECIMAL.findall(found[1])


def constants(name: str) -> list[float]:
    return [float.fromhex(word) for word in words(name)]


def constant(name: str) -> float:
    (value,) = constants(name)
    return value


def claims(name: str) -> tuple[float, float]:
    """The two powers of 2 in the comment above a polynomial: the error as found, and with the coefficients rounded."""
    comment = re.search(rf"((?://[^\n]*\n)+)constexpr double {name}\[\]", SOURCE)
    assert comment, name
    first, *rest = re.findall(r"2\^-(\d+(?:\.\d)?)", comment[1])
    return float(first), float(rest[-1] if rest else first)


def exp_error(exact_terms: int, coefficients: list[float], r: mpf) -> mpf:
    """Relative error, for exp(r), of the series' first terms, one or two, and the polynomial times the next power."""
    first = 1 if exact_terms == 1 else 1 + r
    return (first + r**exact_terms * polyval(coefficients[::-1], r)) / exp(r) - 1


def exp2_error(coefficients: list[float], r: mpf) -> mpf:
    """Relative error, for 2^r, of 1 and the polynomial times r."""
    return (1 + r * polyval(coefficients[::-1], r)) / mpf(2) ** r - 1


def log_error(coefficients: list[float], s: mpf) -> mpf:
    """Relative error, for log((1 + s) / (1 - s)), of 2 s and the polynomial in s^2 times s^3."""
    approximate = 2 * s + s**3 * polyval(coefficients[::-1], s * s)
    return approximate / log((1 + s) / (1 - s)) - 1 if s else mpf(0)


# Where each is found, its error, how far its argument reaches, and what its coefficients are rounded to when used.
POLYNOMIALS = {
    "narrow_coefficients": (minimax.exp_narrow, partial(exp_error, 1), EXP_REACH, np.float64),
    "wide_coefficients": (minimax.exp_wide, partial(exp_error, 2), EXP_REACH, np.float64),
    "single_coefficients": (minimax.exp_single, partial(exp_error, 2), SINGLE_REACH, np.float32),
    "brief_coefficients": (minimax.exp_brief, partial(exp_error, 1), SINGLE_REACH, np.float32),
    "step_coefficients": (minimax.exp_step, partial(exp_error, 2), STEP_REACH, np.float64),
    "rough_coefficients": (minimax.exp2_rough, exp2_error, 0.5, np.float32),
    "atanh_coefficients": (minimax.log_tail, log_error, LOG_REACH, np.float64),
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomial(name: str) -> None:
    find, error, reach, used_as = POLYNOMIALS[name]
    found, least = find()
    assert constants(name) == [float(c) for c in found]
    coefficients = [float(used_as(c)) for c in constants(name)]
    worst = max(abs(error(coefficients, reach * mpf(k) / 500)) for k in range(-500, 501))
    # A claim has one decimal, so it is within 1/20; the grid of arguments misses the very peaks by less than as much.
    as_found, as_used = claims(name)
    assert float(-log(least, 2)) == pytest.approx(as_found, abs=0.1)
    assert float(-log(worst, 2)) == pytest.approx(as_used, abs=0.1)


def test_inverse_factorials() -> None:
    pairs = constants("factorial_inverses")
    assert list(zip(pairs[::2], pairs[1::2], strict=True)) == minimax.exp_exact()
    # The first term left out.
    assert log(EXP_REACH**25 / factorial(25), 2) < -121


def test_logarithms_of_two() -> None:
    assert [constant(f"ln2_{word}") for word in ("first", "second", "third")] == list(minimax.ln2_words())
    assert constant("ln2") == float(log(2))
    assert constant("log2_e") == float(1 / log(2))
    # 40 bits each, so that products with |n| < 2^13 have no more than 53.
    for word in ("first", "second"):
        numerator, _ = constant(f"ln2_{word}").as_integer_ratio()
        assert numerator.bit_length() <= 40


def test_constants_in_floats() -> None:
    assert constant("single_per_unit") == minimax.nearest_float(16 / log(2))
    first, second = constant("single_step_first"), constant("single_step_second")
    assert first == minimax.nearest_float(log(2) / 16)
    assert second == minimax.nearest_float(log(2) / 16 - mpf(first))
    # x - m * first is a multiple of 2^-29 where m is not 0: first is one, and so is every float x beyond ln 2 / 32.
    assert (first * 2**29).is_integer()
    assert float(np.spacing(np.float32(log(2) / 33))) == 2**-29
    # The quotient m is right to 0.021, so that |r| stays below 0.0226, and that below 2^-5.
    size = constant("single_limit") + 125
    slip = size * abs(constant("single_per_unit") - 16 / log(2))
    assert slip < 0.021
    assert log(2) / 16 * (0.5 + slip) < SINGLE_REACH < 2**-5


def test_powers_in_floats() -> None:
    powers, rests = minimax.powers(minimax.nearest_float)
    for name, found in ("single_powers", powers), ("single_power_rests", rests):
        assert [float.fromhex(word) for word in words(name, "float")] == found


def test_steps_in_doubles() -> None:
    assert constant("step_per_unit") == float(16 / log(2))
    first, second = constant("step_first"), constant("step_second")
    assert first == float(log(2) / 16)
    assert second == float(log(2) / 16 - mpf(first))
    # d - m * first is a multiple of 2^-58 where m is not 0: first is one, and so is every double d beyond ln 2 / 33.
    assert (mpf(first) * 2**58) % 1 == 0
    assert float(np.spacing(np.float64(log(2) / 33))) >= 2.0**-58
    # d may be off by 880 u 16 / ln 2 in the quotient, far less than what is left up to the reach.
    assert log(2) / 16 * (0.5 + 880 * 16 / log(2) * 2.0**-52) < STEP_REACH < 2**-5
    powers, rests = minimax.powers(float)
    assert (constants("step_powers"), constants("step_power_rests")) == (powers, rests)


def test_fixed_point_logarithm() -> None:
    with mp.workprec(300):
        scaled = int(floor(log(2) * 2**192))
        assert [int(word, 16) for word in words("ln2", "Word")] == [
            scaled >> shift & 2**64 - 1 for shift in (0, 64, 128)
        ]
        assert log(log(2) ** 45 / factorial(45), 2) < -205


def test_bits_of_the_square_root() -> None:
    assert int(words("sqrt_half_bits", "std::int64_t")[0], 16) == int(np.float64(sqrt(mpf(1) / 2)).view(np.uint64))
