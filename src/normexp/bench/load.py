"""What other programs do meanwhile: whoever waits for a thread that is not running measures them, and not himself."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Final, Self

# Below a tenth of a core is what every system does; a pool of threads that wait for each other feels more than that.
NOTABLE: Final = 0.1

_STAT: Final = Path("/proc/stat")
# Of the fields of the first line: user, nice, system, irq, softirq, steal; not idle and iowait. Guests are in user.
_BUSY: Final = (1, 2, 3, 6, 7, 8)


class OtherLoad:
    """How many cores other programs keep busy within a ``with`` block, on Linux."""

    cores: float | None = None
    """None where it is not known."""

    def __enter__(self) -> Self:
        self._start = perf_counter()
        self._before = _others()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        after, seconds = _others(), perf_counter() - self._start
        if self._before is not None and after is not None and seconds > 0:
            self.cores = max(0.0, (after - self._before) / seconds)


def _others() -> float | None:
    """Return the seconds of all cores that this process has not used."""
    try:
        fields = _STAT.read_text().split("\n", 1)[0].split()
        busy = sum(int(fields[index]) for index in _BUSY) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    own = os.times()
    return busy - own.user - own.system


def said(cores: float | None) -> str:
    """Say it, where it matters."""
    if cores is None or cores < NOTABLE:
        return ""
    return f"other programs kept {cores:.1f} cores busy meanwhile: these times are theirs, too"
