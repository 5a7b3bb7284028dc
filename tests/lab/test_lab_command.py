"""The command `normexp lab`: the page opened or written, what is said where that fails; and the page as a file."""

from __future__ import annotations

import re
import webbrowser
from pathlib import Path

import pytest
from support import python

from normexp import cli, lab
from normexp.check.rules import RULES

PAGE = Path(lab.__file__).with_name("lab.html")


def test_it_opens_the_page(monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert cli.main(["lab"]) == 0
    assert opened == [PAGE.resolve().as_uri()]
    assert capsys.readouterr() == ("", "")


def no_browser(url):
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("opener", [lambda url: False, no_browser])
def test_without_a_browser_it_says_where_the_page_is(monkeypatch, capsys, opener):
    monkeypatch.setattr(webbrowser, "open", opener)
    assert cli.main(["lab"]) == 0
    out, err = capsys.readouterr()
    assert Path(out.rstrip("\n")).read_bytes() == PAGE.read_bytes()
    assert err.startswith("normexp lab: no browser could be opened here.")
    assert "normexp lab --save lab.html" in err
    assert err.count("\n") == 1


def test_it_writes_the_page(tmp_path, capsys):
    target = tmp_path / "my lab.html"
    target.write_text("old")
    assert cli.main(["lab", "--save", str(target)]) == 0
    assert target.read_bytes() == PAGE.read_bytes() == lab.page()
    assert [path.name for path in tmp_path.iterdir()] == ["my lab.html"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["", "no/such/folder/x.html", ".", "taken/x.html"])
def test_a_path_that_cannot_be_written(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    assert cli.main(["lab", "--save", path]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"normexp lab: cannot write --save {path!r}: ")
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_a_wrongly_typed_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["lab", "page.html"])
    assert end.value.code == 2
    assert "unrecognized arguments: page.html" in capsys.readouterr().err


def test_it_goes_into_a_pipe():
    done = python("-m", "normexp", "lab", "--save", "/dev/stdout")
    assert done.returncode == 0
    assert done.stdout == PAGE.read_text(encoding="utf-8")


def test_the_page_is_one_small_file_that_loads_nothing():
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) < 150_000
    assert text.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in text
    # Its only address is the name of SVG's elements, which nobody fetches.
    assert set(re.findall(r"\w+://[\w./]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(?:src|srcset|@import|fetch|XMLHttpRequest|WebSocket|import\()\b\s*[=(]", text)
    assert len(re.findall(r"<script\b", text)) == 1


def test_the_rules_are_those_of_check():
    shown = dict(re.findall(r'(NX\d+): "([a-z-]+)"', PAGE.read_text(encoding="utf-8")))
    assert len(shown) == 5
    assert shown.items() <= {rule.code: rule.name for rule in RULES}.items()


def test_the_page_of_a_rule_is_printed_as_the_page_says(capsys):
    assert "`normexp check --explain ${code}`" in PAGE.read_text(encoding="utf-8")
    for code, name in re.findall(r'(NX\d+): "([a-z-]+)"', PAGE.read_text(encoding="utf-8")):
        assert cli.main(["check", "--explain", code]) == 0
        assert capsys.readouterr().out.startswith(f"# {code} {name}\n")
