"""Writes that can be taken back, so that the branches of an ``if`` start from one state and are joined after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from normexp.check.join import choice, join, join_items
from normexp.check.signatures import telling
from normexp.check.values import NONE

Table: TypeAlias = dict[Any, Any]
Changes: TypeAlias = dict[tuple[int, Any], tuple[Table, Any, Any]]
"""By table and key: the table, the key, the value that was written."""

_MISSING: Final = object()


class Memory:
    """A journal of what was written into names, attributes and containers."""

    def __init__(self) -> None:
        self._journal: list[tuple[Table, Any, Any]] = []
        self._open = 0
        self.told = 0
        """How often something was written that outlives a call and may matter."""

    def write(self, table: Table, key: Any, value: Any) -> None:  # noqa: ANN401
        """Write a value into a table that outlives the call in progress."""
        if telling(value):
            self.told += 1
        self.bind(table, key, value)

    def bind(self, table: Table, key: Any, value: Any) -> None:  # noqa: ANN401
        """Write a value into the names of the call in progress."""
        if self._open:
            self._journal.append((table, key, table.get(key, _MISSING)))
        table[key] = value

    def remove(self, table: Table, key: Any) -> None:  # noqa: ANN401
        """Remove a key, if it is there."""
        if key in table:
            if self._open:
                self._journal.append((table, key, table[key]))
            del table[key]

    def begin(self) -> int:
        """Start a branch; give what `take_back` needs."""
        self._open += 1
        return len(self._journal)

    def take_back(self, start: int) -> Changes:
        """End a branch: give what it wrote and restore what was there before."""
        changes: Changes = {}
        while len(self._journal) > start:
            table, key, old = self._journal.pop()
            changes.setdefault((id(table), key), (table, key, table.get(key, _MISSING)))
            if old is _MISSING:
                table.pop(key, None)
            else:
                table[key] = old
        self._open -= 1
        return changes

    def keep(self, start: int) -> Changes:
        """End a branch: give what it wrote and leave it."""
        changes: Changes = {}
        for table, key, _ in self._journal[start:]:
            changes[(id(table), key)] = (table, key, table.get(key, _MISSING))
        self._open -= 1
        if not self._open:
            self._journal.clear()
        return changes

    def merge(self, branches: Sequence[Changes]) -> None:
        """Write what holds after any one of several branches, each of which started from the present state."""
        for place in dict.fromkeys(place for branch in branches for place in branch):
            table, key, _ = next(branch[place] for branch in branches if place in branch)
            values = [branch[place][2] if place in branch else table.get(key, _MISSING) for branch in branches]
            # What one branch does not set at all is an error to read there: the others decide.
            present = [value for value in values if value is not _MISSING]
            if not present:
                self.remove(table, key)
                continue
            joined = present[0]
            for value in present[1:]:
                joined = _join(joined, value)
            if any(branch[place][2] == NONE for branch in branches if place in branch):
                joined = choice(present)  # a branch has chosen None
            if table.get(key, _MISSING) is not joined:
                self.bind(table, key, joined)


def _join(one: Any, other: Any) -> Any:  # noqa: ANN401
    if isinstance(one, tuple) and isinstance(other, tuple):  # the items of a list
        return join_items(one, other)
    if one is other:
        return one
    return join(one, other)
