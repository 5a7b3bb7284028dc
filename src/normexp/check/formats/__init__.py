"""How a report is written: for people, for programs, for GitHub, for code scanning."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from normexp.check.report import Report

FORMATS: Final = ("text", "json", "github", "sarif")


def render(report: Report, form: str) -> str:
    """Write a report in one of the formats, by the module of its name."""
    text: str = import_module(f"normexp.check.formats.{form}").render(report)
    return text
