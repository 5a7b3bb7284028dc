"""tools/linear_cross_entropy.py: the table and the plots of the documentation, from the bench's files."""

import argparse
import json
import re

import pytest

pytest.importorskip("rich")
pytest.importorskip("matplotlib")
import linear_cross_entropy

from normexp import bench
from normexp.bench.linear.peers import PEERS


def made(tmp_path, monkeypatch, name, *arguments):
    """A file of the bench's."""
    monkeypatch.setattr("normexp.bench.timing.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("normexp.bench.linear.memory.check", lambda: None)
    monkeypatch.setattr("normexp.bench.linear.memory.peak", lambda name, problem, seconds: len(problem.hidden) << 20)
    for peer in ("JAX", "SciPy"):
        monkeypatch.delitem(PEERS["numpy"], peer, raising=False)
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    file = tmp_path / name
    arguments = "--op", "linear_cross_entropy", "--seconds", "0.01", "--json", str(file), *arguments
    assert bench.main(parser.parse_args(arguments)) == 0
    return str(file)


def test_table_and_plots(tmp_path, monkeypatch):
    shapes = "--shape", "4,3,9", "--shape", "2,3,9", "--shape", "5,4,6"
    files = [
        made(tmp_path, monkeypatch, "both.json", *shapes, "--dtype", "float16", "--dtype", "float32"),
        made(tmp_path, monkeypatch, "again.json", "--shape", "4,3,9"),
    ]
    page = tmp_path / "linear_cross_entropy.md"
    page.write_text(f"before\n\n{linear_cross_entropy.BEGIN}old\n{linear_cross_entropy.END}\nafter\n")
    linear_cross_entropy.main([str(tmp_path), *files])
    text = page.read_text()
    linear_cross_entropy.main([str(tmp_path), *files])
    assert page.read_text() == text
    assert text.startswith("before\n\n<!-- ")
    assert text.endswith(" -->\n\nafter\n")
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == "| | N x H x V | normexp | NumPy, by hand |"
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| {dtype}", shape] for dtype in ("float32", "float16") for shape in ("2 x 3 x 9", "4 x 3 x 9", "5 x 4 x 6")
    ]
    again = json.loads((tmp_path / "again.json").read_text())["linear"][0]["rows"]
    ours, theirs = (row["us_per_call"] / 1e6 for row in again)
    ratio = again[1]["to_normexp"]["median"]
    assert rows[1].endswith(f"| {ours:.3f} s, 4 / 4 | {theirs:.3f} s ({ratio:.2f}), 4 / 4 |")
    for what in ("time", "memory"):
        drawn = (tmp_path / f"linear_cross_entropy_{what}.svg").read_text()
        for said in ("float32, H = 3, V = 9", "float16, H = 3, V = 9", "NumPy, by hand"):
            assert f"<!-- {said} -->" in drawn
        assert (what == "memory") == ("<!-- the gradients -->" in drawn)


def test_what_was_not_measured(tmp_path, monkeypatch):
    file = made(tmp_path, monkeypatch, "a.json", "--shape", "4,3,9")
    document = json.loads((tmp_path / "a.json").read_text())
    for row in document["linear"][0]["rows"]:
        row["peak_bytes"] = row["extra_bytes"] = None
    (tmp_path / "a.json").write_text(json.dumps(document))
    page = tmp_path / "linear_cross_entropy.md"
    page.write_text(linear_cross_entropy.BEGIN + linear_cross_entropy.END)
    linear_cross_entropy.main([str(tmp_path), file])
    assert re.search(r" s, - / - \|", page.read_text())


@pytest.mark.parametrize("wrong", ["page", "file", "arguments"])
def test_nothing_is_drawn_of_nothing(wrong, tmp_path, monkeypatch):
    page, file = tmp_path / "linear_cross_entropy.md", tmp_path / "a.json"
    page.write_text("no table" if wrong == "page" else linear_cross_entropy.BEGIN + linear_cross_entropy.END)
    file.write_text('{"linear": []}')
    if wrong == "page":
        made(tmp_path, monkeypatch, "a.json", "--shape", "4,3,9")
    before = page.read_text()
    with pytest.raises(SystemExit) as stopped:
        linear_cross_entropy.main([] if wrong == "arguments" else [str(tmp_path), str(file)])
    assert {"page": "has no table", "file": "no linear_cross_entropy: ", "arguments": "python tools/"}[wrong] in str(
        stopped.value
    )
    assert page.read_text() == before
    assert not list(tmp_path.glob("*.svg"))
