"""Call every function on arrays that touch unreadable pages; run by test_memory.py, since a stray access ends it.

Memory is laid out as [no access][page ... page][no access], and the arrays end, or begin, where the accessible pages
do. Reading one byte too far is a segmentation fault here, with any build; the sanitizers see the rest.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable

import numpy as np
from losses.problems import distributions, labels, row_shape, weights
from support import DTYPES, FUNCTIONS

import normexp

PROT_NONE = 0
PAGE = mmap.PAGESIZE
PAGES = 12  # room for the largest row below, 4097 float64


class Guarded:
    """Accessible pages between two that are not."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, (PAGES + 2) * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for page in (start, start + (PAGES + 1) * PAGE):
            if protect(page, PAGE, PROT_NONE) != 0:
                raise OSError(ctypes.get_errno(), "mprotect failed")
        self.bytes = np.frombuffer(self.memory, dtype=np.uint8)[PAGE : (PAGES + 1) * PAGE]

    def last(self, array: np.ndarray) -> np.ndarray:
        """The array at the end of the accessible memory."""
        return self._put(array, self.bytes[self.bytes.size - array.nbytes :])

    def first(self, array: np.ndarray) -> np.ndarray:
        """The array at the beginning of the accessible memory."""
        return self._put(array, self.bytes[: array.nbytes])

    @staticmethod
    def _put(array: np.ndarray, where: np.ndarray) -> np.ndarray:
        view = where.view(array.dtype).reshape(array.shape)
        view[...] = array
        return view


INPUT, OUTPUT, MASK, TARGET, WEIGHT = Guarded(), Guarded(), Guarded(), Guarded(), Guarded()
ENDS = (Guarded.last, Guarded.first)


def call(x: np.ndarray, axis: int, mask: np.ndarray) -> None:
    """Every function on x, with and without a mask and out."""
    for name, function in FUNCTIONS.items():
        wanted = np.asarray(function(x, axis=axis))
        for place in ENDS:
            function(x, axis=axis, out=place(OUTPUT, wanted))
            function(x, axis=axis, out=place(OUTPUT, wanted), where=place(MASK, mask))
        if name != "logsumexp":
            function(x, axis=axis, temperature=0.7)
    normexp.LogSumExp().update(x, axis=axis)


def call_losses(x: np.ndarray, axis: int, place: Callable[[Guarded, np.ndarray], np.ndarray]) -> None:
    """Every loss on x, in place and not, with labels of a byte and of eight, probabilities, weights."""
    weight = place(WEIGHT, weights(x.shape[axis], np.dtype(np.float64)))
    for kind in ("i1", "i8"):
        some = labels(x, axis) % 100
        target = place(TARGET, some.astype(kind))
        normexp.nll_loss(x, target, axis=axis, weight=weight)
        normexp.cross_entropy(x, target, axis=axis, weight=weight, reduction="none")
        normexp.row_stats(x, target, axis=axis)
        for options in ({}, {"label_smoothing": 0.1}, {"ignore_index": int(some.flat[0])}):
            normexp.cross_entropy_and_grad(x, target, axis=axis, weight=weight, out=place(OUTPUT, x), **options)
    for dtype in (x.dtype, DTYPES["float32"]):
        target = place(TARGET, distributions(x, axis).astype(dtype))
        normexp.cross_entropy_and_grad(x, target, axis=axis, out=place(OUTPUT, x))
        normexp.cross_entropy(x, target, axis=axis, weight=weight, label_smoothing=0.1)
    copy = place(OUTPUT, x)
    normexp.cross_entropy_and_grad(copy, np.zeros(row_shape(x, axis), np.int64), axis=axis, out=copy)


def main() -> None:
    """All dtypes, short rows of every length, some longer ones, several rows, strides."""
    rng = np.random.default_rng(0)
    for dtype in DTYPES.values():
        for length in (*range(1, 19), 31, 32, 33, 65, 129, 200, 2047, 2049, 4097):
            for count in (1, 17):
                if length * count * dtype.itemsize > PAGES * PAGE:
                    continue
                plain = rng.standard_normal((count, length)).astype(dtype)
                mask = rng.random(plain.shape) < 0.7
                for place in ENDS:
                    x = place(INPUT, plain)
                    call(x, -1, mask)
                    call(x[::-1, ::-2], -1, mask[:, ::2])
                    call_losses(x, -1, place)
                    call_losses(x[::-1, ::-2], -1, place)
                    columns = place(INPUT, np.ascontiguousarray(plain.T))
                    call(columns, 0, mask.T)
                    call(columns[:, ::3], 0, mask.T[:, ::3])
                    call_losses(columns, 0, place)
                    call_losses(columns[:, ::3], 0, place)
    print("nothing beyond the ends was touched")


if __name__ == "__main__":
    if sys.argv[1:] == ["stray"]:  # to show that one byte too far is noticed
        ctypes.string_at(INPUT.bytes.ctypes.data + INPUT.bytes.size, 1)
    main()
