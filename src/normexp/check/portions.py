"""Many files, checked a portion at a time on all cores (on Linux; on one elsewhere).

Portions are cut by the sizes of the files alone, and each is checked as if it were alone, so that the findings are the
same on any number of cores. What a portion imports from another is read once more.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeVar

# Some seconds of work, beside which starting a process and reading an imported file twice are little.
_BYTES: Final = 2 * 2**20
# Towards the end smaller ones, of a quarter of what is left, so that no core waits long for the last.
_LAST_BYTES: Final = 2**18

Result = TypeVar("Result")


def cut(files: Sequence[str]) -> list[list[str]]:
    """Cut files into portions, in order."""
    sizes = [_size(file) for file in files]
    portions: list[list[str]] = []
    room, left = 0, sum(sizes)
    for file, size in zip(files, sizes, strict=True):
        if not portions or room < size:
            portions.append([])
            room = min(_BYTES, max(_LAST_BYTES, left // 4))
        portions[-1].append(file)
        room, left = room - size, left - size
    return portions


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except (OSError, ValueError):  # it will be a note, or it is standard input
        return 0


def each(work: Callable[[list[str]], Result], portions: Sequence[list[str]]) -> Generator[Result, None, None]:
    """Yield the result for each portion, in order.

    Raises
    ------
    MemoryError
        A process was ended from outside, as is done when memory runs out.
    """
    count = min(len(portions), _cores())
    # Elsewhere processes are started afresh, which runs the program of whoever calls `check` once more in each.
    if count < 2 or sys.platform != "linux":
        yield from map(work, portions)
        return
    # Here, because a small check, as on each commit, should not wait for them: 40 ms.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(count, multiprocessing.get_context("fork")) as pool:
        try:
            # Ctrl-C reaches every process of the terminal. Those started here never take it: this one ends them.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                results = [pool.submit(work, portion) for portion in portions]
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for result in results:
                yield result.result()
        except BrokenProcessPool:
            raise MemoryError("a process of the check was ended from outside: out of memory?") from None
        except BaseException:  # Ctrl-C, or nobody wants the rest
            # Nothing is cancelled: the pool would then trip over the processes that end.
            for process in multiprocessing.active_children():
                process.kill()
            raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
