"""How a report is written: for people, for programs, for GitHub, for code scanning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from normexp.check.formats import github, json, sarif, text
from normexp.check.report import Report

FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": text.render,
    "json": json.render,
    "github": github.render,
    "sarif": sarif.render,
}
