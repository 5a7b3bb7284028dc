"""A report for people: where, what, the path of the value, the line itself."""

from __future__ import annotations

from collections import Counter
from typing import Final

from normexp.check.finding import Finding, Note
from normexp.check.report import Report

# A line of a terminal, less the margin.
_WIDTH: Final = 110


def render(report: Report) -> str:
    """Write the findings and, at the end, how many there are."""
    return "".join(f"{_finding(report, finding)}\n" for finding in report.findings) + f"{_summary(report)}\n"


def note(note: Note) -> str:
    """Write a note, in one line."""
    return printable(f"{note.path}{f':{note.line}' if note.line else ''} {note.message}")


def place(report: Report, path: str, line: int) -> str:
    """Write path and line; of a notebook, the cell and the line in it."""
    found = report.line(path, line)
    return f"{path}:{line}" if found.cell is None else f"{path}:cell {found.cell}:{found.number}"


def trace(report: Report, finding: Finding) -> str:
    """Write the path that the value took; a step where the step before is does not say so again."""
    steps, before = [], None
    for step in finding.trace:
        here = (step.path, step.line)
        steps.append(step.what if here == before else f"{step.what} at {place(report, *here)}")
        before = here
    return " -> ".join(steps)


def printable(text: str) -> str:
    """Blank what would move the cursor, or do worse, in a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _finding(report: Report, finding: Finding) -> str:
    where = f"{place(report, finding.path, finding.line)}:{finding.column}"
    lines = [f"{where} {finding.code} {finding.name} {finding.severity}: {finding.message}"]
    if finding.trace:
        lines.append(f"    {trace(report, finding)}")
    shown = report.line(finding.path, finding.line)
    if shown.text:
        number = str(shown.number)
        code, caret = _excerpt(finding, shown.text)
        lines += [f"    {number} | {code}", f"    {' ' * len(number)} | {caret}"]
    if finding.fix:
        lines.append(f"    fix ({'--fix' if finding.fix.safe else '--fix --unsafe-fixes'}): {finding.fix.message}")
    return "\n".join(map(printable, lines))


def _excerpt(finding: Finding, text: str) -> tuple[str, str]:
    """Return the part of the line that has the finding, and what underlines it."""
    begin = finding.column - 1
    end = finding.end_column - 1 if finding.end_line == finding.line else len(text)
    left = 0 if end <= _WIDTH else max(0, begin - _WIDTH // 4)
    shown = text[left : left + _WIDTH]
    length = max(1, min(end, left + len(shown)) - begin)
    return shown, " " * (begin - left) + "^" * length


def _summary(report: Report) -> str:
    files = f"{report.files:,} file{'' if report.files == 1 else 's'}"
    if not report.findings:
        return f"no findings in {files}"
    counts = Counter(finding.severity for finding in report.findings)
    said = ", ".join(
        f"{counts[severity]:,} {severity}{'' if severity == 'info' or counts[severity] == 1 else 's'}"
        for severity in ("error", "warning", "info")
        if counts[severity]
    )
    safe = sum(finding.fix is not None and finding.fix.safe for finding in report.findings)
    return f"{said} in {files}" + (f"; --fix repairs {safe:,}" if safe else "")
