"""Files as they come: encodings, notebooks, other languages, hostile ones."""

from __future__ import annotations

import ast
import json
import os
import time

import pytest

from normexp.check import check, source
from normexp.check.source import parse, read


def code(*cells, **metadata):
    return json.dumps(
        {"cells": [{"cell_type": "code", "source": cell} for cell in cells], "metadata": metadata, "nbformat": 4}
    ).encode()


@pytest.mark.parametrize(
    "content",
    [
        "x = 'é'\n".encode(),
        b"\xef\xbb\xbfx = 1\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
        "#!/usr/bin/python\n# vim: set fileencoding=utf-16-le-is-not-this :\nx = 1\n".replace(
            "utf-16-le-is-not-this", "cp1252"
        ).encode(),
        b"x = 1\r\ny = 2\r\n",
        b"x = 1\ry = 2\r",
        b"",
        b"\n",
        b"# nothing\n",
        b"x = '\\d'\n",  # a warning of the parser is not ours
        b"if 1:\n\x0c    x = 1\n",
    ],
)
def test_what_python_reads(content):
    found, notes = parse(content, "a.py")
    assert notes == []
    assert found is not None
    assert "\r" not in found.text
    assert found.lines == tuple(found.text.split("\n"))


@pytest.mark.parametrize(
    ("content", "said", "line"),
    [
        (b"x = '\xe9'\n", "cannot be decoded", None),
        (b"# coding: nonsense\n", "cannot be decoded", None),
        (b"# coding: rot13\nk = 1\n", "cannot be decoded", None),
        (b"x = 1\ny\0\n", "null bytes", 2),
        ("x = 1\n".encode("utf-16"), "cannot be decoded", None),
        (b"x = 1\nprint 'a'\n", "(Python 2?)", 2),
        (b"try: x\nexcept A, e: pass\n", "(Python 2?)", 2),
        (b"x = (\n", "does not parse as Python", 1),
        (b"x = '\\ud800' + \xed\xa0\x80\n", "cannot be decoded", None),
        (b"x = " + b"9" * 5000, "does not parse", 1),
    ],
)
def test_what_python_does_not_read_is_a_note(content, said, line):
    found, notes = parse(content, "a.py")
    assert found is None
    assert len(notes) == 1
    assert said in notes[0].message
    assert "\n" not in notes[0].message
    assert notes[0].line == line


@pytest.mark.parametrize(
    "content",
    [
        b"(" * 100_000,
        b"x = " + b"-" * 100_000 + b"1",
        b"x" + b"()" * 100_000,
        b"x = 1" + b"+1" * 400_000,
        b"x" + b".a" * 400_000,
        b"if 1: pass\n" + b"elif 1: pass\n" * 50_000,
        b"\n".join(b" " * depth + b"if 1:" for depth in range(200)),
        b"[" + b"1," * 4_000_000 + b"]",
        b'f"' + b"{1}" * 1_000_000 + b'"',
        b"x = 1\n" * 3_000_000,
    ],
)
def test_hostile_files_are_notes_in_bounded_time(content):
    start = time.process_time()
    found, notes = parse(content, "a.py")
    assert time.process_time() - start < 10  # 2.1 s for the slowest, on the machine this was written on
    assert found is None
    assert len(notes) == 1


def test_a_line_of_ten_megabytes_is_read():
    found, notes = parse(b"x = '" + b"a" * 10_000_000 + b"'\n", "a.py")
    assert found is not None
    assert notes == []
    assert parse(b"#" * (source.MAX_BYTES + 1), "a.py")[1][0].message == "is larger than 10 MiB"


def test_files_that_cannot_be_read_are_notes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop.py", "loop.py")
    os.symlink("nowhere", "dangling.py")
    os.symlink(".", "again")
    os.mkfifo("pipe.py")
    (tmp_path / "a.py").write_text("x = 1\n")
    report = check(".")
    assert [note.path for note in report.notes] == ["dangling.py", "loop.py", "pipe.py"]
    assert report.files == 4
    assert all("\n" not in note.message for note in report.notes)


def test_positions_count_characters():
    found, _ = parse("é = f('ü', ß) + 1\n".encode(), "a.py")
    assert found is not None
    statement = found.tree.body[0]
    assert isinstance(statement, ast.Assign)
    assert found.span(statement.value) == (1, 5, 1, 18)
    assert found.segment(statement.value) == "f('ü', ß) + 1"
    found, _ = parse(b"x = (1 +\n  2)\n", "a.py")
    assert found is not None
    assert found.segment(found.tree.body[0]) == "x = (1 +\n  2)"


def test_a_notebook_is_its_cells():
    content = code("%matplotlib inline\nimport os\n!ls\nif x:\n    %time y\n", ["a = 1\n", "b = !ls\n", "c = a"], "d?")
    found, notes = parse(content, "n.ipynb")
    assert notes == []
    assert found is not None
    assert found.text == "pass\nimport os\npass\nif x:\n    pass\n\na = 1\nb = None\nc = a\npass"
    assert [found.place(line) for line in (1, 5, 7, 9, 10)] == [(1, 1), (1, 5), (2, 1), (2, 3), (3, 1)]


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%%time\nx = 1", "\nx = 1"),
        ("\n%%capture out\nx = 1", "\n\nx = 1"),
        ("%%bash\nls -l", "\n"),
        ("%%writefile a.py\nx = (", "\n"),
        ('s = """\n%d\n!\n"""', 's = """\n%d\n!\n"""'),
        ("x = (a\n     % b\n     != c)", "x = (a\n     % b\n     != c)"),
        ("!pip install a \\\n    b\nx = 1", "pass\n\nx = 1"),
        ("await f()", "await f()"),
    ],
)
def test_what_is_ipythons_is_blanked_line_for_line(cell, python):
    found, notes = parse(code(cell), "n.ipynb")
    assert notes == []
    assert found is not None
    assert found.text == python


def test_a_cell_that_does_not_parse_leaves_the_others():
    found, notes = parse(code("x = 1", "a b\nc", "y = 2"), "n.ipynb")
    assert found is not None
    assert found.text == "x = 1\n\n\ny = 2"
    assert [note.message.split(":")[0] for note in notes] == ["cell 2, line 1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no notebook"),
        (b"[]", "has no cells"),
        (b'{"cells": 1}', "has no cells"),
        (b"[" * 100_000, "is no notebook"),
        (b"\xff", "is no notebook"),
        (code("x <- 1", kernelspec={"language": "R"}), "in R, not in Python"),
    ],
)
def test_what_is_no_notebook_is_a_note(content, said):
    found, notes = parse(content, "n.ipynb")
    assert found is None
    assert len(notes) == 1
    assert said in notes[0].message


def test_odd_cells_and_old_notebooks():
    cells = [
        1,
        {},
        {"cell_type": "code"},
        {"cell_type": "code", "source": 5},
        {"cell_type": "code", "source": ["x", 1]},
    ]
    found, notes = parse(json.dumps({"cells": cells, "metadata": []}).encode(), "n.ipynb")
    assert notes == []
    assert found is not None
    assert found.text.strip() == "x"
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": "y = 1"}]}]}
    found, _ = parse(json.dumps(old).encode(), "n.ipynb")
    assert found is not None
    assert found.text == "y = 1"
    found, notes = parse(code(), "n.ipynb")
    assert notes == []
    assert found is not None


def test_read_says_why(tmp_path):
    assert read(tmp_path / "no.py")[1][0].message.startswith("cannot be read: No such file")
    assert read(tmp_path)[1][0].message == "is not a regular file"
