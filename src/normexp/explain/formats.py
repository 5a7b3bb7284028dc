"""A floating-point format, and the operations that NumPy does not round correctly in it: conversion, exp, log.

The sum, the difference and the quotient of two numbers of a format are rounded correctly by NumPy and ml_dtypes already
(the half types by way of float32, which has the digits that this takes), so these need nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ml_dtypes
import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from normexp._arrays import Array

Extended = NDArray[np.longdouble]

DTYPES: Final = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}

STATES: Final = ("normal", "subnormal", "zero", "inf", "NaN")

# exp and log of the C library are within one unit of a long double; 8 leave room.
_DOUBT: Final = 8 * float(np.finfo(np.longdouble).eps)
# The exponentials and logarithms of float64 that are hardest to round need 118 bits (Lefèvre and Muller 2001), and
# those of numbers near 0 or 1, which are nearly a tie, 2 * 53 and some.
_BITS: Final = 192


def extended(value: arb) -> np.longdouble:
    """Return an enclosed value as a long double; what is beyond its range becomes infinite, or 0."""
    if not value.is_finite() or value.is_zero():
        return np.longdouble(float(value))
    mantissa, exponent = (int(part) for part in value.mid().man_exp())
    extra = max(abs(mantissa).bit_length() - 63, 0)
    with np.errstate(all="ignore"):
        power = max(min(exponent + extra, 1 << 20), -1 << 20)
        return np.longdouble(np.ldexp(np.longdouble(mantissa >> extra), power))


class Format:
    """One of `DTYPES`.

    Parameters
    ----------
    name : str
        Its name.
    """

    def __init__(self, name: str) -> None:
        info: Any = ml_dtypes.finfo(DTYPES[name])  # type: ignore[no-untyped-call]
        self.name = name
        self.dtype = DTYPES[name]
        self.fraction_bits = int(info.nmant)
        self._lowest = int(info.minexp) - int(info.nmant)  # the exponent of the smallest subnormal number
        self._beyond = int(info.maxexp)  # 2**_beyond is the next number after the largest
        self.largest = float(info.max)
        self.smallest_normal = float(info.smallest_normal)
        self.smallest = float(info.smallest_subnormal)

    @property
    def digits(self) -> float:
        """How many decimal digits a normal number holds."""
        return float((self.fraction_bits + 1) * np.log10(2.0))

    def unit(self, value: Extended) -> Extended:
        """Return the unit in the last place of each value; below the smallest normal number, the smallest subnormal."""
        return np.asarray(np.ldexp(np.longdouble(1), self._unit_exponent(value)))

    def nearest(self, value: Extended) -> Array:
        """Round each value to the nearest number of this format, ties to even, once."""
        exponent = self._unit_exponent(value)
        return self._scaled(np.rint(np.ldexp(value, -exponent)), exponent)

    def exp(self, x: Array) -> Array:
        """Return the exponential of each number, correctly rounded."""
        return self._correct(np.exp, arb.exp, x)

    def log(self, x: Array) -> Array:
        """Return the logarithm of each number, correctly rounded."""
        return self._correct(np.log, arb.log, x)

    def states(self, x: Array) -> NDArray[np.int8]:
        """Say of each number what kind it is: its place in `STATES`."""
        size = np.abs(x.astype(np.float64))
        kinds = (size < self.smallest_normal).astype(np.int8)
        kinds[size == 0] = 2
        kinds[size == np.inf] = 3
        kinds[np.isnan(size)] = 4
        return kinds

    def _unit_exponent(self, value: Extended) -> NDArray[np.int64]:
        finite = np.where(np.isfinite(value), value, np.longdouble(1))
        exponent = np.frexp(finite)[1].astype(np.int64) - 1 - self.fraction_bits
        return np.where(finite == 0, self._lowest, np.maximum(exponent, self._lowest))

    def _correct(self, function: Callable[[Extended], Extended], exactly: Callable[[arb], arb], x: Array) -> Array:
        """Round what long double gives, and where its own error might decide, what ball arithmetic gives."""
        given = x.astype(np.longdouble)
        with np.errstate(all="ignore"):
            value = function(given)
            exponent = self._unit_exponent(value)
            units = np.ldexp(value, -exponent)
            whole = np.rint(units)
            # Where its own error reaches the point half-way to the next number.
            doubtful = np.abs(units - whole) + _DOUBT * np.abs(units) >= 0.5
        result = self._scaled(whole, exponent)
        for i in np.flatnonzero(doubtful & np.isfinite(given)):
            result[i] = self._nearest_of(exactly, float(given[i]))
        return result

    def _scaled(self, whole: Extended, exponent: NDArray[np.int64]) -> Array:
        """Return whole * 2**exponent, rounded already; infinite from the number on that would follow the largest."""
        value = np.asarray(np.ldexp(whole, exponent))
        value[value >= np.ldexp(np.longdouble(1), self._beyond)] = np.inf
        value[value <= -np.ldexp(np.longdouble(1), self._beyond)] = -np.inf
        return value.astype(np.float64).astype(self.dtype)

    def _nearest_of(self, exactly: Callable[[arb], arb], x: float) -> float:
        """Round one exact value, which is never half-way between two numbers (Lindemann-Weierstrass)."""
        with ctx.workprec(_BITS):
            value = exactly(arb(x))
            mantissa, exponent = value.abs_upper().man_exp()
            leading = int(mantissa).bit_length() - 1 + int(exponent)
            unit = max(leading - self.fraction_bits, self._lowest)
            mantissa, exponent = (value * arb(2) ** -unit + arb(0.5)).floor().mid().man_exp()
            whole = int(mantissa) * 2 ** int(exponent)
        if abs(whole) >= 2 ** (self._beyond - unit):
            return float(np.copysign(np.inf, whole))
        return float(np.ldexp(float(whole), unit))
