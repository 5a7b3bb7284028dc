"""What an explanation says: states, marks, sentences; of the article's rows, of special ones, of long ones."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import ml_dtypes
import numpy as np
import pytest
from flint import arb

from normexp.explain import explain
from normexp.explain.cells import MARKS
from normexp.explain.formats import STATES

EXTREME = [-1000, -200, 0, 200, 1000]


def column(explanation, key, route):
    return [line.cells[route] for line in explanation.stage(key).lines[: len(explanation.shown)]]


def values(explanation, key, route):
    return [cell.value for cell in column(explanation, key, route)]


def marks(explanation, key, route):
    return "".join(cell.mark or "." for cell in column(explanation, key, route))


def said(explanation):
    return "\n".join(finding.text for finding in explanation.findings)


def test_the_articles_overflow():
    e = explain(EXTREME, dtype="float64", target=0)
    assert [cell.state for cell in column(e, "p", "naive")] == ["zero", "zero", "zero", "zero", "NaN"]
    assert marks(e, "exp", "naive") == "U...O"
    assert marks(e, "p", "naive") == "UUUUN"
    assert marks(e, "p", "shifted") == "UUUU."
    assert marks(e, "log_p", "shifted") == "OOOOU"
    assert values(e, "log_p", "log") == [-2000, -1200, -1000, -800, 0]
    loss = e.stage("log_p").lines[-1]
    assert loss.label == "loss"
    assert {route: cell.value for route, cell in loss.cells.items()} == {
        "naive": math.inf,
        "shifted": math.inf,
        "log": 2000,
        "normexp": 2000,
    }
    assert "exp(x) at class 4: 1.97e+434 is beyond the largest float64, 1.798e+308; it becomes inf." in said(e)
    assert "p at class 4 (naive): inf / inf is NaN" in said(e)
    assert "log(0) is -inf; it is -2000 (class 0), which x - max - log(sum) gives without ever forming p." in said(e)
    assert "the target's p is 0 (naive, shifted): autograd" in said(e)
    # In float32 the naive code of the article loses two of the five.
    assert marks(explain(EXTREME, dtype="float32"), "p", "naive") == "UUUNN"


def test_the_articles_figures():
    for row, figures in (
        ([-0.5, -0.2, 0, 0.2, 0.5], [0.1145, 0.1546, 0.1888, 0.2307, 0.3114]),
        ([-5, -2, 0, 2, 5], [0.0, 0.0009, 0.0064, 0.0471, 0.9456]),
    ):
        e = explain(row, dtype="float64")
        for route in ("naive", "shifted", "log", "normexp"):
            assert [round(value, 4) for value in values(e, "p", route)] == figures
    # The wider row's p next to 1 has a logarithm with a digit less.
    assert "log p at class 4 (naive): -0.0558908916206519, not -0.0558908916206518: 14 of 15 digits" in said(e)
    loss = explain([-0.5, -0.2, 0, 0.2, 0.5], target=0).stage("log_p").lines[-1]
    assert float(loss.value) == pytest.approx(2.1668357849121094, rel=2**-23)


def test_a_sure_row_loses_how_sure_it_is():
    e = explain([20, 0], target=0)
    assert e.form.name == "float32"
    loss, gradient = e.stage("log_p").lines[-1], e.stage("grad").line(0)
    for route in ("naive", "shifted", "log"):
        assert (loss.cells[route].value, loss.cells[route].mark) == (0, "L")
        assert (gradient.cells[route].value, gradient.cells[route].mark) == (0, "D")
    assert loss.cells["normexp"].value == pytest.approx(2.0611536e-09, rel=2**-23)
    assert gradient.cells["normexp"].value == pytest.approx(-2.0611536e-09, rel=2**-23)
    assert "log(1) is 0" in said(e)
    assert "the gradient is dead" in said(e)
    assert e.two.stage.line(0).cells["shifted"].mark == "D"
    assert float(e.two.floor) == pytest.approx(math.log(1 + 1 / math.e))
    p, rest = 1 / (1 + math.exp(-20)), math.exp(-20) / (1 + math.exp(-20))
    q = 1 / (1 + math.exp(rest - p))
    assert float(e.two.times_smaller) == pytest.approx(rest / (2 * p * rest * (1 - q)))


def test_float16():
    e = explain([1000, -1000], dtype="float16", target=1)
    assert marks(e, "exp", "naive") == "OU"
    assert values(e, "log_p", "log") == [0, -2000]
    assert e.two.times_smaller > arb(10) ** 800
    # A difference beyond the largest number, for normexp as well.
    e = explain([60000, -60000], dtype="float16")
    assert marks(e, "shift", "shifted, log") == ".O"
    assert marks(e, "log_p", "normexp") == "UO"
    e = explain(np.zeros(70_000, np.float16))
    assert e.stage("exp_shift").lines[-2].cells["shifted, log"].value == 2048  # where adding 1 changes nothing
    assert "the sum of exp(x - max): " in said(e)


def test_what_rounding_to_the_format_does():
    e = explain([-1e9, 0.1], dtype="float16")
    assert e.x.tolist() == [-math.inf, np.float16(0.1)]
    assert "Class 0: -1e+09 is beyond -65504, where float16 ends; it becomes -inf." in said(e)
    assert "becomes 0 in float16" in said(explain([1e-9, 0.1], dtype="float16"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("target", [None, 0, 1])
@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([-math.inf, 0.0, 1.0], "Class 0 is -inf, masked: p is exactly 0 there"),
        ([-math.inf, -math.inf], "Every logit is -inf"),
        ([math.inf, 0.0], "Class 0 is +inf: inf - inf and inf / inf are NaN"),
        ([math.nan, -math.inf, 0.0], "Class 0 is NaN: whatever is computed with it is NaN"),
        ([7.0, 7.0], "Nothing goes wrong here."),
        ([0.0, 0.0], "Nothing goes wrong here."),
        ([1e30, -1e30], ""),
    ],
)
def test_special_rows(row, sentence, target, dtype):
    e = explain(row, dtype=dtype, target=target)
    if dtype != "float16" or max(row) < 1e5:
        assert sentence in said(e)
    document = e.document()
    assert document["target"] == target
    if row[0] == -math.inf and len(row) == 3:
        assert values(e, "p", "shifted")[0] == 0
        assert marks(e, "p", "shifted")[0] == marks(e, "log_p", "log")[0] == "."
        if target == 0:
            assert "The target is masked: its loss is infinite, rightly." in said(e)
    if not math.isfinite(float(e.x.max())):
        assert e.two is None
        assert all(math.isnan(value) for value in values(e, "p", "log"))
    assert repr(e)
    assert ElementTree.fromstring(e._repr_html_())


def test_one_class():
    e = explain([5.0], target=0)
    assert [one.text for one in e.findings] == ["Nothing goes wrong here."]
    assert e.two.times_smaller is None
    assert e.two.stage.lines[-1].exact == "0"


def test_temperature_divides_in_the_format():
    e = explain([1, 2, 3], temperature=0.1, target=0)
    assert e.temperature == np.float32(0.1)
    assert float(e.facts.gap) == 1 / float(np.float32(0.1))
    assert e.stages[0].key == "scale"
    assert e.stage("log_p").line(2).cells["log"].mark == "L"  # the roundings of x / T, in a difference
    assert e.stage("log_p").line(2).cells["normexp"].ulp < 1
    assert e.stage("grad").line(0).cells["normexp"].ulp < 1


def test_effective_classes():
    assert float(explain([3, 3, 3, 3]).facts.effective) == pytest.approx(4)
    assert float(explain([1, 0], temperature=2.0**-20).facts.effective) == pytest.approx(1)


def test_the_dtype_is_that_of_an_array_and_float32_of_a_list():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float64):
        assert explain(np.array([1, 2], dtype)).x.dtype == dtype
    for x in ([1.0, 2], np.array([1, 2])):
        assert explain(x).x.dtype == np.float32
    assert explain(np.array([1.0, 2]), dtype="float16").x.dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, "x is empty"),
        (([[1, 2]],), ValueError, r"x has shape \(1, 2\); expected one row"),
        ((3.0,), ValueError, r"x has shape \(\)"),
        ((["a"],), TypeError, "x has dtype"),
        (([1, 2], 2), ValueError, "target 2 is out of range: the 2 classes are 0 to 1"),
        (([1, 2], -1), ValueError, "target -1 is out of range"),
        (([1, 2], 0.5), TypeError, "target must be an integer"),
        (([1, 2], 0, "float8"), ValueError, "dtype 'float8' is none of float16, bfloat16, float32, float64"),
        (([1, 2], 0, None, 0), ValueError, "temperature must be positive"),
        (([1, 2], 0, None, math.nan), ValueError, "temperature must be positive"),
        (([1, 2], 0, "float16", 1e-9), ValueError, "temperature 1e-09 is 0 in float16"),
        (([1, 2], 0, "float16", 1e9), ValueError, "temperature 1e[+]09 is inf in float16"),
    ],
)
def test_mistakes(arguments, error, message):
    names = ("target", "dtype", "temperature")
    with pytest.raises(error, match=message):
        explain(arguments[0], **dict(zip(names, arguments[1:], strict=False)))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("normexp.explain.missing", lambda: ["flint"])
    with pytest.raises(ImportError, match=r"explain needs flint: pip install \"normexp\[explain\]\""):
        explain([1.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_long_row_is_a_short_row_with_lines_left_out(dtype, monkeypatch):
    x = np.random.default_rng(3).normal(size=300) * (3 if dtype == "float16" else 60)
    short = explain(x, dtype=dtype, target=17)
    monkeypatch.setattr("normexp.explain.explanation._WHOLE", 300)
    whole = explain(x, dtype=dtype, target=17)
    assert len(short.shown) < 40 < len(whole.shown) == 300
    assert "target" in short.shown[17]
    assert short.shown[int(x.argmax())].startswith("largest")
    for few, all_ in zip([*short.stages, short.two.stage], [*whole.stages, whole.two.stage], strict=True):
        for i in short.shown:
            assert few.line(i).exact == all_.line(i).exact
            assert str(few.line(i).cells) == str(all_.line(i).cells)  # NaN is not NaN
        for route, counts in few.others.items():
            left = [
                line.cells[route].state
                for line in all_.lines
                if line.label.isdigit() and int(line.label) not in short.shown
            ]
            assert counts == {state: left.count(state) for state in STATES if state in left}
            for mark in MARKS:
                # Rigorous errors and those to 64 bits may part at ten ULP sharp, or at half the smallest number.
                one, other = (stage.marked[route].get(mark, np.array([])) for stage in (few, all_))
                assert len(np.setxor1d(one, other)) <= 1, (few.key, route, mark)
    assert whole.stage("p").others == {}


def test_the_page_is_small_and_says_the_same():
    e = explain(EXTREME, target=0)
    html = e._repr_html_()
    assert len(html) < 30_000
    assert "<script" not in html
    assert "<small>wrong</small>" in html
    assert "wrong ULP" not in html
    root = ElementTree.fromstring(html)
    assert root.attrib["class"] == "normexp-explain"
    words = " ".join("".join(root.itertext()).split())
    for finding in e.findings:
        assert finding.text in words
    for stage in e.stages:
        for line in stage.lines:
            assert line.exact in words
