"""docs/understanding-softmax.md, in both languages: every block is run, and prints what the page says."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("understanding-softmax.md", "understanding-softmax.zh.md")


def blocks(page: str, kind: str) -> list[str]:
    """The blocks of code of one kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)


def printed(commands: list[str]) -> str:
    """What a shell in a terminal of 80 columns prints, each command after its prompt."""
    python = f'normexp() {{ "{sys.executable}" -m normexp "$@"; }}\n'
    out = ""
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail\n{python}{command}"],
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        out += f"$ {command}\n{done.stdout}"
    return out


@pytest.mark.skipif(shutil.which("bash") is None, reason="the commands are for a shell")
@pytest.mark.parametrize("block", blocks(PAGES[0], "console"), ids=lambda block: block.splitlines()[0])
def test_commands(block: str) -> None:
    assert printed(re.findall(r"^\$ (.*)$", block, re.M)) == block


def test_python() -> None:
    for package in ("torch", "sklearn"):
        pytest.importorskip(package)
    code = "\n".join(blocks(PAGES[0], "pycon"))
    test = doctest.DocTestParser().get_doctest(code, {}, PAGES[0], PAGES[0], 0)
    assert len(test.examples) > 30
    said: list[str] = []
    failed, _ = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert failed == 0, "".join(said)


@pytest.mark.parametrize("kind", ["console", "pycon"])
def test_both_languages_show_the_same(kind: str) -> None:
    assert blocks(PAGES[0], kind) == blocks(PAGES[1], kind)


def test_both_languages_have_the_same_numbers() -> None:
    """Those of the tables and of the prose; the headings are as many."""
    texts = [
        re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.M | re.S) for page in PAGES
    ]
    numbers = [sorted(re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text, re.A)) for text in texts]
    assert numbers[0] == numbers[1]
    assert texts[0].count("\n## ") == texts[1].count("\n## ") == 9
