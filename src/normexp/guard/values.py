"""What the values of a tensor can be: probabilities, log-probabilities, or neither, along one dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

# Rows that are looked at, spread over the batch: enough to leave no room for chance, too few to cost anything.
_ROWS: Final = 64
# Sums of probabilities in float32 are within 1e-6 of 1, but they may have been bfloat16 or float16 once, whose
# roundings of 2^-8 and 2^-11 partly cancel in a row. Logits are within this of a sum of 1 once in a thousand rows.
_TOLERANCE: Final = 2e-3
_HALF_TOLERANCE: Final = 2.0**-6  # bfloat16: two roundings, in case all of them go one way
# More than any log-probability or sum of probabilities can be above 0 or 1 by rounding.
ABOVE_ROUNDING: Final = 1e-2

# The gradient of cross-entropy sums to 0 in each row. So a last layer that begins as constants of sum 1 keeps that sum,
# and its outputs look like probabilities until one is below 0: long before another is above this.
_SURE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """What rows look like.

    Parameters
    ----------
    kind : {"probabilities", "log-probabilities", "positive", "unknown"}
        "positive": neither, and above 0 somewhere, as no log-probability is.
    evidence : int
        How many of these rows could not be so by chance: those that are neither one-hot nor all the same.
    """

    kind: str
    evidence: int


_UNKNOWN: Final = Look("unknown", 0)


def look(x: Tensor, dim: int, *, doubt: bool = False) -> Look:
    """Look at some rows of `x` along `dim`. In doubt, only rows with an entry above a half tell anything."""
    if x.numel() == 0 or x.size(dim) < 2:
        return _UNKNOWN
    rows = some_rows(x, dim)
    low, high = (float(bound) for bound in torch.aminmax(rows))
    if low < -ABOVE_ROUNDING and high > ABOVE_ROUNDING:
        return Look("positive", 1)
    if low != low or high == float("inf"):
        return _UNKNOWN
    half = x.dtype in (torch.float16, torch.bfloat16)
    tolerance = _HALF_TOLERANCE if half else _TOLERANCE
    rows = rows.double()
    if low >= 0 and high <= 1 + tolerance:
        return _sum_to_one(rows, "probabilities", tolerance, _SURE if doubt else 0.0)
    if high <= tolerance:
        return _sum_to_one(rows.exp(), "log-probabilities", tolerance, 0.0)
    return Look("positive", 1) if high > ABOVE_ROUNDING else _UNKNOWN


def _sum_to_one(p: Tensor, kind: str, tolerance: float, least: float) -> Look:
    sums = p.sum(-1)
    fits = (sums - 1).abs() <= tolerance
    are_probabilities = kind == "probabilities"
    if are_probabilities:  # rows that were masked after the softmax say nothing
        fits |= sums == 0
    if not bool(fits.all()):
        return Look("positive", 1) if are_probabilities and float(p.max()) > ABOVE_ROUNDING else _UNKNOWN
    low, high = torch.aminmax(p, dim=-1)
    # One-hot rows are what targets look like, even ones what an untrained layer of constants gives.
    telling = (high < 1 - ABOVE_ROUNDING) & (high - low > ABOVE_ROUNDING / p.size(-1)) & (high > least)
    return Look(kind, int(telling.sum()))


def some_rows(x: Tensor, dim: int) -> Tensor:
    """Return up to some 64 rows of `x`, spread over it, as a matrix."""
    x = x.detach().movedim(dim, -1)
    rows = 1
    for other in range(x.dim() - 1):
        size = x.size(other)
        keep = max(1, _ROWS // rows)
        if size > keep:
            x = x[(slice(None),) * other + (slice(None, None, -(-size // keep)),)]
        rows *= x.size(other)
    return x.reshape(-1, x.size(-1))


def is_finite(x: Tensor) -> bool:
    """Whether all of `x` is finite."""
    return bool(torch.isfinite(x.detach()).all())
