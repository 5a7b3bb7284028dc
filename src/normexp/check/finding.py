"""What a check gives: findings, each with the path its value took, and notes on what could not be checked.

Lines and columns count from 1, and columns count characters (not bytes, as `ast` does). An end is exclusive. In a
notebook, lines are those of its code cells one after the other, as `Source.text` has them; `Source.place` says which
cell that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Step:
    """One station on the path of a value, from where it became what it is to where it is misused."""

    what: str
    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace a range of the text; an empty range inserts, an empty text deletes."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits of one file that belong together. Safe: the program means the same, but for rounding."""

    edits: tuple[Edit, ...]
    safe: bool
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A proven misuse, at the expression that demands another kind of value than it gets."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    code: str
    name: str
    severity: Severity
    message: str
    trace: tuple[Step, ...] = ()
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Why a file, or a part of it, was not checked."""

    path: str
    line: int | None
    message: str
