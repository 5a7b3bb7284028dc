"""What normexp promises is checked where it is timed, and a broken promise is noticed: each of them."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rich")
pytest.importorskip("flint")

import normexp
from normexp import bench
from normexp.bench import levels, promises
from normexp.bench.cell import OPERATIONS, Cell
from normexp.bench.peers import PEERS, ours

HERE = ["fresh", "out=", "1 thread", "2 threads"]
LAYOUTS = ["transposed", "strided", "unaligned"]
OTHERS = levels.others()


@pytest.fixture(autouse=True)
def _two_threads():
    before = normexp.get_num_threads()
    normexp.set_num_threads(2)
    yield
    normexp.set_num_threads(before)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 10), (300, 17), (2, 5, 3, 4)])
def test_all_are_kept(op, shape):
    found = promises.check(Cell.make(op, shape, "float32", threads=2), 0.75)
    assert (found.broken, found.unchecked) == ([], {})
    assert (found.max_ulp, found.bound) == (0.75, 1.0)
    apart = ["rows apart"] if len(shape) > 2 and not OPERATIONS[op].is_loss else []
    here = [name for name in HERE if name != "out=" or op != "cross_entropy"]
    assert found.same_bits == here + apart + LAYOUTS + OTHERS
    assert found.line == f"accuracy 0.75 ULP of 1 promised; same bits: {', '.join(found.same_bits)}"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("op", ["softmax", "cross_entropy_and_grad"])
def test_of_other_formats(dtype, op):
    found = promises.check(Cell.make(op, (40, 33), dtype, threads=2), None)
    assert (found.broken, found.unchecked) == ([], {})
    assert 0 < found.max_ulp <= found.bound == (2.0 if dtype == "float64" else 0.51)
    assert found.same_bits == HERE + LAYOUTS + OTHERS


def test_of_tensors():
    pytest.importorskip("torch")
    found = promises.check(Cell.make("cross_entropy_and_grad", (40, 33), "float32", 2, "torch"), None)
    assert (found.broken, found.unchecked) == ([], {})
    assert found.same_bits == ["fresh", "1 thread", "2 threads", *LAYOUTS, *OTHERS]


def test_few_rows_stand_for_many(monkeypatch):
    monkeypatch.setattr(promises, "_ELEMENTS", 100)
    found = promises.check(Cell.make("softmax", (70, 10), "float32", threads=2), None)
    assert (found.broken, found.same_bits) == ([], [*HERE, "rows apart", *LAYOUTS, *OTHERS])


def test_the_accuracy_contract(monkeypatch):
    cell = Cell.make("softmax", (3, 4), "float32", threads=2)
    for error in (1.01, np.inf, np.nan):
        assert f"an error of {error:.3g} ULP, of 1 promised" in promises.check(cell, error).broken
    assert promises.check(cell, 1.0).broken == []


def off(result):
    """The same but for the last bit of the last value."""
    changed = np.array(result)
    changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(2))
    return changed


@pytest.mark.parametrize(
    ("name", "betrays"),
    [
        ("out=", lambda cell, one: one.output == "out="),
        ("1 thread", lambda cell, one: normexp.get_num_threads() == 1),
        ("2 threads", lambda cell, one: one.calls > 4),
        ("rows apart", lambda cell, one: cell.x.ndim == 2),
        ("transposed", lambda cell, one: cell.x.ndim == 2 and cell.x.strides[0] < cell.x.strides[1]),
        ("strided", lambda cell, one: cell.x.strides[1] == 8),
        ("unaligned", lambda cell, one: cell.x.ndim == 2 and cell.x.base is not None and cell.x.strides == (16, 4)),
    ],
)
def test_other_bits_are_noticed(name, betrays, monkeypatch):
    """One last bit of one value, in one way to compute it."""
    honest = promises.ours
    calls = 0

    def wrong(cell):
        def altered(one):
            def result():
                nonlocal calls
                calls += 1
                seen = argparse.Namespace(output=one.output, calls=calls)
                return off(one.result()) if betrays(cell, seen) else one.result()

            return replace(one, result=result)

        return [altered(one) for one in honest(cell)]

    monkeypatch.setattr(promises, "ours", wrong)
    found = promises.check(Cell.make("softmax", (2, 4, 5), "float32", threads=2), 0.5)
    assert f"other bits, {name}: 1 of 40 values" in found.broken
    assert name not in found.same_bits
    assert "BROKEN: other bits" in found.line


@pytest.mark.skipif(not OTHERS, reason="one level only")
def test_another_level_is_another_process(monkeypatch):
    cell = Cell.make("softmax", (3, 4), "float32", threads=1)
    honest = levels.at_level
    monkeypatch.setattr(levels, "at_level", lambda cell, level: off(honest(cell, level)))
    assert promises.check(cell, 0.5).broken == [f"other bits, {level}: 1 of 12 values" for level in OTHERS]

    monkeypatch.setattr(levels, "at_level", honest)
    monkeypatch.setattr(levels, "others", lambda: ["v99"])
    found = promises.check(cell, 0.5)
    assert found.broken == []  # what could not be tried is not broken, and not kept
    assert "v99" not in found.same_bits
    assert "NORMEXP_CPU" in found.unchecked["v99"]
    assert "v99 not checked: ImportError" in found.line


def test_a_nan_is_a_nan_whichever_it_is():
    two = np.array([0x7FC00000, 0xFFC00001], np.uint32).view(np.float32)
    found = promises.Promises()
    found.compare("a", two[:1], two[1:])
    assert found.same_bits == ["a"]
    found.compare("b", two, np.array([np.nan, 1], np.float32))
    found.compare("c", np.array([0.0]), np.array([-0.0]))
    assert found.broken == ["other bits, b: 1 of 2 values", "other bits, c: 1 of 1 values"]


@pytest.mark.parametrize("wrong", [False, True])
def test_a_broken_promise_is_a_finding(wrong, monkeypatch, tmp_path, capsys):
    """From the cell to the exit code, the file and the last line."""
    monkeypatch.setattr("normexp.bench.timing.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("normexp.bench.timing._SAMPLE_SECONDS", 0.0)
    for name in list(PEERS):
        monkeypatch.delitem(PEERS, name)
    if wrong:
        honest = normexp.softmax
        monkeypatch.setattr(normexp, "softmax", lambda x, **options: honest(x, **options) * np.float32(1.0001))
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    file = tmp_path / "figures.json"
    arguments = parser.parse_args(["--shape", "3,4", "--seconds", "0.01", "--json", str(file)])
    assert bench.main(arguments) == (1 if wrong else 0)
    figures = json.loads(file.read_text())
    printed = capsys.readouterr().out
    kept = figures["cells"][0]["promises"]
    assert (figures["broken_promises"] != []) == (kept["broken"] != []) == wrong
    last = printed.splitlines()[-1]
    assert last.startswith("normexp bench: 1 cell, ")
    if wrong:
        assert "softmax, 3 x 4 float32: an error of " in figures["broken_promises"][0]
        assert "BROKEN: softmax, 3 x 4 float32: an error of " in printed
        assert ": FAIL" in last
    else:
        assert "promises kept in 1" in last
        assert "ULP of 1 promised; same bits: fresh, out=, " in printed


def test_ours_is_what_is_timed():
    assert promises.ours is ours.ours
