"""Ctrl-C: what is known by then is printed, files stay as they were."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rich")

from normexp import cli, get_num_threads
from normexp.bench import run as run_module
from normexp.bench.peers import PEERS
from normexp.bench.scaling import Sweep
from normexp.bench.timing import interleave


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    for name in list(PEERS):
        monkeypatch.delitem(PEERS, name)
    monkeypatch.setattr("normexp.bench.timing.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("normexp.bench.timing._SAMPLE_SECONDS", 0.0)


def interrupt_in(monkeypatch, call, rounds):
    """Have the timing interrupted in that call of it, after so many rounds."""
    calls = 0

    def interrupted(series, pairs, seconds, progress):
        nonlocal calls
        calls += 1
        if calls == call:
            for number in range(rounds):
                for one in series:
                    one.sample(number)
            series[0].sample(rounds)  # and in the midst of a round
            raise KeyboardInterrupt
        interleave(series, pairs, seconds, progress)

    for module in ("normexp.bench.timed", "normexp.bench.scaling"):
        monkeypatch.setattr(f"{module}.interleave", interrupted)


@pytest.mark.parametrize(("rounds", "shown"), [(0, False), (5, False), (6, True)])
def test_in_the_second_cell(rounds, shown, monkeypatch, tmp_path, capsys):
    interrupt_in(monkeypatch, 2, rounds)
    before = get_num_threads()
    files = tmp_path / "x.json", tmp_path / "x.html"
    files[1].write_text("as it was")
    arguments = "--shape", "3,4", "--shape", "5,6", "--shape", "7,8", "--seconds", "0.01", "--threads", "1"
    assert cli.main(["bench", *arguments, "--json", str(files[0]), "--html", str(files[1])]) == 130
    captured = capsys.readouterr()
    assert captured.err == "normexp: interrupted\n"
    assert os.listdir(tmp_path) == ["x.html"]
    assert files[1].read_text() == "as it was"
    assert "softmax, 3 x 4 float32" in captured.out
    assert ("softmax, 5 x 6 float32" in captured.out) == shown
    assert ("interrupted: neither errors nor promises" in captured.out) == shown
    assert "7 x 8" not in captured.out
    assert captured.out.splitlines()[-1].startswith("normexp bench: 1 cell, ")
    assert get_num_threads() == before


@pytest.mark.parametrize(("rounds", "shown"), [(0, False), (6, True)])
def test_in_a_sweep(rounds, shown, monkeypatch, capsys):
    interrupt_in(monkeypatch, 2, rounds)
    monkeypatch.setattr(run_module, "SWEEPS", (Sweep("rows of 10 classes", "rows", ((1, 10), (2, 10))),))
    assert cli.main(["bench", "--scaling", "--seconds", "0.01"]) == 130
    captured = capsys.readouterr()
    assert captured.err == "normexp: interrupted\n"
    assert "softmax float32, out=: rows of 10 classes" in captured.out
    assert ("cross_entropy float32, fresh: rows of 10 classes" in captured.out) == shown
    assert captured.out.splitlines()[-1].startswith("normexp bench: 1 function, ")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_from_outside(tmp_path):
    arguments = "--scaling", "--op", "logsumexp", "--seconds", "100", "--json", str(tmp_path / "x.json")
    running = subprocess.Popen(
        [sys.executable, "-m", "normexp", "bench", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "normexp" in running.stdout.readline()
    time.sleep(0.5)  # the arrays are being filled, or sizes timed
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == "normexp: interrupted\n"
    assert re.search(r"^normexp bench: ", out, re.MULTILINE)
    assert os.listdir(tmp_path) == []
