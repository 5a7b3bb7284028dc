"""The run as a whole, on few families: what it prints, what it writes, what it returns."""

import json

import numpy as np
import pytest

import normexp
from normexp._json_file import JsonFile
from normexp._whole_file import WholeFile
from normexp.verify import cases, curves, digits, peers
from normexp.verify.page import page as make_page
from normexp.verify.run import run

FEW = tuple(family for family in cases.FAMILIES if family.name in ("spread x1", "ties"))


@pytest.fixture(autouse=True)
def _short_curves(monkeypatch):
    """Whose exact values take seconds."""
    assert curves.LENGTHS[-1] > 1e6
    monkeypatch.setattr(curves, "LENGTHS", (4, 1024, 4096))


@pytest.fixture(scope="module", autouse=True)
def _train_once():
    logits = digits.logits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "logits", lambda: logits)
        yield


def test_normexp_passes(tmp_path, capsys):
    path = tmp_path / "verify.json"
    with JsonFile(path) as file:
        assert run(file, families=FEW)
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["passed"] is True
    assert document["failures"] == []
    assert document["normexp"] == normexp.__version__
    assert document["config"]["level"] in document["config"]["levels"]
    assert [claim["id"] for claim in document["claims"]] == [
        *("A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "B4", "B5", "C1", "D1", "D2")
    ]
    assert all(claim["evidence"] and claim["claim"] for claim in document["claims"])
    assert len(document["conformance"]) == (5 + 6) * 4
    for cell in document["conformance"]:
        assert cell["passed"]
        assert cell["max_ulp"]["normexp"] <= cell["bound"]
        assert set(cell["max_ulp"]) == {"normexp", *document["peers"]}
    assert all(row["passed"] for row in document["special_values"])
    assert [curve["function"] for curve in document["curves"]] == [
        *("softmax", "log_softmax", "logsumexp", "cross_entropy")
    ]
    for curve in document["curves"]:
        assert curve["lengths"] == [4, 1024, 4096]
        assert set(curve["max_ulp"]) == {"normexp", *document["peers"]}
        assert len(curve["max_ulp"]["normexp"]) == 3
        assert 0.3 < max(curve["max_ulp"]["normexp"]) <= 1
        assert max(curve["max_ulp"]["NumPy shifted"]) > 1
    assert document["digits"]["scores"]["normexp"]["zeros"] == 0
    out, trace = capsys.readouterr()
    last = out.splitlines()[-1]
    assert last.startswith("normexp verify: 13 claims (")
    assert last.endswith("PASS")
    assert trace.splitlines()[0] == "normexp verify: claims (13)"
    assert "\x1b" not in out + trace


def test_the_full_run_draws_more_and_asks_more(monkeypatch, capsys):
    """What fails in a later draw only is found by it."""
    asked = []
    monkeypatch.setattr(peers, "installed", lambda full: asked.append(full) or ([], {}))
    first = {case.x.tobytes() for case in FEW[0].cases("float32")}
    hit = lambda x: x.shape == (2, 1000) and x.tobytes() not in first and x.dtype == np.float32  # noqa: E731
    spoil(monkeypatch, "softmax", hit, lambda p: p * 1.1)
    assert run(None, families=FEW[:1])
    assert not run(None, full=True, families=FEW[:1])
    assert asked == [False, True]
    assert "- softmax, float32, spread x1: row" in capsys.readouterr().out


def test_the_page_is_that_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda full: ([], {}))
    with JsonFile(tmp_path / "verify.json") as file, WholeFile(tmp_path / "verify.html") as page:
        assert run(file, page, families=FEW[:1])
    document = json.loads((tmp_path / "verify.json").read_text())
    assert (tmp_path / "verify.html").read_text(encoding="utf-8") == make_page(document)


def test_a_wrong_softmax_fails(monkeypatch, capsys, tmp_path):
    real = normexp.softmax
    monkeypatch.setattr(normexp, "softmax", lambda x, **options: real(x, **options) * np.asarray(1.01, x.dtype))
    path = tmp_path / "verify.json"
    with JsonFile(path) as file:
        assert not run(file, families=FEW)
    document = json.loads(path.read_text())
    assert document["passed"] is False
    assert document["failures"]
    failing = {cell["function"] for cell in document["conformance"] if not cell["passed"]}
    assert failing == {"softmax"}
    out = capsys.readouterr().out
    assert "normexp fails" in out
    assert out.splitlines()[-1].endswith("FAIL")


def spoil(monkeypatch, name, hit, change):
    """Let one function of normexp go wrong for the arrays that are hit, and right for all others."""
    real = getattr(normexp, name)

    def function(x, *target, **options):
        result = real(x, *target, **options)
        return np.asarray(change(result)).astype(result.dtype) if hit(np.asarray(x)) else result

    monkeypatch.setattr(normexp, name, function)


@pytest.mark.parametrize(
    ("name", "hit", "change", "failure"),
    [
        ("softmax", lambda x: x.shape == (2, 1000), lambda p: p * 1.1, "softmax, float32, spread x1: row"),
        (
            "cross_entropy",
            lambda x: x.shape == (2, 1000),
            lambda loss: loss * 1.1,
            "cross_entropy, float32, spread x1: row",
        ),
        ("logsumexp", lambda x: x.size == 0, lambda v: v * 0, "logsumexp([]), float32: "),
        (
            "cross_entropy",
            lambda x: x.shape == (1797, 10) and x.dtype == np.float32,
            lambda loss: np.where(loss < 1e-7, 0, loss),
            "digits: row",
        ),
    ],
)
def test_one_fault_alone_is_enough(name, hit, change, failure, monkeypatch, capsys):
    """Each part of the proof counts by itself, and says what is wrong."""
    monkeypatch.setattr(peers, "installed", lambda full: ([], {}))
    spoil(monkeypatch, name, hit, change)
    assert not run(None, families=FEW)
    out = capsys.readouterr().out
    assert f"- {failure}" in out
    assert "13 claims (4 hold, 7 refined, 2 not checked)" in out.splitlines()[-1]  # the claims are not to blame


def test_missing_peers_are_said_to_be_missing(no_torch, capsys):
    assert run(None, families=FEW[:1])
    out = capsys.readouterr().out
    assert "PyTorch is missing: not installed" in out
    assert "SciPy is missing: not installed" in out
    assert "ONNX Runtime is missing: unusable" in out
    assert "2 not checked" in out


@pytest.mark.parametrize("columns", ["40", "200"])
def test_any_width(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(peers, "installed", lambda full: ([], {}))
    run(None, families=FEW[:1])
    *lines, _ = capsys.readouterr().out.splitlines()  # the summary is one line, however long
    assert max(map(len, lines)) <= int(columns)
