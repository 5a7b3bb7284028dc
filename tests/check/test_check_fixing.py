"""Fixes in files: which are put in, and what of the file stays as it was."""

from __future__ import annotations

import json
import os
import stat

import pytest

from normexp import cli
from normexp.check.finding import Edit, Finding, Fix
from normexp.check.fixing import fix

TWO_STEPS = "import torch\nlogp = torch.log(torch.softmax(x, dim=1))\n"
FIXED = "torch.log_softmax(x, dim=1)"
ONE_STEP = "import torch\nlogp = torch.log_softmax(x, dim=1)\n"


def finding(path, *edits, safe=True):
    edits = tuple(Edit(*edit) for edit in edits)
    where = edits[0]
    span = (where.line, where.column, where.end_line, where.end_column)
    return Finding(str(path), *span, "NX301", "log-of-softmax", "warning", "", (), Fix(edits, safe, ""))


def test_edits_are_put_in(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("a = 1\nb = 'é' + c\n")
    path.chmod(0o755)
    findings = [
        finding(path, (2, 5, 2, 8, "2"), (1, 1, 1, 1, "import d\n")),
        finding(path, (2, 11, 2, 12, "e"), (1, 1, 1, 1, "import d\n")),
    ]
    assert fix(findings, unsafe=False) == (2, [])
    assert path.read_text() == "import d\na = 1\nb = 2 + e\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert os.listdir(tmp_path) == ["a.py"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a = 1\r\nb = 2\r\n", b"a = 1\r\nb = (3,\r\n4)\r\n"),
        (b"\xef\xbb\xbfa = 1\nb = 2\n", b"\xef\xbb\xbfa = 1\nb = (3,\n4)\n"),
        (b"# coding: latin-1\nb = 2; c = '\xe9'\n", b"# coding: latin-1\nb = (3,\n4); c = '\xe9'\n"),
        (b"a = '\x0c'\nb = 2", b"a = '\x0c'\nb = (3,\n4)"),
    ],
)
def test_encoding_mark_and_newlines_stay(tmp_path, before, after):
    path = tmp_path / "a.py"
    path.write_bytes(before)
    assert fix([finding(path, (2, 5, 2, 6, "(3,\n4)"))], unsafe=False) == (1, [])
    assert path.read_bytes() == after


def test_of_two_that_overlap_the_first_is_put_in(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("a = f(g(x)) + h\n")
    outer, inner, other = (1, 5, 1, 12, "k"), (1, 7, 1, 11, "l"), (1, 15, 1, 16, "m")
    assert fix([finding(path, outer), finding(path, inner, other)], unsafe=False) == (1, [])
    assert path.read_text() == "a = k + h\n"


def test_unsafe_ones_are_put_in_only_when_asked_for(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("a = 1\n")
    unsafe = [finding(path, (1, 5, 1, 6, "2"), safe=False)]
    assert fix(unsafe, unsafe=False) == (0, [])
    assert path.read_text() == "a = 1\n"
    assert fix(unsafe, unsafe=True) == (1, [])
    assert path.read_text() == "a = 2\n"


@pytest.mark.parametrize("text", ["(", "ü", "'\ud800'"])
def test_what_would_not_parse_is_not_written(tmp_path, text):
    path = tmp_path / "a.py"
    before = b"# coding: ascii\na = 1\n"
    path.write_bytes(before)
    fixed, notes = fix([finding(path, (2, 5, 2, 6, text))], unsafe=False)
    assert fixed == 0
    assert notes[0].message.startswith("not fixed: the result ")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_what_cannot_be_written_is_noted(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("a = 1\n")
    path.chmod(0o444)
    fixed, notes = fix([finding(path, (1, 5, 1, 6, "2"))], unsafe=False)
    assert fixed == 0
    assert "cannot be written" in notes[0].message


@pytest.mark.parametrize("as_list", [True, False])
def test_notebooks(tmp_path, as_list):
    path = tmp_path / "n.ipynb"
    text = "%matplotlib inline\na = 1\nb = 2"
    cells = [
        {"cell_type": "markdown", "source": ["é"]},
        {"cell_type": "code", "source": "x = 0", "outputs": [{"text": "kept"}]},
        {"cell_type": "code", "source": text.splitlines(keepends=True) if as_list else text},
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    before = path.read_text()
    assert fix([finding(path, (3, 5, 3, 6, "7"), (4, 5, 4, 6, "(8,\n9)"))], unsafe=False) == (1, [])
    after = "%matplotlib inline\na = 7\nb = (8,\n9)"
    document["cells"][2]["source"] = after.splitlines(keepends=True) if as_list else after
    assert path.read_text() == json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    assert before != path.read_text()


def found_in(sources, entries=None):
    """Stand in for the inference: log(softmax) is found, and fixed, wherever it stands."""
    for source in sources:
        for number, line in enumerate(source.lines, 1):
            if "torch.log(torch.softmax" in line:
                yield finding(source.path, (number, 8, number, 8 + len("torch.log(torch.softmax(x, dim=1))"), FIXED))


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("normexp.check.run.analyse", found_in)
    (tmp_path / "a.py").write_text(TWO_STEPS)
    (tmp_path / "b.py").write_text("x = 1\n")
    untouched = os.stat("b.py").st_mtime_ns
    assert cli.main(["check", "."]) == 1
    assert capsys.readouterr().out.endswith("1 warning in 2 files; --fix repairs 1\n")
    assert cli.main(["check", ".", "--fix"]) == 0
    out, err = capsys.readouterr()
    assert out == "no findings in 2 files\n"
    assert err == "normexp check: 1 fixed\n"
    assert (tmp_path / "a.py").read_text() == ONE_STEP
    assert os.stat("b.py").st_mtime_ns == untouched
    assert cli.main(["check", ".", "--fix"]) == 0
    assert capsys.readouterr().err == "normexp check: 0 fixed\n"
