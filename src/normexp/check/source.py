"""A file or a notebook as text and syntax tree, or a note that says why not. Nothing of it is run or imported."""

from __future__ import annotations

import ast
import io
import os
import re
import sys
import tokenize
import warnings
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from normexp.check.finding import Note

# Generated data, not code. Python's parser takes 4 us and 1 kB a token (10 MB of "1,": 20 s, 4.8 GB), and until Python
# 3.12 a time that grows with the square of the replacement fields in one f-string (80,000: 4.2 s).
MAX_BYTES: Final = 10 * 2**20
_MAX_TOKENS: Final = 1_000_000
_MAX_BRACES: Final = 100_000
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
NOTEBOOK: Final = ".ipynb"


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    r"""Python that parses.

    Attributes
    ----------
    path : str
        As findings show it.
    text : str
        The code, with "\n" at the end of each line; of a notebook, its code cells one after the other.
    lines : tuple of str
        The lines of `text`, without their ends.
    tree : ast.Module
        Its tree. Use `span` for positions: those of `ast` count bytes.
    cells : tuple of (int, int)
        Of a notebook: the first line of each code cell in `text`, and the number of that cell among all cells, from 1.
    """

    path: str
    text: str
    lines: tuple[str, ...]
    tree: ast.Module
    cells: tuple[tuple[int, int], ...] = ()

    def column(self, line: int, offset: int) -> int:
        """Return the column, in characters from 1, of an offset in UTF-8 bytes, as `ast` has them."""
        text = self.lines[line - 1]
        return 1 + (offset if text.isascii() else len(text.encode()[:offset].decode(errors="replace")))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int, int, int]:
        """Return line, column, end line and end column of a node, as a `Finding` or an `Edit` has them."""
        end_line = node.end_lineno or node.lineno
        end = node.col_offset if node.end_col_offset is None else node.end_col_offset
        return node.lineno, self.column(node.lineno, node.col_offset), end_line, self.column(end_line, end)

    def segment(self, node: ast.expr | ast.stmt) -> str:
        """Return the text of a node."""
        line, column, end_line, end_column = self.span(node)
        if line == end_line:
            return self.lines[line - 1][column - 1 : end_column - 1]
        middle = self.lines[line : end_line - 1]
        return "\n".join((self.lines[line - 1][column - 1 :], *middle, self.lines[end_line - 1][: end_column - 1]))

    def place(self, line: int) -> tuple[int | None, int]:
        """Return the number of the cell, None in a file, and the line in it."""
        if not self.cells:
            return None, line
        first, number = self.cells[max(bisect_right(self.cells, (line, sys.maxsize)) - 1, 0)]
        return number, line - first + 1


_EMPTY: Final = ast.Module([], [])


class Unread(Source):
    """A file that is read when something asks for what is in it; it is empty if that fails."""

    def __init__(self, path: str) -> None:
        object.__setattr__(self, "path", path)

    def __getattr__(self, name: str) -> object:
        # Called for what has no value yet. The tree takes the time, and most often nobody asks for it.
        if name != "tree" and not self.path.endswith(NOTEBOOK):
            found = Source(self.path, text := _text(self.path), tuple(text.split("\n")), _EMPTY)
            slots: tuple[str, ...] = ("text", "lines", "cells")
        else:
            found = read(self.path)[0] or Source(self.path, "", ("",), _EMPTY)
            slots = ("text", "lines", "cells", "tree")
        for slot in slots:
            object.__setattr__(self, slot, getattr(found, slot))
        return object.__getattribute__(self, name)


def _text(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return decode(stream.read(MAX_BYTES))
    except (OSError, CannotParseError):
        return ""


def read(file: str | os.PathLike[str], path: str | None = None) -> tuple[Source | None, list[Note]]:
    """Read and parse a file.

    Parameters
    ----------
    file : path
        The file; a name that ends in .ipynb is a notebook, all else is Python.
    path : str, optional
        What findings show; `file` by default.

    Returns
    -------
    source : Source or None
        None if there is nothing to check; then a note says why.
    notes : list of Note
        What could not be checked.
    """
    path = os.fspath(file) if path is None else path
    try:
        # A pipe or a device may never end, and opening it may wait.
        if os.path.exists(file) and not os.path.isfile(file):
            return None, [Note(path, None, "is not a regular file")]
        with open(file, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return None, [Note(path, None, f"cannot be read: {error.strerror or error}")]
    except ValueError as error:  # a null byte in the name
        return None, [Note(path, None, f"cannot be read: {error}")]
    return parse(content, path)


def parse(content: bytes, path: str) -> tuple[Source | None, list[Note]]:
    """Parse the content of a file; `read` says what is returned."""
    if len(content) > MAX_BYTES:
        return None, [Note(path, None, f"is larger than {MAX_BYTES >> 20} MiB")]
    try:
        if path.endswith(NOTEBOOK):
            from normexp.check import notebook

            return notebook.parse(content, path)
        text = decode(content)
        return Source(path, text, tuple(text.split("\n")), syntax_tree(text)), []
    except CannotParseError as error:
        return None, [Note(path, error.line, str(error))]


class CannotParseError(Exception):
    """Says, for a person, why a text has no tree."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def decode(content: bytes) -> str:
    r"""Decode a file as Python does (PEP 263, byte order mark), every end of a line becoming "\n"."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError as error:
        raise CannotParseError(f"cannot be decoded: {error.msg}") from None
    try:
        text = content.decode(encoding)
    except (UnicodeError, LookupError) as error:  # LookupError: a codec that does not give text
        raise CannotParseError(f"cannot be decoded: {error}") from None
    if "\0" in text:
        raise CannotParseError("has null bytes: not Python, or UTF-16", 1 + text[: text.index("\0")].count("\n"))
    return text.replace("\r\n", "\n").replace("\r", "\n")


# Messages of the parser on what was right in Python 2.
_PYTHON_2: Final = ("Missing parentheses in call to", "multiple exception types must be", "leading zeros in decimal")


def syntax_tree(text: str) -> ast.Module:
    """Parse a text, whatever it is.

    Raises
    ------
    CannotParseError
        It does not parse, or not within Python's limits of depth and memory.
    """
    if text.count("{") > _MAX_BRACES:
        raise CannotParseError(f"has more than {_MAX_BRACES:,} braces: data?")
    if len(text) > _MAX_TOKENS and sum(1 for _ in _TOKEN.finditer(text)) > _MAX_TOKENS:
        raise CannotParseError(f"has more than {_MAX_TOKENS:,} words and signs: data?")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons in the code under check
            return ast.parse(text)
    except SyntaxError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        hint = " (Python 2?)" if error.msg.startswith(_PYTHON_2) else ""
        raise CannotParseError(f"does not parse as Python {version}: {error.msg}{hint}", error.lineno) from None
    except (RecursionError, MemoryError):
        raise CannotParseError("is nested too deeply to be parsed") from None
    except (ValueError, OverflowError) as error:  # a surrogate, a number of more digits than Python converts
        raise CannotParseError(f"does not parse: {error}") from None
