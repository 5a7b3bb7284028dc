"""`normexp bench` end to end on tiny arrays: what it says, what it writes, what it refuses."""

import argparse
import json
import math
import os
import re
import sys

import pytest

pytest.importorskip("rich")

from normexp import bench, get_num_threads
from normexp.bench.cell import OPERATIONS
from normexp.bench.peers import PEERS
from normexp.bench.plan import BATCHES


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.main(parser.parse_args(arguments))


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    """Nothing here depends on the times being right, and compiling takes PyTorch seconds (test_bench_peers does it)."""
    monkeypatch.delitem(PEERS, "torch.compile")
    monkeypatch.setattr("normexp.bench.timing.SETTLE_SECONDS", 0.0)
    monkeypatch.setattr("normexp.bench.timing._SAMPLE_SECONDS", 0.0)


@pytest.mark.parametrize("op", OPERATIONS)
def test_json(op, tmp_path, capsys):
    file, page = tmp_path / "figures.json", tmp_path / "figures.html"
    threads = get_num_threads()
    shapes = "--shape", "3,5", "--shape", "2,4,3,2"
    assert run("--op", op, *shapes, "--seconds", "0.01", "--json", str(file), "--html", str(page)) == 0
    assert get_num_threads() == threads
    assert sorted(tmp_path.iterdir()) == [page, file]  # nothing temporary stays
    assert f"{op}, 2 x 4 x 3 x 2 float32" in page.read_text()

    figures = json.loads(file.read_text())
    keys = {"normexp", "config", "processor", "front", "threads", "packages", "cells", "geometric_means"}
    keys |= {"training_steps", "empty_call_us", "scaling", "cliffs", "linear"}
    keys |= {"ratios", "unsteady_ratios", "broken_promises", "kept_promises"}
    assert figures.keys() == keys
    assert figures["broken_promises"] == []
    assert figures["ratios"] == sum(len(cell["rows"]) for cell in figures["cells"])
    assert figures["unsteady_ratios"] <= figures["ratios"]
    assert (figures["front"], figures["training_steps"]) == ("numpy", [])
    assert [cell["shape"] for cell in figures["cells"]] == [[3, 5], [2, 4, 3, 2]]
    for cell in figures["cells"]:
        assert (cell["op"], cell["dtype"]) == (op, "float32")
        assert cell["limit"] == OPERATIONS[op].limit
        assert cell["rounds"] >= 6
        assert isinstance(cell["steady"], bool)
        who = [(row["name"], row["output"]) for row in cell["rows"]]
        assert len(set(who)) == len(who)
        assert {("a copy", "out="), ("a max", ""), ("normexp", "fresh"), ("NumPy, by hand", "fresh")} < set(who)
        assert (("normexp", "out=") in who) == (op != "cross_entropy")
        for row in cell["rows"]:
            assert row["ns_per_element"] > 0
            assert row["gb_per_s"] > 0
            assert row["us_per_call"] == pytest.approx(row["ns_per_element"] * math.prod(cell["shape"]) / 1000)
            assert row["ns_quartiles"][0] <= row["ns_per_element"] <= row["ns_quartiles"][1]
            assert row["rounds"] >= 6
            assert row["to_float32"] is None
            for ratio in (row["to_normexp"], row["to_limit"]):
                assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
            if row["name"] == "normexp":
                assert row["to_normexp"]["median"] == 1.0
            if row["name"] == f"a {cell['limit']}":
                assert row["to_limit"]["median"] == 1.0
            if "max ULP" not in cell["missing"]:
                assert (row["max_ulp"] is None) == row["name"].startswith("a ")

    printed = capsys.readouterr().out
    assert f"{op}, 3 x 5 float32" in printed
    assert f"{op}, 2 x 4 x 3 x 2 float32" in printed
    assert "over 12 of the 12 rows" in printed
    assert "ns/element" in printed
    assert f"x {figures['cells'][0]['limit']}" in printed


