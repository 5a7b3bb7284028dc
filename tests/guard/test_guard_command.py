"""``normexp guard`` and ``pytest --normexp-guard``, as their users run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from normexp import cli

SCRIPTS = Path(__file__).parent / "scripts"
PROGRAM = """
import sys
import torch
from beside import double, proper
print("arguments", sys.argv[1:], __name__)
(double if "double" in sys.argv else proper)()
if "raise" in sys.argv: raise LookupError("of the program")
if "exit" in sys.argv: sys.exit(7)
if "say" in sys.argv: sys.exit("farewell")
if "wait" in sys.argv:
    import time
    print("ready", flush=True)
    time.sleep(60)
"""
BESIDE = """
import torch, torch.nn.functional as F
def double(): F.cross_entropy(torch.arange(80.0).sin().view(8, 10).softmax(1), torch.arange(8))
def proper(): F.cross_entropy(torch.arange(80.0).sin().view(8, 10), torch.arange(8))
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "beside.py").write_text(BESIDE)
    return tmp_path / "program.py"


def guard(*arguments, **options):
    command = [sys.executable, "-m", "normexp", "guard", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--rate", "3", "-m", "--help"], 0),
        (["double"], 1),
        (["double", "exit"], 7),
        (["say"], 1),
        (["raise"], 1),
    ],
)
def test_exit_codes_and_arguments(program, arguments, code):
    done = guard(program, *arguments)
    assert done.returncode == code
    assert done.stdout == f"arguments {arguments!r} __main__\n"
    assert ("double-softmax" in done.stderr) == ("double" in arguments)
    if arguments == ["raise"]:  # as python says it: nothing of ours on the way
        assert "runpy" not in done.stderr
        assert "guard" not in done.stderr
        assert done.stderr.endswith("LookupError: of the program\n")
    if arguments == ["double"]:
        line = f"{program.parent / 'beside.py'}:3: NX101 double-softmax (error): "
        assert done.stderr.startswith(f"normexp guard: {line}")
        assert done.stderr.endswith("normexp guard: 1 finding\n")


def test_a_module(program):
    done = guard("-m", "program", "double", cwd=program.parent, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 1
    assert done.stdout == "arguments ['double'] __main__\n"
    assert done.stderr.startswith("normexp guard: beside.py:3: NX101")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which SCRIPT to run, or -m MODULE"),
        (["no/such.py"], "there is no file 'no/such.py'"),
        (["-m", "no.such.module"], "there is no module 'no.such.module'"),
        (["-m", "json.nothing"], "there is no module 'json.nothing'"),
    ],
)
def test_usage(arguments, said, capsys):
    before = sys.path[:]
    assert cli.main(["guard", *arguments]) == 2
    assert capsys.readouterr().err == f"normexp guard: {said}\n"
    assert sys.path == before


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_interrupted(program):
    command = [sys.executable, "-m", "normexp", "guard", str(program), "double", "wait"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "arguments" in running.stdout.readline()
    assert running.stdout.readline() == "ready\n"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.endswith("normexp guard: 1 finding\nnormexp: interrupted\n")


TESTS = """
import sys, pytest
from beside import double, proper
def test_double(): double()
def test_proper(): proper()
@pytest.mark.normexp_unguarded
def test_meant(): double()
"""


def under_pytest(folder, *options):
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_the_plugin_of_pytest(program):
    plugin = ["-p", "pytest_normexp"] if not is_installed() else []
    done = under_pytest(program.parent, *plugin, "--normexp-guard")
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout
    assert "beside.py:3: NX101 double-softmax" in done.stdout
    assert under_pytest(program.parent, *plugin).returncode == 0
    (program.parent / "pytest.ini").write_text("[pytest]\nnormexp_guard = true\n")
    assert "1 failed, 2 passed" in under_pytest(program.parent, *plugin).stdout


def is_installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    from importlib.metadata import entry_points

    return any(one.value == "pytest_normexp" for one in entry_points(group="pytest11"))


def test_the_plugin_loads_nothing_unless_it_is_asked():
    program = "import sys, pytest_normexp; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
