"""Time against size: what is a cliff, what explains it, and the command from end to end on few sizes."""

import argparse
import json

import numpy as np
import pytest

pytest.importorskip("rich")

import normexp
from normexp import bench
from normexp.bench import scaling
from normexp.bench.cell import OPERATIONS
from normexp.bench.scaling import SWEEPS, Cliff, Sweep, Sweeping, cliffs

ROWS = Sweep("rows of 10 classes", "rows", ((1, 10), (2, 10), (4, 10), (8, 10)))
CLASSES = Sweep("classes", "classes", ((24, 1), (12, 2), (8, 3), (6, 4)))


def found(sweep, *seconds):
    """The cliffs among times that are the same in all rounds, but for the pace of the machine."""
    pace = (1.0, 3.0, 2.0, 1.0, 1.0, 2.0)
    return [
        (one.slow, one.quick, round(one.ratio.median, 2), one.reason)
        for one in cliffs(sweep, [{i: p * t for i, p in enumerate(pace)} for t in seconds])
    ]


def test_as_many_elements_as_long():
    assert found(ROWS, 1.0, 2.0, 4.0, 8.0) == []
    assert found(ROWS, 1.0, 2.9, 4.0, 8.0) == []  # 1.45, and 0.69
    assert found(CLASSES, 5.0, 5.0, 5.0, 5.0) == []


def test_a_call_costs_something():
    # 10 a call, and 1 a row.
    assert found(ROWS, 11.0, 12.0, 14.0, 18.0) == [
        (1, 2, 1.83, "what a call costs"),
        (2, 4, 1.71, "what a call costs"),
        (4, 8, 1.56, "what a call costs"),
    ]
    # The same with a cliff: 4 rows take as long as 8 do without what a call costs.
    assert (4, 8, 2.0, "") in found(ROWS, 11.0, 12.0, 18.0, 18.0)


def test_a_row_costs_something():
    # 10 a row, and 1 a class: 24 rows of 1, 12 of 2, 8 of 3, 6 of 4.
    assert found(CLASSES, 24 * 11, 12 * 12, 8 * 13, 6 * 14) == [(1, 2, 1.83, "what a row costs")]
    assert found(CLASSES, 24 * 11, 12 * 12, 8 * 30, 6 * 14) == [
        (1, 2, 1.83, "what a row costs"),
        (3, 2, 1.67, ""),
        (3, 4, 2.86, ""),
    ]


def test_growing_explains_nothing():
    assert found(ROWS, 1.0, 2.0, 8.0, 16.0) == [(4, 2, 2.0, "")]


def test_a_cliff_in_words():
    ratio = scaling.Ratio(1.75, 1.7, 1.8)
    assert Cliff(33, 32, ratio, "").words(2) == "1.75 x 32 on 2 threads"
    assert Cliff(33, 32, ratio, "what a row costs").words(2) == "what a row costs"
    line = scaling.Line(
        "classes", "classes", 1, [], [], [], [], [], [Cliff(33, 32, ratio, ""), Cliff(1, 2, ratio, "x")]
    )
    said = scaling.Scaling("softmax", "float32", "out=", None, [line]).cliffs
    assert said == ["softmax float32, classes, 1 thread: 33 classes take 1.75 times as long, an element, as 32"]


def test_the_sizes():
    classes, ten, thousand = SWEEPS
    assert classes.places[0] == 1
    assert classes.places[-1] == 4 * 2**20
    assert set(scaling._AWKWARD) < set(classes.places)
    assert np.diff(np.log2(classes.places)).max() <= 1
    assert all(2**21 < rows * classes <= 2**22 for rows, classes in classes.shapes)
    for sweep, count in ((ten, 10), (thousand, 1000)):
        assert {classes for _, classes in sweep.shapes} == {count}
        assert (sweep.places[0], sweep.places[-1]) == (1, 65536)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_all_sizes_are_calls_of_their_own(op, dtype, monkeypatch):
    """Each size calls the function with as many rows and classes, on as many threads."""
    monkeypatch.setattr("normexp.bench.timing._SAMPLE_SECONDS", 0.0)
    honest, seen = getattr(normexp, op), set()

    def called(x, *others, **options):
        assert (x.dtype, x.flags.c_contiguous) == (dtype, True)
        seen.add((normexp.get_num_threads(), *x.shape))
        for target in others:
            assert target.shape == x.shape[:1]
            assert target.max() < x.shape[1]
        return honest(x, *others, **options)

    monkeypatch.setattr(normexp, op, called)
    before = normexp.get_num_threads()
    sweeping = Sweeping(op, dtype, 2, (ROWS, CLASSES))
    sweeping.time(1e-9)
    assert normexp.get_num_threads() == before
    result = sweeping.result
    assert seen == {(threads, *shape) for threads in (1, 2) for shape in (*ROWS.shapes, *CLASSES.shapes)}
    assert [(line.sweep, line.threads) for line in result.lines] == [
        (sweep.title, threads) for threads in (1, 2) for sweep in (ROWS, CLASSES)
    ]
    assert result.output == ("fresh" if op == "cross_entropy" else "out=")
    assert sweeping.rounds >= 6
    for line in result.lines:
        assert all(
            low <= median <= high for (low, high), median in zip(line.ns_quartiles, line.ns_per_element, strict=True)
        )
        assert min(line.ns_per_element) > 0


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.main(parser.parse_args(arguments))


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr("normexp.bench.timing._SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr("normexp.bench.run.SWEEPS", (ROWS, CLASSES))


@pytest.mark.usefixtures("few")
def test_the_command(tmp_path, capsys):
    file, page = tmp_path / "s.json", tmp_path / "s.html"
    arguments = "--op", "softmax", "--dtype", "float64", "--dtype", "float32", "--threads", "1", "--seconds", "0.01"
    assert run("--scaling", *arguments, "--json", str(file), "--html", str(page)) == 0
    figures = json.loads(file.read_text())
    assert figures["cells"] == []
    assert [(one["op"], one["dtype"]) for one in figures["scaling"]] == [("softmax", "float64"), ("softmax", "float32")]
    assert [line["places"] for line in figures["scaling"][0]["lines"]] == [[1, 2, 4, 8], [1, 2, 3, 4]]
    printed = capsys.readouterr().out
    assert "softmax float64, out=: rows of 10 classes" in printed
    assert "ns/element, 1 thread" in printed
    last = printed.splitlines()[-1]
    assert last.startswith("normexp bench: 2 functions, ")
    assert last.endswith(f"{len(figures['cliffs'])} cliff{'s' * (len(figures['cliffs']) != 1)} without a reason")
    assert "Time of an element against classes, softmax float32" in page.read_text()


def test_what_it_times(monkeypatch):
    plans = []
    monkeypatch.setattr("normexp.bench.run.run", lambda plan: plans.append(plan) or {"broken_promises": []})
    assert run("--scaling") == 0
    assert run("--scaling", "--op", "logsumexp", "--dtype", "float16", "--dtype", "float64", "--seconds", "5") == 0
    assert plans[0].sweeps == [(op, "float32") for op in ("softmax", "cross_entropy", "cross_entropy_and_grad")]
    assert plans[1].sweeps == [("logsumexp", "float16"), ("logsumexp", "float64")]
    assert [(plan.cells, plan.batches, plan.seconds) for plan in plans] == [([], (), 30.0), ([], (), 5.0)]


@pytest.mark.parametrize("more", [["--shape", "2,3"], ["--front", "torch"]])
def test_what_does_not_go_with_it(more, capsys):
    assert run("--scaling", *more) == 2
    assert "--scaling has shapes of its own" in capsys.readouterr().err
