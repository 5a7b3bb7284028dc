"""Everyone computes the same function of the same rows; who cannot is said to be missing."""

import re
import shutil
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from support import eps, python

pytest.importorskip("rich")

from normexp.bench.cell import OPERATIONS, Cell
from normexp.bench.peers import PEERS, assemble, ours

SHAPES = (5, 7), (2, 5, 3, 4)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile calls g++")


def textbook(cell):
    """The values in float64, by one road for all functions."""
    x = cell.x.astype(np.float64)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    if cell.target is None:
        return {"softmax": np.exp(log_p), "log_softmax": log_p, "logsumexp": (x - log_p)[:, 0]}[cell.op]
    one_hot = np.moveaxis(np.eye(x.shape[1])[cell.target], -1, 1)
    if cell.op == "cross_entropy":
        return -(log_p * one_hot).sum() / cell.target.size
    return (np.exp(log_p) - one_hot) / cell.target.size


def assert_computes(cell, contender):
    cell.out.fill(np.nan)
    got, want = contender.result(), textbook(cell)
    assert got.dtype == cell.x.dtype, contender
    assert got.shape == want.shape, contender
    # The shifted form rounds x - max, some 40 here, and p - 1 is only as good as its larger part: a few such roundings
    # beside the largest value. A wrong axis, target or divisor is off by a tenth of that value and more.
    roundings = 4 * 40 * eps(cell.x.dtype)
    assert roundings < 1e-3
    np.testing.assert_allclose(got, want, rtol=0, atol=roundings * np.abs(want).max(), err_msg=contender.name)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everyone_computes_the_same(op, shape, dtype, monkeypatch):
    monkeypatch.delitem(PEERS, "torch.compile")
    cell = Cell.make(op, shape, dtype, threads=1)
    announced = []
    contenders, missing = assemble(cell, announced.append)
    assert announced == list(PEERS)
    for contender in contenders:
        if contender.result is not None:  # of another format's
            assert_computes(cell, contender)
    needed = {"PyTorch": "torch", "JAX": "jax", "SciPy": "scipy", "ONNX Runtime": "onnxruntime"}
    for name in missing:  # a peer that is there takes part
        assert "not installed" in missing[name] or (name, op) == ("ONNX Runtime", "cross_entropy_and_grad")
    always = {"normexp", "NumPy, by hand"} | ({"normexp in float32"} if dtype == "float64" else set())
    assert {one.name for one in contenders} == {*always, *needed} - missing.keys()


@needs_compiler
@pytest.mark.parametrize("op", ["logsumexp", "cross_entropy", "cross_entropy_and_grad"])
def test_torch_compile_computes_the_same(op):
    pytest.importorskip("torch")
    cell = Cell.make(op, SHAPES[1], "float32", threads=1)
    with warnings.catch_warnings(action="ignore"):  # assemble does so
        (contender,) = PEERS["torch.compile"](cell)
        assert_computes(cell, contender)


def test_targets_are_classes_of_all_rows():
    target = Cell.make("cross_entropy", (8, 3, 50), "float32", threads=1).target
    assert target.shape == (8, 50)
    assert np.unique(target).tolist() == [0, 1, 2]
    assert (target == Cell.make("cross_entropy_and_grad", (8, 3, 50), "float32", threads=2).target).all()


def test_no_compiler_is_said_to_be_missing(monkeypatch):
    torch = pytest.importorskip("torch")

    def compile_(function, **options):
        def call(*arguments):
            raise RuntimeError("\nInvalidCxxCompiler: No working C++ compiler found\nSet TORCHDYNAMO_VERBOSE=1")

        return call

    monkeypatch.setattr(torch, "compile", compile_)
    contenders, missing = assemble(Cell.make("softmax", (2, 3), "float32", threads=1))
    assert missing["torch.compile"] == ("cannot compute this (InvalidCxxCompiler: No working C++ compiler found)")
    assert "PyTorch" in {one.name for one in contenders}


def test_peers_may_warn_and_fail_but_we_may_not(monkeypatch):
    def noisy(cell):
        warnings.warn("an API is going away", DeprecationWarning, stacklevel=1)
        return []

    def broken(cell):
        raise MemoryError

    for name in PEERS:
        monkeypatch.setitem(PEERS, name, noisy)
    monkeypatch.setitem(PEERS, "SciPy", broken)
    cell = Cell.make("softmax", (2, 3), "float32", threads=1)
    contenders, missing = assemble(cell)
    assert [one.name for one in contenders] == ["normexp", "normexp"]
    assert missing == {"SciPy": "cannot compute this (MemoryError)"}
    monkeypatch.setattr(ours, "ours", broken)
    with pytest.raises(MemoryError):
        assemble(cell)


@needs_compiler
def test_nobody_speaks_on_the_terminal():
    arguments = "--op", "cross_entropy_and_grad", "--shape", "3,4", "--seconds", "0.01"
    done = python("-W", "error", "-m", "normexp", "bench", *arguments, COLUMNS="200")
    assert done.returncode == 0
    assert done.stderr == ""
    for name, package in {"torch.compile": "torch", "JAX": "jax"}.items():
        if find_spec(package):
            assert re.search(rf"│ {re.escape(name)} +│ fresh", done.stdout), done.stdout


@pytest.mark.parametrize("front", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_the_same_logits_in_float32(dtype, front):
    if front == "torch":
        pytest.importorskip("torch")
    cell = Cell.make("log_softmax", (3, 50), dtype, threads=1, front=front)
    same = cell.in_float32()
    assert same.x.dtype == same.out.dtype == np.float32
    assert (same.x == cell.x.astype(np.float32)).all()
    outputs = [one.output for one in ours.in_float32(cell)]
    assert outputs == [one.output for one in ours.ours(cell) if one.name == "normexp"]
