"""The command as a user meets it: what it prints and draws, threads, interruption, memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import textbook

import normexp
from normexp import cli
from normexp.eval import run as the_run


@pytest.fixture
def files(tmp_path):
    """Logits and labels of 500 rows, and their paths."""
    logits, labels = textbook.made(np.random.default_rng(0), "noise", 500, 10)
    np.save(tmp_path / "x.npy", logits)
    np.save(tmp_path / "t.npy", labels)
    return str(tmp_path / "x.npy"), str(tmp_path / "t.npy")


@pytest.mark.parametrize("columns", ["80", "132"])
def test_the_table_says_what_the_file_says(files, columns, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["eval", "x.npy", "t.npy", "--json", "out.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= int(columns)
    got = json.loads((tmp_path / "out.json").read_text())
    said = {cells[1].strip(): cells[2].strip() for cells in (line.split("│") for line in out.splitlines()) if cells[2:]}
    assert said == {
        "rows": "500",
        "classes": "10",
        "cross-entropy": f"{got['cross_entropy']:.6g}",
        "perplexity": f"{got['perplexity']:.6g}",
        "top-1 accuracy": f"{got['top1_accuracy']:.2%}",
        "top-5 accuracy": f"{got['top5_accuracy']:.2%}",
        "mean entropy": f"{got['mean_entropy']:.6g}",
        "Brier score": f"{got['brier_score']:.6g}",
        "calibration error": f"{got['expected_calibration_error']:.6g}",
        "best temperature": f"{got['temperature']:.6g}",
        "cross-entropy there": f"{got['cross_entropy_at_temperature']:.6g}",
    }
    assert "15 bins of equal width" in out
    assert "x.npy: 500 x 10 float32" in out


def test_a_temperature_that_is_a_bound_says_so(tmp_path, capsys):
    np.savez(tmp_path / "both.npz", logits=np.eye(4) * 3, labels=np.arange(4))
    assert cli.main(["eval", str(tmp_path / "both.npz")]) == 0
    out = capsys.readouterr().out
    assert "<= 9.53674e-07 │ the loss still falls there" in out


def test_the_json_file(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["eval", "x.npy", "t.npy", "--json", "out.json"]) == 0
    got = json.loads((tmp_path / "out.json").read_text())
    assert got["normexp"] == normexp.__version__
    assert got["labels"] == {"name": "t.npy", "shape": [500], "dtype": "int64"}
    assert got["ignore_index"] is None
    assert got["temperature_bound"] is None
    assert len(got["bins"]) == 15
    assert [one["up_to"] for one in got["bins"]][-1] == 1
    error = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in got["bins"] if one["rows"])
    assert got["expected_calibration_error"] == pytest.approx(error / 500)


def test_the_picture(files, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a.png", "b.PNG", "a.svg", "b.svg"):
        assert cli.main(["eval", *files, "--plot", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    for kind in (".png", ".svg"):
        one, other = (path.read_bytes() for path in tmp_path.iterdir() if path.suffix.lower() == kind)
        assert one == other
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


def test_what_the_picture_shows(files, tmp_path, monkeypatch):
    """The bars are the accuracies, the dots the confidences, and the bars below are all rows."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, to, **_: figures.append(self) or to.write(b"picture"))
    paths = tmp_path / "out.png", tmp_path / "out.json"
    assert cli.main(["eval", *files, "--plot", str(paths[0]), "--json", str(paths[1])]) == 0
    assert paths[0].read_bytes() == b"picture"
    upper, lower = figures[0].axes
    bins = [one for one in json.loads(paths[1].read_text())["bins"] if one["rows"]]
    assert [bar.get_height() for bar in upper.patches] == pytest.approx([one["accuracy"] for one in bins])
    assert [bar.get_x() for bar in upper.patches] == pytest.approx([one["above"] for one in bins])
    dots = upper.lines[-1].get_xdata()
    assert list(dots) == pytest.approx([one["confidence"] for one in bins])
    assert sum(bar.get_height() for bar in lower.patches) == pytest.approx(1)


