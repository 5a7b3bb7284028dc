"""Comments that switch rules off for an expression: `# normexp: ignore[CODE]`."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Mapping
from typing import Final

from normexp.check.finding import Finding, Note
from normexp.check.names import rules_of
from normexp.check.rules import RULES
from normexp.check.source import Source

_ALL: Final = frozenset(rule.code for rule in RULES)
_COMMENT: Final = re.compile(r"#\s*normexp:\s*ignore\b(?:\s*\[([^\]]*)\])?")


def ignored(source: Source) -> tuple[Mapping[int, frozenset[str]], list[Note]]:
    """Return the codes that each line ignores, and a note for each comment that names no rule."""
    lines: dict[int, frozenset[str]] = {}
    notes: list[Note] = []
    if "normexp:" not in source.text:
        return lines, notes
    for line, comment in _comments(source.text):
        match = _COMMENT.search(comment)
        if match:
            try:
                lines[line] = _ALL if match[1] is None else rules_of([match[1]])
            except ValueError as error:
                notes.append(Note(source.path, line, f"comment ignores an {error}"))
    return lines, notes


def ignores(lines: Mapping[int, frozenset[str]], finding: Finding) -> bool:
    """Tell whether the first or the last line of the expression ignores the rule."""
    return any(finding.code in lines.get(line, ()) for line in (finding.line, finding.end_line))


def _comments(text: str) -> list[tuple[int, str]]:
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                found.append((token.start[0], token.string))
    except (tokenize.TokenError, SyntaxError):  # what parses in pieces, a notebook, may not end as a file does
        pass
    return found
