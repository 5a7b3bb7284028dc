"""What a check of some paths gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from normexp.check.finding import Finding, Note


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file that is spoken of; of a notebook, the number of its cell (from 1) and of the line in it."""

    text: str
    number: int
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of `check`.

    Attributes
    ----------
    findings : tuple of Finding
        By path, line, column and code.
    notes : tuple of Note
        What was not checked, and why; by path and line.
    files : int
        How many files were looked at.
    lines : mapping of (str, int) to Line
        For each path and line of a finding, and of a step of its trace, what stands there.
    """

    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    files: int
    lines: Mapping[tuple[str, int], Line]

    @property
    def failed(self) -> bool:
        """Whether there is a finding of severity error or warning; those of severity info fail nothing."""
        return any(finding.severity != "info" for finding in self.findings)

    def line(self, path: str, line: int) -> Line:
        """Return what stands in a line of a finding or of its trace."""
        return self.lines.get((path, line)) or Line("", line)
