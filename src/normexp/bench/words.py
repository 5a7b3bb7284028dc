"""How the figures are written, on the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from normexp.bench.timing import STEADY, Ratio


def duration(value: float) -> str:
    """Write nanoseconds or microseconds, no more digits than mean something."""
    return f"{value:.3f}" if value < 100 else f"{value:,.1f}"


def spread(low: float, high: float, median: float) -> str:
    """Say how far the middle half of the rounds lie from their median."""
    return f"{(high - low) / 2 / median:.0%}"


def ratio(value: Ratio) -> str:
    """Write a ratio, with a sign where it is not steady."""
    digits = 3 if value.median < 0.1 else 2 if value.median < 1000 else 0
    return f"{'' if value.steady else '~'}{value.median:,.{digits}f}"


def ulp(value: float | str | None) -> str:
    """Write an error, as it is or as a JSON file has it."""
    if value is None:
        return ""
    error = float(value)
    return f"{error:.3g}" if math.isfinite(error) else "wrong"


def who(row: Mapping[str, Any]) -> str:
    """Name a contender with its kind of output."""
    return f"{row['name']}, {row['output']}" if row["output"] else str(row["name"])


def plural(count: int, what: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def mib(count: int | None) -> str:
    """Write bytes, or that nobody knows how many."""
    return "-" if count is None else f"{count / 2**20:,.0f}"


def errors(relative: Mapping[str, float | str] | None) -> list[str]:
    """Write the relative errors of a last layer, as they are or as a JSON file has them."""
    return ["-" if relative is None else f"{float(relative[what]):.2g}" for what in ("loss", "hidden", "weight")]


def unsteady(count: int, ratios: int) -> str:
    """Say how many of the ratios are not known well."""
    return (
        f"~ not steady: {count} of {ratios} ratios are known to no better than {STEADY:.0%}; close other programs, or"
        " allow more --seconds"
    )
