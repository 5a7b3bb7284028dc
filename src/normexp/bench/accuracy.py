"""The error of what was timed: speed bought with wrong digits is no speed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from normexp.bench.cell import Array, Cell, MissingError

# Exact arithmetic takes some 4 microseconds an element, 1 where a whole row comes to one number. So a few rows stand
# for all: as many as take about two seconds.
_ELEMENTS: Final = 1 << 19
_ELEMENTS_REDUCED: Final = 1 << 21


class Accuracy:
    """The exact values of some rows of a cell, ready to be held against each contender's results.

    Raises
    ------
    MissingError
        The exact arithmetic of `normexp.verify` is not installed.
    """

    def __init__(self, cell: Cell) -> None:
        try:
            from normexp.verify import measure, oracle
        except ImportError as error:
            raise MissingError(f"not measured: needs normexp[verify] ({error})") from None
        rows, columns = cell.x.shape
        affordable = (_ELEMENTS_REDUCED if cell.reads_only else _ELEMENTS) // columns
        count = max(1, min(rows, affordable))
        self.rows = np.linspace(0, rows - 1, count).astype(np.intp)
        function = getattr(oracle, cell.op)
        exact: list[Any] = []
        for row in self.rows:
            values = function(cell.x[row])
            exact += values if isinstance(values, list) else [values]
        self._ruler = measure.Ruler(exact, cell.out.dtype)

    def max_ulp(self, result: Array) -> float:
        """Return the largest error in units in the last place, over the chosen rows."""
        return float(self._ruler.errors(np.ascontiguousarray(result[self.rows])).max())
