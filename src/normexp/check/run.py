"""A check, from files to a report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from normexp.check.analysis import analyse
from normexp.check.config import Config
from normexp.check.files import STDIN, found
from normexp.check.finding import Finding, Note
from normexp.check.ignores import ignored, ignores
from normexp.check.report import Line, Report
from normexp.check.source import Source, parse, read


def run(paths: Sequence[str], config: Config) -> Report:
    """Check files and folders.

    Raises
    ------
    ValueError
        A path leads nowhere.
    """
    notes: list[Note] = []
    files = found(paths, config.excludes, notes)
    sources: dict[str, Source] = {}
    for file in files:
        source, said = parse(sys.stdin.buffer.read(), "<stdin>") if file == STDIN else read(file)
        notes += said
        if source is not None:
            sources[source.path] = source
    findings = _applied(analyse(list(sources.values())), sources, config, notes)
    return Report(
        findings=tuple(findings),
        notes=tuple(sorted(set(notes), key=lambda note: (note.path, note.line or 0, note.message))),
        files=len(files),
        lines=_lines(findings, sources),
    )


def _applied(
    findings: Iterable[Finding | Note], sources: Mapping[str, Source], config: Config, notes: list[Note]
) -> list[Finding]:
    """Return the findings of rules that are applied where they are found, in order."""
    lines = {}
    for path, source in sources.items():
        lines[path], said = ignored(source)
        notes += said
    kept = set()
    for finding in findings:
        if isinstance(finding, Note):
            notes.append(finding)
        elif config.applies(finding.code, finding.path) and not ignores(lines[finding.path], finding):
            kept.add(finding)
    return sorted(kept, key=lambda one: (one.path, one.line, one.column, one.code, one.message))


def _lines(findings: Iterable[Finding], sources: Mapping[str, Source]) -> dict[tuple[str, int], Line]:
    spoken_of = {(finding.path, finding.line) for finding in findings}
    spoken_of |= {(step.path, step.line) for finding in findings for step in finding.trace}
    lines = {}
    for path, line in spoken_of:
        source = sources.get(path)
        if source is not None and 1 <= line <= len(source.lines):
            cell, number = source.place(line)
            lines[path, line] = Line(source.lines[line - 1], number, cell)
    return lines
