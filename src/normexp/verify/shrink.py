"""From an input that shows a fault to the smallest one found that still does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from normexp.verify.cases import Case
from normexp.verify.tensors import Array

_SECONDS: Final = 1.0  # for one fault; there may be dozens


def smallest(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a case that still fails, with as few rows, columns and digits as were needed.

    Parameters
    ----------
    case : Case
        It fails.
    fails : callable
        Whether another one does.
    """
    until = time.monotonic() + _SECONDS

    def still(candidate: Case) -> bool:
        return time.monotonic() < until and fails(candidate)

    case = replace(case, target=case.labels)
    for axis in (0, 1):
        case = _fewest(case, axis, still)
    while simpler := next(filter(still, _simpler(case)), None):
        case = simpler
    return case


def _fewest(case: Case, axis: int, still: Callable[[Case], bool]) -> Case:
    """Leave out ever smaller parts of an axis (Zeller and Hildebrandt's ddmin, by complements)."""
    part = case.x.shape[axis] // 2
    while part:
        first = 0
        while first < case.x.shape[axis] > 1:
            candidate = _without(case, axis, first, first + part)
            if candidate is not None and still(candidate):
                case = candidate
            else:
                first += part
        part //= 2
    return case


def _without(case: Case, axis: int, first: int, last: int) -> Case | None:
    """Leave out rows or classes, but for those that are somebody's label."""
    target = case.labels
    if axis == 0:
        target = np.delete(target, np.s_[first:last])
    elif ((target >= first) & (target < last)).any():
        return None
    else:
        target = target - (min(last, case.x.shape[1]) - first) * (target >= last)
    x = np.delete(case.x, np.s_[first:last], axis)
    return replace(case, x=x, target=target) if x.size else None


def _simpler(case: Case) -> Iterator[Case]:
    """Yield cases with one number that takes fewer digits to write; first all of them at once."""
    for digits in (0, 1, 2, 3):
        rounded = _rounded(case.x, digits)
        if (rounded != case.x).any():
            yield replace(case, x=rounded)
    if case.x.size > 64:
        return
    for at in np.ndindex(case.x.shape):
        for digits in (0, 1, 2, 3):
            x = case.x.copy()
            x[at] = _rounded(case.x, digits)[at]
            if x[at] != case.x[at]:
                yield replace(case, x=x)


def _rounded(x: Array, digits: int) -> Array:
    with np.errstate(all="ignore"):
        wide = (np.round(x.astype(np.float64), digits) + 0.0).astype(x.dtype)  # no -0
    return np.where(np.isfinite(wide.astype(np.float64)), wide, x)
