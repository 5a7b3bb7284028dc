"""From sources to findings: the inference tells the rules what it meets, the rules say what is wrong."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from normexp.check.event import Event, Problem
from normexp.check.finding import Finding, Note
from normexp.check.interpreter import Interpreter
from normexp.check.project import Project
from normexp.check.relevance import relevant
from normexp.check.rule import Rule
from normexp.check.rules import MODULES
from normexp.check.source import Source


def analyse(sources: Sequence[Source], entries: Collection[str] | None = None) -> Iterator[Finding | Note]:
    """Find what is wrong in files that are checked together.

    Parameters
    ----------
    sources : sequence of Source
        The files of one or several projects. They may import each other.
    entries : collection of str, optional
        The paths of those to go through; the others are looked into where these import them. All by default.

    Yields
    ------
    Finding or Note
        Each finding once, in the order in which they are found; a note where a file was not followed to its end.
    """
    found: dict[tuple[str, int, int, str], Finding] = {}
    fresh: list[Finding] = []

    def report(event: Event) -> None:
        for module in MODULES:
            find = getattr(module, "find", None)
            problem = find(event) if find is not None else None
            if problem is not None:
                finding = _finding(event, problem, module.RULE)
                key = (finding.path, finding.line, finding.column, finding.code)
                if key not in found:
                    found[key] = finding
                    fresh.append(finding)

    checked, followed = relevant(sources)
    interpreter = Interpreter(Project(followed), report)
    for source in checked:
        if entries is not None and source.path not in entries:
            continue
        note = interpreter.check(source)
        if note is not None:
            yield Note(source.path, note.line, note.message)
        yield from fresh
        fresh.clear()


def _finding(event: Event, problem: Problem, rule: Rule) -> Finding:
    place = problem.place or event.place()
    node = place.node
    assert isinstance(node, ast.expr | ast.stmt)
    line, column, end_line, end_column = place.source.span(node)
    trace = problem.value.trace if problem.value is not None else ()
    if trace:
        trace = (*trace, event.place().step(event.shown))
    return Finding(
        place.source.path,
        line,
        column,
        end_line,
        end_column,
        rule.code,
        rule.name,
        rule.severity,
        problem.message,
        trace,
        problem.fix,
    )
