"""How often to look, once the first batches are over: by the clock, so that short steps are not made longer."""

from __future__ import annotations

from time import perf_counter
from typing import Final

# A look at a loss, with all caches cold, takes 30 µs. Once per 6 ms that is 0.5%: programs with steps of 3 ms or less
# have every third call looked at, or every fifth, and so on, up to some. (An even stride would miss one line of two.)
_SECONDS: Final = 6e-3
MOST_RESTS: Final = 32


class Pace:
    """Says how many of the calls that come next are to be left alone."""

    __slots__ = ("_looked", "_rested", "rest")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Look at the next call."""
        self.rest = 0  # whoever leaves a call alone takes 1 off
        self._rested = 0
        self._looked = 0.0

    def take_a_rest(self) -> None:
        """Leave some calls alone, after one that was looked at."""
        now = perf_counter()
        step = (now - self._looked) / (self._rested + 1)
        self.rest = self._rested = min(MOST_RESTS, 2 * int(_SECONDS / 2 / step)) if step > 0 else MOST_RESTS
        self._looked = now
