"""A report for code scanning: SARIF 2.1.0, the same text for the same findings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import normexp
from normexp.check.finding import Edit, Finding, Fix, Note
from normexp.check.formats.text import place
from normexp.check.pages import page
from normexp.check.report import Report
from normexp.check.rule import Rule
from normexp.check.rules import RULES

_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
_ROOT: Final = "%SRCROOT%"
_INDEX: Final = {rule.code: index for index, rule in enumerate(RULES)}


def render(report: Report) -> str:
    """Write one run."""
    driver = {"name": "normexp", "version": normexp.__version__, "rules": [_rule(rule) for rule in RULES]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The folder in which the check was run."}}},
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [_notification(note) for note in report.notes],
            }
        ],
        "results": [_result(report, finding) for finding in report.findings],
    }
    document = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why.strip()},
        "help": {"text": rule.why.strip(), "markdown": page(rule)},
        "helpUri": rule.references[0][1],
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["correctness", rule.name], "precision": "very-high"},
    }


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    result = {
        "ruleId": finding.code,
        "ruleIndex": _INDEX[finding.code],
        "level": _LEVELS[finding.severity],
        "message": {"text": _said(report, finding.path, finding.line, finding.message)},
        "locations": [{"physicalLocation": _physical(report, finding.path, finding.line, _region(finding))}],
    }
    if finding.trace:
        steps = [
            {
                "location": {
                    "physicalLocation": _physical(report, step.path, step.line, {"startLine": step.line}),
                    "message": {"text": _said(report, step.path, step.line, step.what)},
                }
            }
            for step in finding.trace
        ]
        result["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if finding.fix and report.line(finding.path, finding.line).cell is None:
        result["fixes"] = [_fix(finding.path, finding.fix)]
    return result


def _said(report: Report, path: str, line: int, message: str) -> str:
    # The lines of a notebook's file are those of its JSON, which nobody looks at: the text says the cell instead.
    return message if report.line(path, line).cell is None else f"{place(report, path, line)}: {message}"


def _physical(report: Report, path: str, line: int, region: dict[str, int]) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(path)}
    if report.line(path, line).cell is None:
        location["region"] = region
    return location


def _artifact(path: str) -> dict[str, str]:
    if Path(path).is_absolute():
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(os.fsencode(path)), "uriBaseId": _ROOT}


def _region(where: Finding | Edit) -> dict[str, int]:
    return {
        "startLine": where.line,
        "startColumn": where.column,
        "endLine": where.end_line,
        "endColumn": where.end_column,
    }


def _fix(path: str, fix: Fix) -> dict[str, Any]:
    edits = [{"deletedRegion": _region(edit), "insertedContent": {"text": edit.text}} for edit in fix.edits]
    return {
        "description": {"text": fix.message},
        "artifactChanges": [{"artifactLocation": _artifact(path), "replacements": edits}],
    }


def _notification(note: Note) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": _artifact(note.path)}
    if note.line:
        location["region"] = {"startLine": note.line}
    return {"level": "note", "message": {"text": note.message}, "locations": [{"physicalLocation": location}]}
