"""The Python of a notebook: its code cells one after the other, without what is IPython's and not Python's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from normexp.check.finding import Note
from normexp.check.source import CannotParseError, Source, syntax_tree

# Magics of a whole cell whose body is Python all the same; other cells are in another language, or go to a file.
_PYTHON_CELLS: Final = frozenset({"time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "python", "python3"})
_CELL_MAGIC: Final = re.compile(r"\s*%%(\w*)")
# `% x` and `!= x` go on with an expression of the line before.
_MAGIC: Final = re.compile(r"(\s*)(?:%\w|!(?!=)|\?|[\w.]+\?+\s*$)")
_ASSIGNED: Final = re.compile(r"(\s*[\w.,\s]+=\s*)(?:%\w|!(?!=))")


def parse(content: bytes, path: str) -> tuple[Source | None, list[Note]]:
    """Parse a notebook. A cell that does not parse is a note; the others are checked.

    Raises
    ------
    CannotParseError
        The file is no notebook, or none in Python.
    """
    document = load(content)
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    notes: list[Note] = []
    for number, text in code_cells(document):
        first = len(lines) + 1
        starts.append((first, number))
        try:
            lines += python(text).split("\n")
        except CannotParseError as error:
            where = f"cell {number}" if error.line is None else f"cell {number}, line {error.line}:"
            notes.append(Note(path, None, f"{where} {error}"))
            lines += [""] * (text.count("\n") + 1)
    joined = "\n".join(lines)
    return Source(path, joined, tuple(lines) or ("",), syntax_tree(joined), tuple(starts)), notes


def load(content: bytes) -> dict[str, Any]:
    """Read the document, which must be a notebook in Python."""
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CannotParseError(f"is no notebook: {error}") from None
    if not isinstance(document, dict) or not isinstance(cells(document), list):
        raise CannotParseError("is no notebook: it has no cells")
    metadata = document.get("metadata")
    for section, key in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(section) if isinstance(metadata, dict) else None
        language = part.get(key) if isinstance(part, dict) else None
        if isinstance(language, str) and "python" not in language.lower():
            raise CannotParseError(f"is a notebook in {language}, not in Python")
    return document


def code_cells(document: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each code cell."""
    for number, cell in enumerate(cells(document), 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            text = cell.get("source", cell.get("input", ""))  # "input" until version 3 of the format
            if isinstance(text, list):
                text = "".join(part for part in text if isinstance(part, str))
            if isinstance(text, str):
                yield number, text.replace("\r\n", "\n").replace("\r", "\n")


def cells(document: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever the file holds
    """Return the cells of all kinds."""
    if "worksheets" in document:  # until version 3 of the format
        sheets = document["worksheets"]
        found = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
        return [cell for part in found if isinstance(part, list) for cell in part]
    return document.get("cells")


def python(text: str) -> str:
    """Return the Python of a cell, line for line.

    Raises
    ------
    CannotParseError
        Something in it is neither Python nor IPython's.
    """
    start = _CELL_MAGIC.match(text)
    if start:
        if start[1] not in _PYTHON_CELLS:
            return "\n" * text.count("\n")
        lines = text.split("\n")
        head = 1 + text[: start.end()].count("\n")
        text = "\n".join([""] * head + lines[head:])
    try:
        syntax_tree(text)
        return text  # first, because in Python a line may begin with what looks like a magic: in a string, say
    except CannotParseError:
        text = _without_magics(text)
        syntax_tree(text)
        return text


def _without_magics(text: str) -> str:
    lines = []
    continued = False
    for line in text.split("\n"):
        magic, assigned = _MAGIC.match(line), _ASSIGNED.match(line)
        if continued:
            lines.append("")
        elif magic:
            lines.append(f"{magic[1]}pass")  # a block needs a statement
        elif assigned:
            lines.append(f"{assigned[1]}None")
        else:
            lines.append(line)
        continued = (continued or bool(magic or assigned)) and line.endswith("\\")
    return "\n".join(lines)
