"""What memory allows: a copy reads and writes each element once, a max reads it once, and a loss's gradient takes both.

No one way to copy is the fastest for every size: a thread pool of Python costs tens of microseconds a call, one core
cannot draw the memory's whole rate, and libraries differ in when they bypass the cache. So several ways are tried in
every round, and the fastest is the limit.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from normexp.bench.cell import Array, Cell, Contender
from normexp.bench.peers.pytorch import import_torch, torch_view
from normexp.bench.timing import Call


def limits(cell: Cell, *, with_torch: bool) -> list[Contender]:
    """Return the copy and the max of a cell's array, each in all the ways that can be had here.

    Where the limit is the sum of the two, they are followed by it: its times are added up from theirs.
    """
    x = cell.x.ravel()  # a view: the array is contiguous
    buffer = cell.out.ravel() if cell.out.shape == cell.x.shape else np.zeros_like(x)
    shares = min(cell.threads, x.size)
    parts = list(zip(np.array_split(x, shares), np.array_split(buffer, shares), strict=True))
    copies: dict[str, Call] = {"NumPy, one thread": lambda: np.copyto(buffer, x)}
    maxima: dict[str, Call] = {"NumPy, one thread": lambda: np.max(x)}
    if shares > 1:
        copies[f"NumPy, {shares} threads"] = _together([_copy(source, target) for source, target in parts])
        maxima[f"NumPy, {shares} threads"] = _together([_max(source) for source, _ in parts])
    if with_torch:
        torch = import_torch(cell.threads)
        t, to = torch_view(cell.x), torch_view(buffer.reshape(cell.x.shape))
        copies["torch.Tensor.copy_"] = lambda: to.copy_(t)
        maxima["torch.max"] = lambda: torch.max(t)
        maxima["torch.amax of rows"] = lambda: torch.amax(t, -1)
    found = [
        Contender("a copy", "out=", copies, moved=2 * x.nbytes),
        Contender("a max", "", maxima, moved=x.nbytes),
    ]
    if cell.limit == "max + copy":
        found.append(Contender("a max + copy", "out=", {}, moved=3 * x.nbytes, sum_of=("a max", "a copy")))
    return found


def _copy(source: Array, target: Array) -> Call:
    return lambda: np.copyto(target, source)


def _max(source: Array) -> Call:
    return lambda: np.max(source)


def _together(parts: list[Call]) -> Call:
    """Run the parts at once: the last one here, the others on threads that wait for them."""
    pool = ThreadPoolExecutor(len(parts) - 1)
    here = parts[-1]

    def call() -> None:
        others = [pool.submit(part) for part in parts[:-1]]
        here()
        for other in others:
            other.result()

    return call
