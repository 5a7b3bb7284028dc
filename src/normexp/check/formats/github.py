"""A report as annotations of a pull request, by the workflow commands of GitHub Actions."""

from __future__ import annotations

from typing import Final

from normexp.check.finding import Finding
from normexp.check.formats.text import place, trace
from normexp.check.report import Report

_COMMANDS: Final = {"error": "error", "warning": "warning", "info": "notice"}


def render(report: Report) -> str:
    """Write one line a finding."""
    return "".join(f"{_annotation(report, finding)}\n" for finding in report.findings)


def _annotation(report: Report, finding: Finding) -> str:
    properties = {"file": finding.path}
    message = finding.message
    if report.line(finding.path, finding.line).cell is not None:
        # The lines of the file are those of its JSON, which nobody looks at.
        message = f"{place(report, finding.path, finding.line)}: {message}"
    else:
        properties |= {"line": str(finding.line), "endLine": str(finding.end_line), "col": str(finding.column)}
        if finding.line == finding.end_line:
            # Theirs is inclusive.
            properties["endColumn"] = str(max(finding.column, finding.end_column - 1))
    properties["title"] = f"{finding.code} {finding.name}"
    if finding.trace:
        message += f"\n{trace(report, finding)}"
    said = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{_COMMANDS[finding.severity]} {said}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    text = text.replace("%", "%25")
    for character in f"\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
