"""What is remembered of one place of a program that takes a loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from normexp.guard.lines import Line
from normexp.guard.values import Look

# The batches that are looked at closely.
FIRST: Final = 5
# The batches of which the lines of all operations are noted: later ones run the same operations in the same order.
RECORDED: Final = 2
# As many more are looked at while the rows say nothing: all the same, or one-hot.
_UNDECIDED: Final = 20
# Rows that agree, each of which would by chance once in some hundred: one in a million.
_ENOUGH: Final = 3


@dataclass(slots=True)
class Site:
    """One call of a loss, at one line.

    Parameters
    ----------
    what : str
        The function.
    line : Line
        The user's line.
    calls : int
        How often it was called.
    """

    what: str
    line: Line
    calls: int = 0
    is_open: bool = True
    zeros: int = 0
    _evidence: dict[str, int] = field(default_factory=dict)
    _looks: int = 0

    def agree(self, what: str, kind: str, look: Look, *, known: bool = False) -> bool:
        """Whether the values of `what` have been of this kind at every call, with evidence enough.

        `known` says that the graph tells the same, so that one row is enough.
        """
        before = self._evidence.get(f"{what} {kind}", 0)
        if look.kind != kind or before < 0:
            self._evidence[f"{what} {kind}"] = -1  # once another kind, never this one
            return False
        self._evidence[f"{what} {kind}"] = total = before + look.evidence
        return total >= (1 if known else _ENOUGH)

    def may_be(self, what: str, *kinds: str) -> bool:
        """Whether the values of `what` may yet turn out to be of one of these kinds."""
        return any(self._evidence.get(f"{what} {kind}", 0) >= 0 for kind in kinds)

    def close(self) -> None:
        """Look no more, once enough calls were seen."""
        self._looks += 1
        undecided = any(count >= 0 for count in self._evidence.values())
        if self._looks >= (_UNDECIDED if undecided else FIRST):
            self.is_open = False
