"""Fixes put into the files: those that do not overlap, and only where the result still parses."""

from __future__ import annotations

import io
import json
import re
import tokenize
from collections.abc import Iterable, Sequence
from typing import Final

from normexp._whole_file import WholeFile
from normexp.check import notebook
from normexp.check.finding import Edit, Finding, Note
from normexp.check.source import NOTEBOOK, CannotParseError, parse, syntax_tree

_END: Final = re.compile(r"\r\n|\r|\n")


def fix(findings: Iterable[Finding], *, unsafe: bool) -> tuple[int, list[Note]]:
    """Repair files.

    Parameters
    ----------
    findings : iterable of Finding
        As a check has just given them.
    unsafe : bool
        Also put in the fixes that may change what the program computes.

    Returns
    -------
    fixed : int
        How many findings were repaired.
    notes : list of Note
        The files that could not be written, or would not have parsed.
    """
    by_path: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.fix and (finding.fix.safe or unsafe):
            by_path.setdefault(finding.path, []).append(finding)
    fixed, notes = 0, []
    for path, wanted in sorted(by_path.items()):
        chosen = _apart(wanted)
        edits = sorted({edit for finding in chosen if finding.fix for edit in finding.fix.edits}, key=_begin)
        try:
            with WholeFile(path) as file:
                with open(path, "rb") as stream:
                    content = stream.read()
                edited = _edited_notebook if path.endswith(NOTEBOOK) else _edited_file
                file.write_bytes(edited(content, edits))
        except OSError as error:
            notes.append(Note(path, None, f"cannot be written: {error.strerror or error}"))
        except (CannotParseError, UnicodeError) as error:
            notes.append(Note(path, None, f"not fixed: the result {error}"))
        else:
            fixed += len(chosen)
    return fixed, notes


def _begin(edit: Edit) -> tuple[int, int, int, int]:
    return edit.line, edit.column, edit.end_line, edit.end_column


def _apart(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, from the first on, whose fixes do not touch one another, but may share an edit."""
    chosen: list[Finding] = []
    taken: set[Edit] = set()
    for finding in findings:
        edits = set(finding.fix.edits) if finding.fix else set()
        if edits and not any(_overlap(one, other) for one in edits - taken for other in taken):
            taken |= edits
            chosen.append(finding)
    return chosen


def _overlap(one: Edit, other: Edit) -> bool:
    # Two that touch are apart unless one inserts: then it would matter who is first.
    first, second = sorted((one, other), key=_begin)
    return (second.line, second.column) < (first.end_line, first.end_column) or _begin(first)[:2] == _begin(second)[:2]


def _edited_file(content: bytes, edits: Sequence[Edit]) -> bytes:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    text = content.decode(encoding)  # of a text with a byte order mark, this takes it off and puts it on again
    ends = [match[0] for match in _END.finditer(text)]
    newline = max(set(ends), key=ends.count) if ends else "\n"
    text = _replaced(text, [(edit, edit.text.replace("\n", newline)) for edit in edits])
    edited = text.encode(encoding)
    source, notes = parse(edited, "x.py")
    if source is None:
        raise CannotParseError(notes[0].message)
    return edited


def _replaced(text: str, edits: Iterable[tuple[Edit, str]]) -> str:
    starts = [0, *(match.end() for match in _END.finditer(text))]
    parts, done = [], 0
    for edit, new in edits:
        begin = starts[edit.line - 1] + edit.column - 1
        parts += [text[done:begin], new]
        done = starts[edit.end_line - 1] + edit.end_column - 1
    return "".join([*parts, text[done:]])


def _edited_notebook(content: bytes, edits: Sequence[Edit]) -> bytes:
    source, _ = notebook.parse(content, NOTEBOOK)
    document = notebook.load(content)
    assert source is not None
    cells = dict(enumerate(notebook.cells(document), 1))
    by_cell: dict[int, list[tuple[Edit, str]]] = {}
    for edit in edits:
        number, line = source.place(edit.line)
        shift = edit.line - line
        moved = Edit(line, edit.column, edit.end_line - shift, edit.end_column, edit.text)
        by_cell.setdefault(number or 0, []).append((moved, edit.text))
    for number, moved_edits in by_cell.items():
        key = "source" if "source" in cells[number] else "input"
        old = cells[number][key]
        text = _replaced(old if isinstance(old, str) else "".join(old), moved_edits)
        syntax_tree(notebook.python(text))
        cells[number][key] = text if isinstance(old, str) else text.splitlines(keepends=True)
    raw = content.decode("utf-8-sig")
    indent = re.search(r"\n([ \t]+)\"", raw)
    written = json.dumps(document, indent=indent[1] if indent else None, ensure_ascii=raw.isascii())
    if raw.endswith("\n"):
        written += "\n"
    return written.encode()
