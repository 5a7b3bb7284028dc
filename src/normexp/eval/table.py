"""Numbers in CSV files: a row a line, with or without a header."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from normexp._arrays import Array
from normexp.eval.stored import BadInputError, Stored


class Table(Stored):
    """The numbers in a CSV file; with one column, of shape (rows,).

    Parameters
    ----------
    path : str
        The file.
    dtype : dtype
        What the numbers are read as.

    Raises
    ------
    BadInputError, OSError
        If it is no such file, or cannot be read.
    """

    in_any_order = False

    def __init__(self, path: str, dtype: np.dtype[Any]) -> None:
        self.name = self._path = path
        self._has_header = False
        lines = self._lines()
        first = next(lines, None)
        if first is None:
            raise BadInputError(f"{path} is empty")
        rows, second = 1, next(lines, None)
        if second is None:
            columns = len(first.split(","))
        else:
            # A row with a number in it is a row, perhaps a bad one.
            fields = first.split(",")
            self._has_header = all(_parsed([field], np.dtype(np.float64)) is None for field in fields)
            columns = len(second.split(","))
            rows += (not self._has_header) + sum(1 for _ in lines)
        super().__init__(path, (rows,) if columns == 1 else (rows, columns), dtype)

    def blocks(self, count: int) -> Iterator[Array]:
        """Read from the start, `count` rows at a time; a block is gone when the next is asked for."""
        lines = self._lines()
        if self._has_header:
            next(lines)
        for first in range(0, self.shape[0], count):
            texts = list(islice(lines, count))
            block = _parsed(texts, self.dtype)
            if block is None or block.shape != (len(texts), *(self.shape[1:] or (1,))):
                raise self._bad_line(texts, first)
            yield block.reshape(len(texts), *self.shape[1:])

    def _lines(self) -> Iterator[str]:
        try:
            with open(self._path, encoding="utf-8-sig") as file:
                yield from (line for line in file if line.strip())
        except UnicodeDecodeError as error:
            raise BadInputError(f"{self._path} cannot be read as CSV: {error}") from None

    def _bad_line(self, texts: list[str], first: int) -> BadInputError:
        columns = self.shape[1] if len(self.shape) > 1 else 1
        what = "integer" if self.dtype.kind == "i" else "number"
        expected = f"{columns} {what}s separated by commas" if columns > 1 else f"one {what}"
        for row, text in enumerate(texts, first):
            numbers = _parsed([text], self.dtype)
            if numbers is None or numbers.shape != (1, columns):
                line = text.strip()
                shown = repr(line if len(line) <= 40 else f"{line[:40]}...")
                return BadInputError(f"{self._path}: row {row} (counting from 0) is {shown}; expected {expected}")
        return self.cut_off()


def _parsed(texts: list[str], dtype: np.dtype[Any]) -> Array | None:
    try:
        with warnings.catch_warnings(action="error"):  # nothing there; an integer with a decimal point
            return np.loadtxt(texts, dtype, comments=None, delimiter=",", ndmin=2, quotechar='"')
    except (ValueError, OverflowError, Warning):
        return None
