"""Many files at once: the same findings on any number of cores, interruption, progress."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from normexp.check import check, portions, progress
from normexp.check.formats import render

# JAX, which other tests of this process may have brought in, warns of every fork; the children use nothing of it.
pytestmark = pytest.mark.filterwarnings(r"ignore:os.fork\(\) was called:RuntimeWarning")

WRONG = "import torch.nn.functional as F\nloss = F.cross_entropy(F.softmax(x, 1), y)\n"
LOSS = "from torch.nn import functional as F\n\n\ndef loss(p, y):\n    return F.cross_entropy(p, y)\n"
CALLER = "import torch\nfrom loss import loss\n\nvalue = loss(torch.softmax(x, dim=1), y)\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        (tmp_path / f"a{number:02}.py").write_text(WRONG if number % 3 else CALLER)
    (tmp_path / "loss.py").write_text(LOSS)
    (tmp_path / "old.py").write_text("print 1\n")
    (tmp_path / "noted.py").write_text("x = 1  # normexp: ignore[NX77]\n")
    return tmp_path


def test_portions_keep_order_and_size(project, monkeypatch):
    monkeypatch.setattr(portions, "_BYTES", 100)
    files = sorted(os.listdir())
    cut = portions.cut([*files, "no/such.py"])
    assert [file for portion in cut for file in portion] == [*files, "no/such.py"]
    assert len(cut) > 5
    assert all(len(portion) == 1 or sum(map(os.path.getsize, portion)) <= 100 for portion in cut[:-1])
    assert portions.cut([]) == []


def test_the_last_portions_are_small(tmp_path):
    """Or one core would wait for the other's last one: of 12 MiB, half a second at most."""
    files = [tmp_path / f"{i:03}.py" for i in range(200)]
    for file in files:
        file.touch()
        os.truncate(file, 60 << 10)
    sizes = [sum(map(os.path.getsize, portion)) >> 10 for portion in portions.cut(list(map(str, files)))]
    assert sum(sizes) == 12_000
    assert 1900 < sizes[0] <= 2048
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 256


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_the_same_report_on_any_number_of_cores(project, monkeypatch, cores):
    whole = render(check("."), "text")
    notes = check(".").notes
    monkeypatch.setattr(portions, "_BYTES", 150)
    monkeypatch.setattr(portions, "_cores", lambda: cores)
    report = check(".")
    assert render(report, "text") == whole
    assert report.notes == notes
    assert len(report.notes) == 2
    assert {finding.path for finding in report.findings} == {"loss.py"} | {f"a{n:02}.py" for n in range(20) if n % 3}


@pytest.mark.skipif(sys.platform != "linux", reason="one process elsewhere")
def test_a_process_that_is_ended_from_outside(project, monkeypatch):
    def killed(sources, entries=None):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(portions, "_BYTES", 150)
    monkeypatch.setattr(portions, "_cores", lambda: 2)
    monkeypatch.setattr("normexp.check.run.analyse", killed)
    with pytest.raises(MemoryError, match="out of memory"):
        check(".")


@pytest.mark.skipif(sys.platform != "linux", reason="one process elsewhere")
def test_interrupted_from_outside(project):
    program = (
        "import os, time\nfrom normexp import cli\nfrom normexp.check import portions, run\n"
        "portions._BYTES, portions._cores = 150, lambda: 2\n"
        "def slow(sources, entries=None):\n    os.write(1, b'begun\\n')\n    time.sleep(60)\n    yield from ()\n"
        "run.analyse = slow\nraise SystemExit(cli.main(['check', '.']))\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout.readline() == "begun\n"
    start = time.monotonic()
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it
    _, err = running.communicate(timeout=30)
    assert time.monotonic() - start < 20
    assert running.returncode == 130
    assert err == "normexp: interrupted\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_told_when_it_takes_long(monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with progress.progress(1000) as done:
        done(10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(progress, "_PIPE_PATIENCE", 0.0)
    with progress.progress(1000) as done:
        done(10)
        done(490)
        done(500)
    told = re.findall(r"normexp check: (\S+ of \S+) files", capsys.readouterr().err)
    assert told == ["10 of 1,000", "500 of 1,000"]
