"""A finding, and how it reads."""

from __future__ import annotations

import os
from dataclasses import dataclass

from normexp.guard.kinds import Kind
from normexp.guard.lines import Line


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one line of the user's code.

    Parameters
    ----------
    kind : Kind
        What it is.
    line : Line
        The line: of the call that was given the wrong thing, or of the operation that made a NaN.
    message : str
        One sentence, with the number that shows it.
    trace : tuple of str
        Where it came from and where it showed, as far as known.
    """

    kind: Kind
    line: Line
    message: str
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{shown(self.line)}: {self.kind.code} {self.kind.name} ({self.kind.severity}): {self.message}"
        return "\n".join([head, *(f"    {step}" for step in self.trace), f"    {self.kind.remedy}"])


def shown(line: Line) -> str:
    """Return ``path:number``, the path relative to the working directory where it lies below."""
    path = line.path
    if os.path.isabs(path):
        here = os.getcwd() + os.sep
        path = path.removeprefix(here)
    return f"{path}:{line.number}"
