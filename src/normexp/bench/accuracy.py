"""The error of what was timed: speed bought with wrong digits is no speed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from normexp.bench.cell import AXIS, Array, Cell, MissingError

# Exact arithmetic takes some 4 microseconds an element, 1 where a whole row comes to one number. So a few rows stand
# for all: as many as take about two seconds.
_ELEMENTS: Final = 1 << 19
_ELEMENTS_REDUCED: Final = 1 << 21
_ELEMENTS_MEAN: Final = 1 << 22  # where fewer rows would be another mean: 4096 x 1000 is worth some four seconds

# What the oracle encloses in 128 bits is here only divided, and added to what has the same sign.
_BITS: Final = 128


class Accuracy:
    """The exact values of some rows of a cell, ready to be held against each contender's results.

    Raises
    ------
    MissingError
        There is no exact arithmetic (that of `normexp.verify`), or it would take too long.
    """

    def __init__(self, cell: Cell) -> None:
        try:
            from flint import ctx

            from normexp.verify import measure, oracle
        except ImportError as error:
            raise MissingError(f"not measured: needs normexp[verify] ({error})") from None
        self._keeps_classes = cell.out.ndim == cell.x.ndim
        self._is_mean = cell.op == "cross_entropy"
        logits = np.moveaxis(cell.x, AXIS, -1)
        count = cell.x.size // cell.x.shape[AXIS]
        elements = _ELEMENTS_MEAN if self._is_mean else _ELEMENTS if self._keeps_classes else _ELEMENTS_REDUCED
        affordable = elements // cell.x.shape[AXIS]
        if self._is_mean and count > affordable:
            raise MissingError(f"not measured: an exact mean over {count} rows takes too long")
        self.rows = np.linspace(0, count - 1, max(1, min(count, affordable))).astype(np.intp)
        self._index = np.unravel_index(self.rows, logits.shape[:-1])
        targets = [0] * len(self.rows) if cell.target is None else cell.target[self._index].tolist()
        exact: list[Any] = []
        with ctx.workprec(_BITS):
            for row, target in zip(logits[self._index], targets, strict=True):
                exact += _exact(oracle, cell.op, row, target, count)
            self._ruler = measure.Ruler([sum(exact)] if self._is_mean else exact, cell.out.dtype)

    def max_ulp(self, result: Array) -> float:
        """Return the largest error in units in the last place, over the chosen rows."""
        if not self._is_mean:
            result = (np.moveaxis(result, AXIS, -1) if self._keeps_classes else result)[self._index]
        return float(self._ruler.errors(np.ascontiguousarray(result)).max())


def _exact(oracle: Any, op: str, row: Array, target: int, count: int) -> list[Any]:  # noqa: ANN401
    """Return the exact values that one row of so many comes to: of the mean loss, its share."""
    if op == "cross_entropy":
        return [oracle.cross_entropy(row, target) / count]
    if op == "cross_entropy_and_grad":
        return list(oracle.cross_entropy_grad(row, target, divisor=count))
    values = getattr(oracle, op)(row)
    return values if isinstance(values, list) else [values]