@pytest.mark.parametrize("op", OPERATIONS)
def test_front_of_tensors(op, tmp_path, capsys):
    pytest.importorskip("torch")
    file = tmp_path / "figures.json"
    shape = ("--op", op, "--shape", "300,17", "--shape", "2,4,3,2")
    assert run("--front", "torch", *shape, "--seconds", "0.01", "--json", str(file)) == 0
    figures = json.loads(file.read_text())
    assert figures["front"] == "torch"
    for cell in figures["cells"]:
        rows = [row for row in cell["rows"] if not row["name"].startswith("a ")]
        assert {row["name"] for row in rows} == {"normexp", "PyTorch, enabled", "PyTorch"}
        assert cell["missing"].keys() <= {"max ULP"}
        errors = {row["name"]: row["max_ulp"] for row in rows if row["output"] == "fresh"}
        if cell["shape"] == [300, 17]:  # where the figures are by our kernels, and where not
            assert errors["normexp"] == errors["PyTorch, enabled"] <= 1.5
            assert op in ("logsumexp", "cross_entropy") or errors["PyTorch"] > 1.5
    assert f"{op}, 300 x 17 float32, through normexp.torch" in capsys.readouterr().out


def test_training_step(tmp_path, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    file = tmp_path / "figures.json"
    assert run("--front", "torch", "--op", "training_step", "--seconds", "0.01", "--json", str(file)) == 0
    figures = json.loads(file.read_text())
    assert figures["cells"] == []
    assert [step["batch"] for step in figures["training_steps"]] == list(BATCHES)
    for step in figures["training_steps"]:
        assert step["rounds"] >= 6
        assert 0 < step["pytorch_to_enabled"]["low"] <= step["pytorch_to_enabled"]["high"]
        assert step["pytorch_us"] > 0
        assert step["enabled_us"] > 0
    printed = capsys.readouterr().out
    for batch in BATCHES:
        assert f"training step of the digits, batch of {batch}: PyTorch" in printed


def test_a_training_step_learns():
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from normexp.bench.training import step

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        call = step(torch, 64)
        losses = [float(call().detach()) for _ in range(200)]
    finally:
        torch.set_num_threads(before)
    assert sum(losses[-20:]) < sum(losses[:20]) / 3


def test_geometric_means(tmp_path, capsys):
    file = tmp_path / "figures.json"
    shapes = "--shape", "3,5", "--shape", "2,4"
    assert run("--op", "cross_entropy", "--op", "softmax", *shapes, "--seconds", "0.01", "--json", str(file)) == 0
    figures = json.loads(file.read_text())
    printed = capsys.readouterr().out
    for op in ("cross_entropy", "softmax"):
        assert f"{op} float32, geometric means of x normexp" in printed
        fresh = [
            {row["name"]: row["to_normexp"]["median"] for row in cell["rows"] if row["output"] == "fresh"}
            for cell in figures["cells"]
            if cell["op"] == op
        ]
        means = {mean["name"]: mean for mean in figures["geometric_means"] if mean["op"] == op}
        assert means.keys() == fresh[0].keys() - {"normexp"}
        for name, mean in means.items():
            assert mean["cells"] == 2
            assert mean["to_normexp"] == pytest.approx(math.sqrt(fresh[0][name] * fresh[1][name]))
            assert re.search(rf"^  {name} +{mean['to_normexp']:.2f} ", printed, re.MULTILINE)


def test_one_cell_has_no_mean(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert run("--op", "logsumexp", "--op", "softmax", "--shape", "3,5", "--seconds", "0.01", "--json", str(file)) == 0
    assert json.loads(file.read_text())["geometric_means"] == []
    assert "geometric" not in capsys.readouterr().out


def test_each_function_has_its_default_shapes(monkeypatch):
    plans = []
    monkeypatch.setattr("normexp.bench.run.run", lambda plan: plans.append(plan) or {"broken_promises": []})
    assert run() == 0
    assert run("--op", "cross_entropy", "--op", "softmax") == 0
    assert run("--op", "cross_entropy", "--shape", "7,8,9") == 0
    shapes = (65536, 2), (65536, 10), (65536, 64), (4096, 1000), (512, 32000), (256, 128256)
    softmax = [("softmax", "float32", shape) for shape in ((1, 10), *shapes, (4, 4000000))]
    loss = [("cross_entropy", "float32", shape) for shape in (*shapes, (8, 21, 512, 512))]
    assert [plan.cells for plan in plans] == [softmax, loss + softmax, [("cross_entropy", "float32", (7, 8, 9))]]
    assert [plan.batches for plan in plans] == [(), (), ()]


def test_each_front_has_its_default_operations_and_shapes(monkeypatch):
    pytest.importorskip("torch")
    plans = []
    monkeypatch.setattr("normexp.bench.run.run", lambda plan: plans.append(plan) or {"broken_promises": []})
    assert run("--front", "torch") == 0
    (plan,) = plans
    softmax = [("softmax", "float32", shape) for shape in ((64, 10), (65536, 10), (4096, 1000), (256, 128256))]
    shapes = (64, 10), (4096, 10), (65536, 10), (4096, 1000), (512, 32000), (64, 128256)
    assert plan.cells == softmax + [("cross_entropy_and_grad", "float32", shape) for shape in shapes]
    assert (plan.front, plan.batches) == ("torch", BATCHES)


def test_cells_are_functions_times_dtypes_times_shapes(monkeypatch):
    plans = []
    monkeypatch.setattr("normexp.bench.run.run", lambda plan: plans.append(plan) or {"broken_promises": []})
    twice = "--dtype", "float64", "--dtype", "float16", "--dtype", "float64", "--shape", "2,3", "--shape", "4,5"
    assert run("--op", "softmax", "--op", "logsumexp", *twice) == 0
    assert plans[0].cells == [
        (op, dtype, shape)
        for op in ("softmax", "logsumexp")
        for dtype in ("float64", "float16")
        for shape in ((2, 3), (4, 5))
    ]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype, tmp_path, capsys):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    file = tmp_path / "figures.json"
    assert run("--dtype", dtype, "--shape", "4,6", "--seconds", "0.01", "--json", str(file)) == 0
    (cell,) = json.loads(file.read_text())["cells"]
    assert cell["dtype"] == dtype
    moved = {row["name"]: row["gb_per_s"] * row["ns_per_element"] for row in cell["rows"]}  # bytes an element
    width = {"float16": 2, "bfloat16": 2, "float64": 8}[dtype]
    assert moved["normexp"] == pytest.approx(2 * width)
    assert moved["a copy"] == pytest.approx(2 * width)
    assert moved["a max"] == pytest.approx(width)
    assert moved["normexp in float32"] == pytest.approx(8)
    # What this format gains or costs: normexp's times in both, of the same rounds.
    float32 = {row["output"]: row["to_normexp"] for row in cell["rows"] if row["name"] == "normexp in float32"}
    assert float32.keys() == {"fresh", "out="}
    for row in cell["rows"]:
        if row["name"] != "normexp":
            assert row["to_float32"] is None
            continue
        gain = row["to_float32"]
        assert 0 < gain["low"] <= gain["median"] <= gain["high"]
        assert gain["high"] == pytest.approx(1 / float32[row["output"]]["low"])
        assert f"{gain['median']:.2f} x float32" in capsys.readouterr().out or row["output"] == "out="


@pytest.mark.parametrize(
    ("op", "normexp", "limit"),
    [
        # Rows of 6 float32; their targets are int64. The mean is one float32 for 24 elements.
        ("logsumexp", 4 + 4 / 6, 4),
        ("cross_entropy", 4 + 8 / 6 + 4 / 24, 4),
        ("cross_entropy_and_grad", 4 + 8 / 6 + 4, 12),
    ],
)
def test_bytes_are_counted(op, normexp, limit, tmp_path):
    file = tmp_path / "figures.json"
    assert run("--op", op, "--shape", "4,6", "--seconds", "0.01", "--json", str(file)) == 0
    (cell,) = json.loads(file.read_text())["cells"]
    moved = {row["name"]: row["gb_per_s"] * row["ns_per_element"] for row in cell["rows"]}
    assert moved["normexp"] == pytest.approx(normexp)
    assert moved[f"a {cell['limit']}"] == pytest.approx(limit)


def test_threads_are_asked_for(capsys):
    assert run("--threads", "1", "--shape", "2,3", "--seconds", "0.01") == 0
    assert "threads 1," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "PyTorch"),
        ("jax", "JAX"),
        ("scipy.special", "SciPy"),
        ("onnxruntime", "ONNX Runtime"),
        ("normexp._onnx_model", "ONNX Runtime"),
    ],
)
def test_missing_peers_are_said_to_be_missing(module, name, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    file = tmp_path / "figures.json"
    assert run("--shape", "2,3", "--seconds", "0.01", "--json", str(file)) == 0
    (cell,) = json.loads(file.read_text())["cells"]
    assert "not installed" in cell["missing"][name]
    assert name not in {row["name"] for row in cell["rows"]}
    assert re.search(rf"^{name}: not installed", capsys.readouterr().out, re.MULTILINE)


def test_missing_exact_arithmetic_is_said_to_be_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flint", None)
    for name in ("measure", "oracle"):
        monkeypatch.delitem(sys.modules, f"normexp.verify.{name}", raising=False)
        monkeypatch.delattr(f"normexp.verify.{name}", raising=False)
    assert run("--shape", "2,3", "--seconds", "0.01") == 0
    printed = capsys.readouterr().out
    assert "max ULP: not measured" in printed
    assert "accuracy not checked: needs normexp[verify]" in " ".join(printed.split())
    assert "promises kept in 1 (1 checked in part)" in printed.splitlines()[-1]


@pytest.mark.parametrize("op", OPERATIONS)
def test_one_element_on_many_threads(op, tmp_path):
    file = tmp_path / "figures.json"
    assert run("--op", op, "--shape", "1,1", "--threads", "3", "--seconds", "0.01", "--json", str(file)) == 0
    (cell,) = json.loads(file.read_text())["cells"]
    assert {"a copy", "a max", "normexp"} < {row["name"] for row in cell["rows"]}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")
@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_disk_that_is_full_at_the_end(option, capsys):
    assert run("--shape", "2,3", "--seconds", "0.01", option, "/dev/full") == 2
    captured = capsys.readouterr()
    assert captured.err == f"normexp bench: cannot write {option} '/dev/full': No space left on device\n"
    assert "normexp bench: 1 cell" in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--op", "relu"], "--op must be one of softmax, log_softmax, logsumexp, cross_entropy, "),
        (["--op", "training_step"], "--op must be one of softmax, log_softmax, logsumexp, cross_entropy, "),
        (["--front", "jax"], "--front must be one of numpy, torch, not 'jax'"),
        (["--dtype", "int8"], "--dtype must be one of float16, bfloat16, float32, float64, not 'int8'"),
        (["--shape", "10"], "--shape must be two or more positive integers"),
        (["--shape", "3,0"], "--shape must be two or more positive integers"),
        (["--shape", "2,3,-1"], "--shape must be two or more positive integers"),
        (["--shape", "a,b"], "not 'a,b'"),
        (["--threads", "0"], "--threads must be a positive integer, not '0'"),
        (["--threads", "two"], "--threads must be a positive integer, not 'two'"),
        (["--seconds", "nan"], "--seconds must be a positive number, not 'nan'"),
        (["--seconds", "-1"], "--seconds must be a positive number, not '-1'"),
        (["--json", "no/such/directory/file.json"], "cannot write --json 'no/such/directory/file.json'"),
        (["--html", "no/such/directory/file.html"], "cannot write --html 'no/such/directory/file.html'"),
        (["--json", "a", "--html", "./a"], "--html './a' would overwrite --json 'a'"),
        (["--shape", "1000000000,1000000000"], "Unable to allocate"),
    ],
)
def test_bad_arguments_cost_one_line_and_exit_code_2(arguments, message, capsys):
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("normexp bench: ")
    assert message in line


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("rich", []), ("ml_dtypes", ["--dtype", "bfloat16"]), ("torch", ["--front", "torch"])],
)
def test_a_package_it_needs_is_named(package, arguments, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert run(*arguments) == 2
    assert f"needs {package}: pip install" in capsys.readouterr().err
