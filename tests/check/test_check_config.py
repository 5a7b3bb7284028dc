"""The table in pyproject.toml, and comments that allow an expression."""

from __future__ import annotations

from pathlib import Path

import pytest

from normexp import cli
from normexp.check import check

WRONG = "import torch.nn.functional as F\nloss = F.cross_entropy(F.softmax(x, 1), y)\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(*paths, **options):
    return [finding.path for finding in check(paths, **options).findings]


@pytest.mark.parametrize(
    ("table", "left"),
    [
        ("", ["a.py", "sub/b.py"]),
        ('select = ["NX2"]', []),
        ('ignore = ["double-softmax"]', []),
        ('exclude = ["sub"]', ["a.py"]),
        ('exclude = ["sub/*.py", "a.*"]', []),
        ('exclude = ["ub"]', ["a.py", "sub/b.py"]),
        ('per-file-ignores = {"sub/*" = ["NX1"]}', ["a.py"]),
        ('per-file-ignores = {"a.py" = ["NX2"]}', ["a.py", "sub/b.py"]),
    ],
)
def test_the_table(table, left):
    write("pyproject.toml", f"[tool.normexp.check]\n{table}\n")
    write("a.py", WRONG)
    write("sub/b.py", WRONG)
    assert found(".") == left
    # A file that is named, as pre-commit does, is excluded no less.
    assert found("a.py", "sub/b.py") == left


def test_the_command_line_goes_before_select_and_adds_to_ignore():
    write("a.py", WRONG)
    write("pyproject.toml", '[tool.normexp.check]\nselect = ["NX2"]\n')
    assert found("a.py", select=["NX1"]) == ["a.py"]
    write("pyproject.toml", '[tool.normexp.check]\nignore = ["NX101"]\n')
    assert found("a.py", select=["NX1"]) == []


def test_the_nearest_file_with_a_table_counts():
    write("pyproject.toml", '[tool.normexp.check]\nignore = ["NX1"]\n')
    write("sub/pyproject.toml", "[project]\nname = 'x'\n")
    write("sub/a.py", WRONG)
    assert found("sub/a.py") == []
    write("sub/pyproject.toml", "[tool.normexp.check]\n")
    assert found("sub/a.py") == ["sub/a.py"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.normexp.check]\nselct = []\n", "unknown key 'selct' (did you mean 'select'?)"),
        ('[tool.normexp.check]\nselect = ["NX7"]\n', "unknown rule 'NX7'"),
        ('[tool.normexp.check]\nselect = "NX1"\n', "select must be a list of strings, not 'NX1'"),
        ("[tool.normexp.check]\nper-file-ignores = []\n", "per-file-ignores must be a table"),
        ("[tool.normexp]\ncheck = 1\n", "must be a table"),
        ("[tool.normexp.check\n", "is no TOML"),
    ],
)
def test_a_wrong_table_costs_one_line(text, said, capsys):
    write("pyproject.toml", text)
    write("a.py", WRONG)
    assert cli.main(["check", "a.py"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("normexp check: pyproject.toml")
    assert said in err


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("# normexp: ignore", 0),
        ("# normexp: ignore[NX101]", 0),
        ("# noqa  # normexp:ignore[implicit-dim, double-softmax]", 0),
        ("# normexp: ignore[NX2]", 1),
        ("# normexp: ignored", 1),
        ("# ignore", 1),
    ],
)
def test_a_comment_allows_an_expression(comment, left):
    write("a.py", f"import torch.nn.functional as F\nloss = F.cross_entropy(F.softmax(x, 1), y)  {comment}\n")
    assert len(found("a.py")) == left


def test_the_first_and_the_last_line_count():
    lines = ["import torch.nn.functional as F", "loss = F.cross_entropy(", "    F.softmax(x, 1),", "    y,", ")", ""]
    for number, left in ((1, 0), (2, 1), (3, 1), (4, 0), (0, 1)):
        text = lines.copy()
        text[number] += "  # normexp: ignore[NX101]"
        write("a.py", "\n".join(text))
        assert len(found("a.py")) == left, number


def test_a_comment_is_not_a_string_and_an_unknown_rule_in_it_is_noted():
    write("a.py", f's = """\n# normexp: ignore\n"""\n{WRONG.rstrip()}  # normexp: ignore[NX77]\n')
    report = check("a.py")
    assert len(report.findings) == 1
    assert [(note.line, note.message) for note in report.notes] == [
        (5, "comment ignores an unknown rule 'NX77' (did you mean 'NX107'?)")
    ]
