"""The metric: how many units in the last place (ULP) a result is away from the exact value.

The unit is that of the exact value in the result's dtype; below the smallest normal number it is the smallest
subnormal number. NaN equals NaN and nothing else. Overflow is compared with the next value after the largest finite
number: an infinite result counts as that value, and so does an exact value beyond it. Where the exact value is itself
infinite, only the same infinity will do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import ml_dtypes
import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

# Numbers of float64 and their units are powers of two apart by 52 bits at most; the scaled exact value keeps 53 more.
_BITS = 128


class Ruler:
    """The exact values of some results in one dtype, ready to be held against any number of implementations.

    Each exact value is kept as ``high + low`` (two float64) in units of its last place; the unit is a power of two.

    Parameters
    ----------
    exact : sequence of arb
        Enclosures far narrower than a unit in the last place, as `normexp.verify.oracle` gives them.
    dtype : dtype
        The floating-point format of the results to come.
    """

    def __init__(self, exact: Sequence[arb], dtype: np.dtype) -> None:
        info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        self.dtype = np.dtype(dtype)
        self._beyond = int(info.maxexp)  # 2**_beyond is the next value after the largest finite number
        self._digits = int(info.nmant)
        self._lowest = int(info.minexp) - int(info.nmant)  # the exponent of the smallest subnormal number
        with ctx.workprec(_BITS):
            parts = [self._split(value) for value in exact]
        self._high, self._low, unit = np.array(parts, dtype=np.float64).reshape(-1, 3).T
        self._unit = unit.astype(np.int64)

    def _split(self, exact: arb) -> tuple[float, float, int]:
        """Return (high, low, e) with exact = (high + low) 2^e, 2^e being the unit of the exact value's last place."""
        if not exact.is_finite():
            return float(exact), 0.0, 0
        if exact.is_zero():
            return 0.0, 0.0, self._lowest
        size = exact.abs_upper()
        if size >= arb(2) ** self._beyond:
            return math.copysign(2.0 ** (self._digits + 1), float(exact.sgn())), 0.0, self._beyond - 1 - self._digits
        mantissa, exponent = size.man_exp()
        leading = int(mantissa).bit_length() - 1 + int(exponent)
        unit = max(leading - self._digits, self._lowest)
        scaled = exact.mid() * arb(2) ** -unit
        high = float(scaled)
        return high, float(scaled - high), unit

    def errors(self, got: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the error of each result in ULP.

        Parameters
        ----------
        got : ndarray
            As many results as there are exact values, in this ruler's dtype.

        Returns
        -------
        ndarray of float64
            The errors, never negative; inf where only one of result and exact value is NaN.
        """
        if got.dtype != self.dtype:
            raise TypeError(f"this ruler measures {self.dtype}, not {got.dtype}")
        if got.size != self._high.size:
            raise ValueError(f"{got.size} results for {self._high.size} exact values")
        x = got.ravel().astype(np.float64)
        # Infinities of the result become the next value after the largest number, unless an infinity was exact.
        overflow = np.isinf(x) & np.isfinite(self._high)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            exponent = np.where(overflow, self._beyond, 0) - self._unit
            scaled = np.ldexp(np.where(overflow, np.sign(x), x), exponent)
            error = np.abs((scaled - self._high) - self._low)
        same = (np.isnan(x) & np.isnan(self._high)) | (np.isinf(x) & (x == self._high))
        return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))


def ulp_error(got: NDArray[np.generic], exact: arb | Sequence[arb]) -> NDArray[np.float64]:
    """Return the error of each result in ULP of the exact value in the dtype of the results.

    Parameters
    ----------
    got : ndarray
        Results of any shape, in float16, bfloat16, float32 or float64.
    exact : arb or sequence of arb
        As many exact values, in the order of ``got.ravel()``.

    Returns
    -------
    ndarray of float64
        One-dimensional.
    """
    got = np.asarray(got)
    return Ruler([exact] if isinstance(exact, arb) else exact, got.dtype).errors(got)


def max_ulp(got: NDArray[np.generic], exact: arb | Sequence[arb]) -> float:
    """Return the largest of `ulp_error`, 0.0 where there are no results."""
    return float(ulp_error(got, exact).max(initial=0.0))
