"""`normexp bench --op linear_cross_entropy` on small shapes: who takes part, memory, errors, promises, the page."""

import argparse
import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rich")

from pages import parsed

from normexp import bench, get_num_threads
from normexp.bench.cell import MissingError
from normexp.bench.linear import memory, promises, timed
from normexp.bench.linear.exact import Errors, Exact
from normexp.bench.linear.peers import PEERS, UNFUSED, scope
from normexp.bench.linear.problem import DEFAULT_SHAPE, OPERATION, Problem
from normexp.bench.linear.promises import MIB, LinearPromises, hold_errors, hold_memory, memory_bound
from normexp.bench.plan import cores

SHAPES = [(64, 32, 500), (5, 3, 7), (1, 1, 1), (1, 40, 30), (33, 8, 1)]
linux = pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system does not tell")


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.main(parser.parse_args(["--op", OPERATION, "--seconds", "0.01", *arguments]))


@pytest.fixture
def brief(monkeypatch):
    """Nothing depends on the times being right; what compiles has a test of its own."""
    for front in PEERS:
        for name in ("torch.compile", "PyTorch, chunked", "JAX", "SciPy"):
            monkeypatch.delitem(PEERS[front], name, raising=False)
    monkeypatch.setattr("normexp.bench.timing.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("normexp.bench.timing._SAMPLE_SECONDS", 0.0)


@pytest.fixture(params=["numpy", "torch"])
def front(request):
    if request.param == "torch":
        pytest.importorskip("torch")
    return request.param


@linux
def test_figures(front, brief, tmp_path, capsys):
    file, page = tmp_path / "figures.json", tmp_path / "figures.html"
    threads = get_num_threads()
    shapes = "--shape", "48,16,300", "--shape", "64,32,500"
    assert run("--front", front, *shapes, "--json", str(file), "--html", str(page)) == 0
    assert get_num_threads() == threads
    figures = json.loads(file.read_text())
    assert (figures["cells"], figures["broken_promises"]) == ([], [])
    assert figures["ratios"] == 4
    assert [one["shape"] for one in figures["linear"]] == [[48, 16, 300], [64, 32, 500]]
    assert [mean["name"] for mean in figures["geometric_means"]] == [UNFUSED[front]]
    printed = " ".join(capsys.readouterr().out.split())
    for one in figures["linear"]:
        rows, features, classes = one["shape"]
        assert (one["op"], one["dtype"], one["missing"]) == (OPERATION, "float32", {})
        assert one["logits_bytes"] == 4 * rows * classes
        assert one["gradients_bytes"] == 4 * features * (rows + classes)
        assert one["memory_bound_bytes"] == 64 * MIB
        assert [row["name"] for row in one["rows"]] == ["normexp", UNFUSED[front]]
        for row in one["rows"]:
            assert row["us_quartiles"][0] <= row["us_per_call"] <= row["us_quartiles"][1]
            assert row["gflop_per_s"] == pytest.approx(6e-3 * rows * features * classes / row["us_per_call"])
            assert row["extra_bytes"] == max(0, row["peak_bytes"] - one["gradients_bytes"])
            assert row["errors"].keys() == {"loss", "hidden", "weight"}
            assert 0 < row["errors"]["hidden"] < 1e-6
        assert one["rows"][0]["to_normexp"]["median"] == 1.0
        assert one["promises"]["broken"] == []
        assert len(one["promises"]["kept"]) == 4
        assert one["promises"]["line"] in printed
    assert "promises kept in 2" in printed
    text = page.read_text()
    parsed(text)
    for said in ("48 x 16 x 300", "64 x 32 x 500", UNFUSED[front], "beside the gradients", "promises kept in 2"):
        assert said in text


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_formats(dtype, front, brief, monkeypatch, tmp_path):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    monkeypatch.setattr(memory, "peak", lambda *arguments: MIB)
    file = tmp_path / "figures.json"
    assert run("--front", front, "--dtype", dtype, "--shape", "32,16,200", "--json", str(file)) == 0
    (one,) = json.loads(file.read_text())["linear"]
    assert ("errors" in one["promises"]["unchecked"]) == (dtype == "float64")
    assert one["promises"]["broken"] == []


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_everyone_computes_the_same(shape, front):
    problem = Problem.make(shape, "float32", 1, front)
    exact = Exact(problem)
    for name, peer in PEERS[front].items():
        if name == "torch.compile":
            continue
        try:
            contender = peer(problem)
        except MissingError:
            continue
        errors = exact.errors(contender.result())
        # Sums of at most 500 roundings of float32, half of them to either side.
        assert max(errors.loss, errors.hidden, errors.weight) < 500 * 2.0**-24, name


def test_the_exact_values_are_those_of_everything(monkeypatch):
    """In pieces and of samples, beside the textbook's form at once."""
    monkeypatch.setattr("normexp.bench.linear.exact._BLOCK", 800)
    monkeypatch.setattr("normexp.bench.linear.exact._ROWS", 4)
    monkeypatch.setattr("normexp.bench.linear.exact._CLASSES", 5)
    problem = Problem.make((17, 6, 23), "float32", 1, "numpy")
    hidden, weight = problem.hidden.astype(float), problem.weight.astype(float)
    loss, by_hidden, by_weight = PEERS["numpy"]["NumPy, by hand"](
        replace(problem, hidden=hidden, weight=weight)
    ).result()
    exact = Exact(problem)
    assert exact.rows.tolist() == [0, 5, 10, 16]
    assert {0, 22, *problem.target[exact.rows]} <= set(exact.classes)
    errors = exact.errors((loss, by_hidden, by_weight))
    assert max(errors.loss, errors.hidden, errors.weight) < 1e-15
    # An error is what it is said to be, wherever it is looked for.
    assert exact.errors((loss * 1.25, by_hidden * 1.5, by_weight * 0.5)) == Errors(
        *(pytest.approx(error) for error in (0.25, 0.5, 0.5))
    )


def test_a_float64_is_not_held_against_itself():
    with pytest.raises(MissingError, match="float64 is what errors are held against"):
        Exact(Problem.make((3, 2, 4), "float64", 1, "numpy"))


@linux
def test_memory_sees_the_logits_and_not_what_compiles():
    """All logits are 32 MiB; the gradients less than 2."""
    problem = Problem.make((512, 8, 16384), "float32", 2, "numpy")
    assert memory.peak("NumPy, by hand", problem, 1.0) > problem.logits_bytes
    torch = pytest.importorskip("torch")
    problem = replace(problem, front="torch")
    eager = memory.peak("PyTorch", problem, 1.0)
    assert eager > 2 * problem.logits_bytes
    try:
        torch._inductor.cpp_builder.get_cpp_compiler()
    except Exception:
        return
    assert problem.logits_bytes < memory.peak("torch.compile", problem, 1.0) < eager


@linux
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_memory_of_few_rows(rows, front):
    for name in ("normexp", UNFUSED[front]):
        problem = Problem.make((rows, 2, 20_000), "float32", 1, front)
        assert 0 <= memory.peak(name, problem, 0.0) < 20 * MIB


def test_memory_where_the_system_does_not_tell(brief, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "none")
    file = tmp_path / "figures.json"
    assert run("--shape", "8,4,20", "--json", str(file)) == 0
    (one,) = json.loads(file.read_text())["linear"]
    assert [row["peak_bytes"] for row in one["rows"]] == [None, None]
    assert [row["extra_bytes"] for row in one["rows"]] == [None, None]
    assert "which Linux has" in one["promises"]["unchecked"]["memory"]
    printed = capsys.readouterr().out
    assert "memory: not measured" in printed
    assert "promises kept in 1 (1 checked in part)" in printed


def test_a_process_that_fails_is_said(monkeypatch):
    problem = Problem.make((8, 4, 20), "float32", 1, "numpy")
    with pytest.raises(MissingError, match="not measured: KeyError: 'nobody'"):
        memory.peak("nobody", problem, 1.0)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(MissingError, match=r"not measured: .*/no/such/python"):
        memory.peak("normexp", problem, 1.0)


def test_memory_that_is_promised():
    small, large = (Problem.make((rows, 1, 2**15), "float16", 1, "numpy") for rows in (4, 33 * 2**10))
    assert memory_bound(small) == 64 * MIB
    assert memory_bound(large) == 132 * MIB
    for extra, broken in ((64 * MIB, []), (64 * MIB + 1, ["memory 64 MiB of 64 promised"])):
        found = LinearPromises()
        hold_memory(found, small, extra)
        assert found.broken == broken


def test_errors_that_are_promised():
    problem = Problem.make((64, 100, 50), "float32", 1, "torch")
    theirs = Errors(loss=1e-6, hidden=2e-7, weight=3e-7)

    def broken(ours, theirs=theirs, problem=problem, elements=(10_000, 10_000)):
        found = LinearPromises()
        hold_errors(found, problem, ours, theirs, "PyTorch", elements)
        return found.broken

    assert broken(theirs) == []
    assert len(broken(replace(theirs, loss=1.03e-6))) == 1
    assert len(broken(replace(theirs, hidden=1.05 * theirs.hidden))) == 0  # 2% and four deviations of 1%
    assert len(broken(replace(theirs, hidden=1.07 * theirs.hidden))) == 1
    assert len(broken(replace(theirs, weight=1.07 * theirs.weight))) == 1
    assert len(broken(Errors(np.nan, np.inf, np.nan))) == 3
    # Few elements may all be right by chance: then a last place of one of them is allowed, and four deviations.
    few = replace(theirs, hidden=0.0)
    assert broken(replace(theirs, hidden=6.1e-8), few, elements=(1, 10_000)) == []
    assert len(broken(replace(theirs, hidden=1e-9), few)) == 1
    # A mean that is right by chance asks nobody for more than its roundings allow: 2^-24 (1 + 10 / 8).
    exact = replace(theirs, loss=0.0)
    assert broken(replace(exact, loss=1.3e-7), exact) == []
    assert len(broken(replace(exact, loss=1.4e-7), exact)) == 1


@pytest.mark.parametrize("what", ["loss", "memory"])
def test_a_broken_promise_is_a_finding(what, brief, monkeypatch, tmp_path, capsys):
    if what == "memory":
        monkeypatch.setattr(memory, "check", lambda: None)
        monkeypatch.setattr(memory, "peak", lambda *arguments: 66 * MIB)
    else:
        monkeypatch.setattr(memory, "peak", lambda *arguments: MIB)
        honest = PEERS["numpy"]["normexp"]

        def wrong(problem):
            one = honest(problem)
            return replace(one, call=lambda: (one.call()[0] * np.float32(1.0001), *one.call()[1:]))

        monkeypatch.setitem(PEERS["numpy"], "normexp", wrong)
    file = tmp_path / "figures.json"
    assert run("--shape", "16,8,100", "--json", str(file)) == 1
    figures = json.loads(file.read_text())
    (said,) = figures["broken_promises"]
    assert said.startswith("linear_cross_entropy, 16 x 8 x 100 float32: ")
    assert {"loss": "error of the loss", "memory": "memory 66 MiB of 64 promised"}[what] in said
    assert capsys.readouterr().out.splitlines()[-1].endswith("1 broken promise: FAIL")


def test_peers_may_fail_but_we_may_not(brief, monkeypatch):
    def broken(problem):
        raise RuntimeError("\nno luck\nmore")

    monkeypatch.setitem(PEERS["numpy"], "NumPy, by hand", broken)
    monkeypatch.setattr(memory, "peak", lambda *arguments: MIB)
    problem = Problem.make((4, 3, 5), "float32", 1, "numpy")
    one = timed.TimedProblem(problem, lambda what: None)
    one.time(0.01, lambda used: None)
    report = one.checked_report()
    assert report.missing["NumPy, by hand"] == "cannot compute this (no luck)"
    assert "no luck" in report.promises.unchecked["errors"]
    monkeypatch.setitem(PEERS["numpy"], "normexp", broken)
    with pytest.raises(RuntimeError, match="no luck"):
        timed.TimedProblem(problem, lambda what: None)


@linux
def test_whoever_is_too_slow_is_left_out_and_said(brief, monkeypatch, tmp_path, capsys):
    """Who would need more than twice the time for the least number of rounds; normexp stays in any case."""
    file = tmp_path / "figures.json"
    monkeypatch.setattr("normexp.bench.timing.Series.expected", 5.0)  # a call; six rounds, twice 14.9 s
    arguments = "--front", "numpy", "--shape", "48,16,300", "--json", str(file)
    assert run(*arguments, "--seconds", "14.9") == 0
    (problem,) = json.loads(file.read_text())["linear"]
    assert [row["name"] for row in problem["rows"]] == ["normexp"]
    assert problem["missing"]["NumPy, by hand"] == "a call takes 5 s: needs --seconds 15"
    assert "needs --seconds 15" in capsys.readouterr().out


def test_an_interruption_leaves_the_times(brief, monkeypatch, capsys):
    def interrupted(series, pairs, seconds, progress):
        for number in range(6):
            for one in series:
                one.sample(number)
        raise KeyboardInterrupt

    monkeypatch.setattr(timed, "interleave", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("--shape", "8,4,20")
    printed = capsys.readouterr().out
    assert "8 x 4 x 20 float32" in printed
    assert "interrupted: neither memory nor errors were looked at" in printed


def test_products_take_the_threads_asked_for():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with scope(Problem.make((2, 2, 2), "float32", 1, "numpy"))():
        pools = [one for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
        assert {one["num_threads"] for one in pools} == {1}


def test_the_package_that_sets_the_threads_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert run("--threads", str(1 + cores())) == 2
    assert "--threads of linear_cross_entropy's products needs threadpoolctl: pip install" in capsys.readouterr().err


def test_the_plan(monkeypatch):
    plans = []
    monkeypatch.setattr("normexp.bench.run.run", lambda plan: plans.append(plan) or {"broken_promises": []})
    assert run() == 0
    assert run("--op", "softmax", "--dtype", "float16", "--dtype", "float32", "--shape", "2,3,4") == 0
    assert (plans[0].cells, plans[0].linear) == ([], [(OPERATION, "float32", DEFAULT_SHAPE)])
    assert plans[1].cells == [("softmax", dtype, (2, 3, 4)) for dtype in ("float16", "float32")]
    assert plans[1].linear == [(OPERATION, dtype, (2, 3, 4)) for dtype in ("float16", "float32")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "1024,512"], "--shape of linear_cross_entropy must be N,H,V for rows, features and classes, such"),
        (["--shape", "2,3,4,5"], "not '2,3,4,5'"),
        (["--scaling"], "--op must be one of softmax, "),
        (["--shape", "1000000000,1000000000,2"], "Unable to allocate"),
    ],
)
def test_bad_arguments_cost_one_line_and_exit_code_2(arguments, message, capsys):
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("normexp bench: ")
    assert message in line


def test_promises_name_their_reasons():
    assert promises.LinearPromises(["a"], ["b"], {"c": "d"}).line == "a; c not checked: d; BROKEN: b"
