"""An array in a file, read a block of rows at a time, so that it may be larger than memory."""

from __future__ import annotations

import math
import mmap
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from normexp._arrays import Array


class BadInputError(Exception):
    """A file that cannot be used, in words for the person who gave it."""


class Stored(ABC):
    """An array in a file.

    Parameters
    ----------
    name : str
        The file, and the array's name in it if it has one.
    shape : tuple of int
        Its shape; blocks are taken along the first axis.
    dtype : dtype
        Of the elements of a block.
    """

    in_any_order: ClassVar[bool]
    """Whether `rows` may be asked for."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype

    @abstractmethod
    def blocks(self, count: int) -> Iterator[Array]:
        """Read from the start, `count` rows at a time; a block is gone when the next is asked for."""

    def rows(self, first: int, count: int) -> Array:
        """Return a copy of these rows."""
        raise NotImplementedError

    def cut_off(self) -> BadInputError:
        """Say that the file ends too early."""
        return BadInputError(f"{self.name} is cut off: it ends before the last of its {self.shape[0]} rows")


class Mapped(Stored):
    """An array that lies in a file as it does in memory.

    The file is mapped rather than read: that saves a copy, and on two cores half of the time. Pages that have been read
    are given back at once, or all of the file would in time count as this process's memory.
    """

    in_any_order = True

    def __init__(
        self,
        path: str,
        name: str,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        by_column: bool = False,
    ) -> None:
        super().__init__(name, shape, dtype)
        self._path = path
        self._offset = offset
        self._by_column = by_column

    def blocks(self, count: int) -> Iterator[Array]:
        """Read from the start, `count` rows at a time; a block is gone when the next is asked for."""
        pages = self._map()
        array = self._array(pages)
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        given_back = 0
        for first in range(0, self.shape[0], count):
            block = array[first : first + count]
            # An array in a .safetensors file may begin at any byte.
            yield block if block.flags.aligned else block.copy()
            if self._by_column:
                _give_back(pages, 0, len(pages))
            else:
                given_back = _give_back(pages, given_back, self._offset + (first + count) * row_bytes)

    def rows(self, first: int, count: int) -> Array:
        """Return a copy of these rows."""
        return np.array(self._array(self._map())[first : first + count])

    def _map(self) -> mmap.mmap:
        # It closes itself when the last array that looks at it is gone.
        with open(self._path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def _array(self, pages: mmap.mmap) -> Array:
        return np.ndarray(self.shape, self.dtype, pages, self._offset, order="F" if self._by_column else "C")


def _give_back(pages: mmap.mmap, start: int, end: int) -> int:
    """Let go of the whole pages between two bytes; return where the first one that was not lies."""
    end = min(end, len(pages)) // mmap.PAGESIZE * mmap.PAGESIZE
    if end <= start:
        return start
    if hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED, start, end - start)
    return end
