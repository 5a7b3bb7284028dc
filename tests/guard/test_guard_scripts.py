"""Training scripts of scikit-learn's digits: each seeded fault is found, at its line; correct scripts give nothing."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
import torch

import normexp.torch as nxt

SCRIPTS = Path(__file__).parent / "scripts"
FAULTS = sorted((SCRIPTS / "faults").glob("*.py"))
RIGHT = sorted((SCRIPTS / "right").glob("*.py"))


@pytest.fixture(autouse=True)
def _as_a_program(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(script: Path) -> nxt.guard:
    torch.manual_seed(0)
    with nxt.guard(tell=lambda finding: None) as watched:
        runpy.run_path(str(script), run_name="__main__")
    return watched


@pytest.mark.parametrize("script", FAULTS, ids=lambda path: path.stem)
def test_a_fault_is_found_in_five_batches(script):
    """Each of these trains for five batches, after which it ends."""
    expected = [
        (match[1], number)
        for number, text in enumerate(script.read_text().splitlines(), 1)
        if (match := re.search(r"# finds: (\S+)", text))
    ]
    assert len(expected) == 1
    found = run(script).findings
    assert [(one.kind.name, one.line.number) for one in found] == expected
    assert found[0].line.path == str(script)
    assert found[0].kind.remedy in str(found[0])


@pytest.mark.parametrize("script", RIGHT, ids=lambda path: path.stem)
def test_a_correct_script_gives_nothing(script):
    assert [str(one) for one in run(script).findings] == []


def test_there_are_scripts_enough():
    assert len(FAULTS) >= 12
    assert len(RIGHT) >= 20
