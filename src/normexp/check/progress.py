"""How far a long check is, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# What takes less needs no progress; where standard error is no terminal, each line stays, so there are few.
_PATIENCE: Final = 2.0
_PIPE_PATIENCE: Final = 10.0


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many files more are done."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    said = time.monotonic()
    done = 0
    width = 0

    def advance(count: int) -> None:
        nonlocal said, done, width
        done += count
        now = time.monotonic()
        if sys.stderr is None or done == total or now - said < (_PATIENCE if terminal else _PIPE_PATIENCE):
            return
        line = f"normexp check: {done:,} of {total:,} files"
        if terminal:
            width = len(line)
            print(f"\r{line}", end="", file=sys.stderr, flush=True)
        else:
            said = now
            print(line, file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        if width:
            print(f"\r{' ' * width}\r", end="", file=sys.stderr, flush=True)
