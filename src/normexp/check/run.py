"""A check, from files to a report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial

from normexp.check.analysis import analyse
from normexp.check.config import Config
from normexp.check.files import STDIN, found
from normexp.check.finding import Finding, Note
from normexp.check.ignores import ignored, ignores
from normexp.check.portions import cut, each
from normexp.check.progress import progress
from normexp.check.report import Line, Report
from normexp.check.source import Source, Unread, parse, read


def run(paths: Sequence[str], config: Config) -> Report:
    """Check files and folders.

    Raises
    ------
    ValueError
        A path leads nowhere.
    MemoryError
        There is too little of it.
    """
    notes: list[Note] = []
    files = found(paths, config.excludes, notes)
    findings: dict[tuple[str, int, int, str], Finding] = {}
    lines: dict[tuple[str, int], Line] = {}
    portions = cut(files)
    with progress(len(files)) as done, closing(each(partial(_checked, files, config), portions)) as parts:
        for portion, part in zip(portions, parts, strict=True):
            notes += part.notes
            lines |= part.lines
            for finding in part.findings:
                # Two portions may meet the same mistake in a third file.
                findings.setdefault((finding.path, finding.line, finding.column, finding.code), finding)
            done(len(portion))
    return Report(
        findings=tuple(findings[key] for key in sorted(findings)),
        notes=tuple(sorted(set(notes), key=lambda note: (note.path, note.line or 0, note.message))),
        files=len(files),
        lines=lines,
    )


def _checked(files: Sequence[str], config: Config, portion: Sequence[str]) -> Report:
    """Check a portion of the files; the others are read where it imports them."""
    notes: list[Note] = []
    sources: dict[str, Source] = {}
    for file in portion:
        source, said = parse(sys.stdin.buffer.read(), "<stdin>") if file == STDIN else read(file)
        notes += said
        if source is not None:
            sources[source.path] = source
            notes += ignored(source)[1]
    entries = frozenset(sources)
    others = frozenset(files).difference(portion)
    sources |= {file: Unread(file) for file in files if file in others and file != STDIN}
    findings = []
    for one in analyse(list(sources.values()), entries):
        if isinstance(one, Note):
            notes.append(one)
        elif config.applies(one.code, one.path) and not ignores(ignored(sources[one.path])[0], one):
            findings.append(one)
    return Report(tuple(findings), tuple(notes), len(portion), _lines(findings, sources))


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