@pytest.mark.parametrize("classes", [10, 1000])
def test_same_bits_for_any_number_of_threads(tmp_path, threads, classes):
    rng = np.random.default_rng(1)
    logits, labels = textbook.made(rng, "noise", 300_000 // classes, classes)
    np.savez(tmp_path / "both.npz", logits=logits, labels=labels)
    documents = []
    for count in (1, 2, 5):
        threads(count)
        assert cli.main(["eval", str(tmp_path / "both.npz"), "--json", str(tmp_path / "out.json")]) == 0
        documents.append((tmp_path / "out.json").read_text())
    assert len(set(documents)) == 1


def test_interrupted(files, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(the_run, "evaluate", interrupted)
    before = sorted(tmp_path.iterdir())
    paths = str(tmp_path / "out.json"), str(tmp_path / "out.svg")
    assert cli.main(["eval", *files, "--json", paths[0], "--plot", paths[1]]) == 130
    assert capsys.readouterr().err == "normexp: interrupted\n"
    assert sorted(tmp_path.iterdir()) == before


MEMORY_BYTES = 256 << 20
MEASURE = """
import resource, sys
from normexp import cli
code = cli.main(sys.argv[1:])
print("KiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="maxrss is in KiB on Linux, and pages are given back there")
@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_a_file_is_not_held_in_memory(tmp_path, kind):
    """A small part of a file of 256 MiB stays resident, mapped as it is."""
    classes = 1000
    logits = np.zeros((MEMORY_BYTES // 4 // classes, classes), np.float32)
    labels = np.zeros(len(logits), np.int64)
    if kind == "npy":
        np.save(tmp_path / "x.npy", logits)
        np.save(tmp_path / "t.npy", labels)
        paths = [str(tmp_path / "x.npy"), str(tmp_path / "t.npy")]
    else:
        from safetensors.numpy import save_file

        save_file({"logits": logits, "labels": labels}, tmp_path / "both.safetensors")
        paths = [str(tmp_path / "both.safetensors")]
    del logits
    peaks = []
    for arguments in (["config"], ["eval", *paths]):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True, timeout=120
        )
        peaks.append(int(done.stdout.split()[-1]) << 10)
    # The sample of 32 MiB, twice while it is put together; a block of 16; what is imported beyond `config`.
    assert peaks[1] - peaks[0] < 120 << 20


@pytest.mark.skipif(os.name != "posix", reason="signals and pseudo-terminals as POSIX has them")
def test_the_progress_bar_and_control_c(tmp_path):
    """On a terminal there is a bar, and what an interruption leaves behind is nothing."""
    import pty

    classes = 1000
    np.save(tmp_path / "x.npy", np.zeros((100_000, classes), np.float16))
    np.save(tmp_path / "t.npy", np.zeros(100_000, np.int64))
    before = sorted(tmp_path.iterdir())
    ours, theirs = pty.openpty()
    arguments = ["eval", "x.npy", "t.npy", "--json", "out.json"]
    running = subprocess.Popen(
        [sys.executable, "-m", "normexp", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while b"x.npy" not in seen:
        seen += os.read(ours, 1000)
    running.send_signal(signal.SIGINT)
    rest = b""
    try:
        while chunk := os.read(ours, 1000):
            rest += chunk
    except OSError:  # how a pseudo-terminal ends
        pass
    os.close(ours)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert b"interrupted" in rest
    assert out == b""
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_written_over(tmp_path, capsys):
    logits, labels = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(logits, np.zeros((2, 3)))
    np.save(labels, np.array([0, 1]))
    before = logits.read_bytes()
    picture = str(tmp_path / "a.svg")
    for options in (["--json", str(logits)], ["--json", picture, "--plot", picture]):
        assert cli.main(["eval", str(logits), str(labels), *options]) == 2
        assert "would overwrite" in capsys.readouterr().err
    assert logits.read_bytes() == before
