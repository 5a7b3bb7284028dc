"""How numbers are written in the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from flint import arb


def number(value: float, digits: int = 4) -> str:
    """Write one number."""
    return f"{float(value):.{digits}g}"


def exact(value: arb, digits: int = 4) -> str:
    """Write an exact value, to more decimal places where it is hardly below 1."""
    if not value.is_finite():
        return number(float(value))
    below_one = 1 - value
    if 0 < below_one < 1e-4 and below_one.rel_accuracy_bits() > 20:
        return f"1 - {exact(below_one, digits)}"
    mantissa, _, exponent = value.str(digits, radius=False).partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    # As Python writes a float, so that the columns of a table look alike.
    return f"{mantissa}e{int(exponent):+03d}" if exponent else mantissa


def numbers(values: Iterable[Any], digits: int = 4) -> str:
    """Write a row, floating-point or exact; of a long one the ends."""
    parts = [exact(v, digits) if isinstance(v, arb) else number(v, digits) for v in values]
    if len(parts) > 6:
        parts = [*parts[:3], "...", *parts[-2:]]
    return f"[{', '.join(parts)}]"


def ulp(error: float | None) -> str:
    """Write an error in ULP; one too large for a number is a wrong kind of value (NaN, or overflow)."""
    if error is None:
        return "-"
    if math.isinf(error) or error >= 1e9:
        return "wrong" if math.isinf(error) else f"{error:.0e}"
    return f"{error:.2f}" if error < 1000 else f"{error:.1e}"


def plural(count: int, what: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
