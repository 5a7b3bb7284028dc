"""How numbers are written here: short, and never so that something looks like what it is not."""

from __future__ import annotations

import math
from typing import Final

from flint import arb

from normexp.verify import words

# From here on the exponent of exp(x) has more digits than its exponent, x.
_WRITTEN_OUT: Final = 1e6
_DIGITS: Final = 4
# Where not even the first digit of a float64 is right, it is 2^53 ULP off; what is further off is of another kind.
_OTHER: Final = 1e17


def say(value: arb | float) -> str:
    """Write a number to four digits; just below 1, as the distance from it."""
    exact = value if isinstance(value, arb) else arb(value)
    if not exact.is_finite() or exact.is_zero():
        return words.number(float(exact))
    if exact.rel_accuracy_bits() < 20:
        return "about 0"  # an exponential so small that not even its exponent is known
    if exact.is_exact() and exact.is_integer() and abs(exact) < 1e6:
        return str(int(float(exact)))
    if 0 < 1 - exact < 1e-4 or not 1e-4 <= abs(exact) < 1e6:
        return words.exact(exact)
    return words.number(float(exact), max(_DIGITS, len(str(int(abs(float(exact)))))))


def say_exp(value: arb, log: arb) -> str:
    """Write an exponential, by its logarithm if it is too far out for a decimal exponent."""
    if log.is_finite() and abs(log) >= _WRITTEN_OUT:
        return f"exp({words.exact(log)})"
    return say(value)


def say_probability(value: arb, others: arb, log: arb) -> str:
    """Write a probability: next to 1, as the distance from it, the sum of the others."""
    return f"1 - {say(others)}" if 0 < others < 1e-4 else say_exp(value, log)


def ulp(error: float) -> str:
    """Write an error in ULP."""
    return words.ulp(error if error < _OTHER else math.inf)
