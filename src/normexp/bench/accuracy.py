"""The error of what was timed: speed bought with wrong digits is no speed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from normexp.bench.cell import AXIS, Array, Cell, MissingError

# Exact arithmetic takes some 4 microseconds an element, 1 where a whole row comes to one number. So a few rows stand
# for all: as many as take about two seconds; and of a row that is longer than that, as many of its elements.
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
        self._cell = cell
        elements = _ELEMENTS_MEAN if cell.is_mean else _ELEMENTS if cell.is_map else _ELEMENTS_REDUCED
        if cell.is_mean and cell.x.size > elements:
            raise MissingError(f"not measured: an exact mean over {cell.rows} rows takes too long")
        self._index = cell.chosen(elements)
        self.rows = len(self._index[0])
        classes = cell.x.shape[AXIS]
        self._positions = None if classes <= elements else np.linspace(0, classes - 1, elements).astype(np.intp)
        logits = np.moveaxis(cell.x, AXIS, -1)[self._index]
        targets = [0] * self.rows if cell.target is None else cell.target[self._index].tolist()
        exact: list[Any] = []
        with ctx.workprec(_BITS):
            for row, target in zip(logits, targets, strict=True):
                exact += _exact(oracle, cell, row, target, self._positions)
            self._ruler = measure.Ruler([sum(exact)] if cell.is_mean else exact, cell.out.dtype)

    def max_ulp(self, result: Array) -> float:
        """Return the largest error in units in the last place, over the chosen rows."""
        if self._cell.is_map:
            result = np.moveaxis(result, AXIS, -1)[self._index]
            result = result if self._positions is None else result[:, self._positions]
        elif not self._cell.is_mean:
            result = result[self._index]
        return float(self._ruler.errors(np.ascontiguousarray(result)).max())


def _exact(oracle: Any, cell: Cell, row: Array, target: int, positions: NDArray[np.intp] | None) -> list[Any]:  # noqa: ANN401
    """Return the exact values that one row comes to: of the mean loss, its share."""
    if cell.op == "cross_entropy":
        return [oracle.cross_entropy(row, target) / cell.rows]
    if cell.op == "cross_entropy_and_grad":
        return list(oracle.cross_entropy_grad(row, target, positions, divisor=cell.rows))
    if not cell.is_map:
        return [getattr(oracle, cell.op)(row)]
    return list(getattr(oracle, cell.op)(row, positions=positions))
