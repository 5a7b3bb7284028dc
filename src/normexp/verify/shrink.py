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
_DIGITS: Final = (0, 1, 2, 3)
_FEW: Final = 64  # of so few numbers each is rounded by itself


def smallest(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return a case that still fails, with as few rows, columns and digits as a second could find.

    Parameters
    ----------
    case : Case
        It fails. Classes that its `target` names stay; without a target any may go.
    fails : callable
        Whether another one does.
    """
    search = _Search(case, fails)
    search.leave_out(0)
    search.leave_out(1)
    search.round()
    return search.case


class _Search:
    """The smallest case so far."""

    def __init__(self, case: Case, fails: Callable[[Case], bool]) -> None:
        self.case = case
        self._fails = fails
        self._until = time.monotonic() + _SECONDS

    @property
    def _time_is_left(self) -> bool:
        return time.monotonic() < self._until

    def _takes(self, candidate: Case | None) -> bool:
        if candidate is None or not self._fails(candidate):
            return False
        self.case = candidate
        return True

    def leave_out(self, axis: int) -> None:
        """Leave out ever smaller parts of an axis (Zeller and Hildebrandt's ddmin, by complements)."""
        part = self.case.x.shape[axis] // 2
        while part:
            first = 0
            while first < self.case.x.shape[axis] and self._time_is_left:
                if not self._takes(_without(self.case, axis, first, first + part)):
                    first += part
            part //= 2

    def round(self) -> None:
        """Write the numbers with fewer digits, all at once and then one by one, as long as something comes of it."""
        changed = True
        while changed and self._time_is_left:
            changed = any(self._time_is_left and self._takes(one) for one in _rounder(self.case))


def _without(case: Case, axis: int, first: int, last: int) -> Case | None:
    """Leave out rows or classes; None if nothing would be left, or a class that is somebody's label would go."""
    target = case.target
    if target is not None and axis == 0:
        target = np.delete(target, np.s_[first:last])
    elif target is not None:
        if ((target >= first) & (target < last)).any():
            return None
        target = target - (min(last, case.x.shape[1]) - first) * (target >= last)
    x = np.delete(case.x, np.s_[first:last], axis)
    return replace(case, x=x, target=target) if x.size else None


def _rounder(case: Case) -> Iterator[Case]:
    for digits in _DIGITS:
        rounded = _rounded(case.x, digits)
        if not np.array_equal(rounded, case.x, equal_nan=True):
            yield replace(case, x=rounded)
    if case.x.size > _FEW:
        return
    for at in np.ndindex(case.x.shape):
        for digits in _DIGITS:
            x = case.x.copy()
            x[at] = _rounded(case.x, digits)[at]
            if not np.array_equal(x, case.x, equal_nan=True):
                yield replace(case, x=x)


def _rounded(x: Array, digits: int) -> Array:
    with np.errstate(all="ignore"):
        rounded = (np.round(x.astype(np.float64), digits) + 0.0).astype(x.dtype)  # + 0: no -0
    return np.where(np.isfinite(rounded.astype(np.float64)), rounded, x)
