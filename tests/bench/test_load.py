"""What others do is seen, and what we do is not theirs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from normexp.bench import load
from normexp.bench.load import OtherLoad, said


def busy(seconds):
    """Use so much of a processor, however long that takes beside others."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.skipif(not load._STAT.exists(), reason="Linux's")
def test_another_program_is_seen():
    def cores():
        with OtherLoad() as found:
            time.sleep(0.6)
        return found.cores

    before = cores()
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        # On a machine whose cores are all taken already it changes little.
        if before < 0.5:
            assert cores() > before + 0.3
    finally:
        other.kill()
        other.wait()


def test_ours_is_not_theirs(monkeypatch, tmp_path):
    # A machine at rest, but for us.
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 0 0 0 0 0 0 0 0\n")
    monkeypatch.setattr(load, "_STAT", stat)
    with OtherLoad() as found:
        busy(0.1)
        stat.write_text("cpu  105 0 5 900 900 0 0 0 0 0\n")  # a tenth of a second; idle and waiting do not count
    assert found.cores == pytest.approx(0, abs=0.3)
    with OtherLoad() as found:
        time.sleep(0.1)
        stat.write_text("cpu  115 10 5 900 900 0 0 10 0 0\n")  # three tenths, in a tenth or a little more
    assert 1 < found.cores < 3.1


@pytest.mark.parametrize("text", [None, "", "cpu", "cpu a b c d e f g h i j"])
def test_where_it_is_not_known(text, monkeypatch, tmp_path):
    monkeypatch.setattr(load, "_STAT", tmp_path / "stat")
    if text is not None:
        Path(load._STAT).write_text(text)
    with OtherLoad() as found:
        pass
    assert found.cores is None
    assert said(found.cores) == ""


def test_it_is_said_where_it_matters():
    assert said(0.05) == ""
    assert said(1.26) == "other programs kept 1.3 cores busy meanwhile: these times are theirs, too"
