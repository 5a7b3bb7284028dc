"""A report for programs: a list of objects, one a finding."""

from __future__ import annotations

import json
from typing import Any

from normexp.check.report import Report


def render(report: Report) -> str:
    """Write the findings; in a notebook, lines count within the cell, whose number (from 1) is given beside them."""
    return json.dumps(
        [
            {
                "path": finding.path,
                **_lines(report, finding.path, line=finding.line, end_line=finding.end_line),
                "column": finding.column,
                "code": finding.code,
                "name": finding.name,
                "severity": finding.severity,
                "message": finding.message,
                "trace": [
                    {"what": step.what, "path": step.path, **_lines(report, step.path, line=step.line)}
                    for step in finding.trace
                ],
            }
            for finding in report.findings
        ],
        indent=2,
    ) + "\n"  # fmt: skip


def _lines(report: Report, path: str, **numbers: int) -> dict[str, Any]:
    found = report.line(path, numbers["line"])
    if found.cell is None:
        return numbers
    shift = numbers["line"] - found.number
    return {"cell": found.cell, **{key: number - shift for key, number in numbers.items()}}
