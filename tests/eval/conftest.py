"""What the tests of `normexp eval` share."""

from __future__ import annotations

import json

import pytest

for package in ("rich", "scipy", "safetensors"):
    pytest.importorskip(package)

from normexp import cli  # noqa: E402 - after the check that all is there


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """Run the command in a fresh directory, with success, and return its JSON file and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        assert cli.main(["eval", *map(str, arguments), "--json", "out.json"]) == 0, capsys.readouterr().err
        text = (tmp_path / "out.json").read_text()
        (tmp_path / "out.json").unlink()
        return json.loads(text, parse_constant=pytest.fail), capsys.readouterr().out

    return run


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run the command in a fresh directory, to be refused with nothing written; return the message."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        before = sorted(tmp_path.iterdir())
        assert cli.main(["eval", "--json", "out.json", *map(str, arguments)]) == 2
        assert sorted(tmp_path.iterdir()) == before
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("normexp eval: ")
        return line.removeprefix("normexp eval: ")

    return run
