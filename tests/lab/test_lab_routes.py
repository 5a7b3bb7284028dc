"""The page's routes, its softmax too many, its training, its snippets: normexp, exact values, PyTorch, Python."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from flint import arb, ctx
from lab_calls import routes
from support import APART, DTYPES, floats_apart
from test_lab_arithmetic import FORMATS, rounded

import normexp
from normexp.explain.exact import Exact
from normexp.verify.measure import Ruler
from normexp.verify.oracle import Row, Target

TRAPS = ["three", "ordinary", "overflow", "underflow", "confident", "double", "masked", "fill", "ties", "cold"]


@pytest.fixture(scope="module")
def presets(lab):
    """The page's presets; -inf comes back from it as a number."""
    return lab.evaluate("lab.TRAPS")


def test_a_preset_for_every_trap(presets):
    assert list(presets) == TRAPS


def in_format(preset, name):
    """The preset's logits and temperature as numbers of the format."""
    return rounded(preset["x"], DTYPES[name]).astype(DTYPES[name]), float(rounded(preset["T"], DTYPES[name]))


def nearest(function, value, dtype):
    """exp or log of one number, rounded once."""
    if not np.isfinite(value) or (function == "log" and value <= 0):
        with np.errstate(all="ignore"):
            return getattr(np, function)(np.float64(value)).astype(dtype)
    with ctx.workprec(300):
        exact = getattr(arb(float(value)), function)()
        high = float(exact.mid())
        # Halfway between two numbers of the format, high has forgotten on which side the value is.
        tried = rounded([high, np.nextafter(high, -np.inf), np.nextafter(high, np.inf)], dtype)
        if dtype == np.float64 or not np.isfinite(tried).all():
            return rounded(high, dtype).astype(dtype)
        return np.asarray(min(tried.tolist(), key=lambda v: abs(float(exact - arb(v))))).astype(dtype)


def by_hand(z, t):
    """exp(z) / sum(exp(z)), its loss and its gradient, in arrays of the format: NumPy rounds each operation."""
    dtype = z.dtype
    one = lambda function, value: np.asarray(nearest(function, float(value), dtype))  # noqa: E731
    e = np.array([one("exp", v) for v in z])
    S = e[0]
    for v in e[1:]:
        S = np.add(S, v, dtype=dtype)
    p = e / S
    upward = np.asarray(-1, dtype) / p[t]
    back = np.where(np.arange(len(z)) == t, upward, np.zeros((), dtype)).astype(dtype)
    products = p * back
    dot = products[0]
    for v in products[1:]:
        dot = np.add(dot, v, dtype=dtype)
    return {"e": e, "S": S, "p": p, "loss": -one("log", p[t]), "grad": p * (back - dot)}


def assert_equal(got, expected, what):
    np.testing.assert_array_equal(got, np.atleast_1d(np.asarray(expected).astype(np.float64)), err_msg=str(what))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("trap", TRAPS)
def test_routes_by_hand(lab, presets, trap, name):
    x, T = in_format(presets[trap], name)
    t = presets[trap]["t"]
    got = routes(lab, name, x, T, t)
    with np.errstate(all="ignore"):
        z = x / np.asarray(T, x.dtype)
        d = z - z.max()
        for route, row in (("naive", z), ("shifted", d)):
            for stage, expected in by_hand(row, t).items():
                assert_equal(got[route][stage], expected, (route, stage))
        assert_equal(got["naive"]["z"], z, "z")
        assert_equal(got["shifted"]["d"], d, "d")
        assert_equal(got["fused"]["top"], x.max(), "top")
        textbook = np.asarray(nearest("log", float(got["shifted"]["S"][0]), x.dtype)) - d[t]
        assert_equal(got["shifted"]["textbook"], textbook, "textbook")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("trap", TRAPS)
def test_the_fused_route_is_normexp(lab, presets, trap, name):
    """Both are within the contract's bound of the exact value: equal, or neighbours."""
    x, T = in_format(presets[trap], name)
    t = presets[trap]["t"]
    got = routes(lab, name, x, T, t)["fused"]
    engine = {
        "p": normexp.softmax(x, temperature=T),
        "logp": normexp.log_softmax(x, temperature=T),
    }
    engine["loss"] = -engine["logp"][t : t + 1]
    if T == 1:
        loss, engine["grad"] = normexp.cross_entropy_and_grad(x, t)
        engine["loss"] = np.atleast_1d(loss)
    for stage, expected in engine.items():
        assert floats_apart(got[stage].astype(x.dtype) + 0, expected + np.zeros((), x.dtype)) <= APART[name], stage


@pytest.mark.parametrize("name", FORMATS)
def test_the_fused_route_is_exact(lab, presets, name):
    rng = np.random.default_rng(11)
    rows = [(*in_format(preset, name), preset["t"]) for preset in presets.values()]
    for _ in range(25):
        count = int(rng.integers(1, 11))
        x = rounded(rng.standard_normal(count) * 10 ** rng.uniform(-3, 2.5), DTYPES[name]).astype(DTYPES[name])
        x[rng.random(count) < 0.1] = -np.inf
        rows.append((x, float(rounded(10 ** rng.uniform(-2, 2), DTYPES[name])), int(rng.integers(count))))
    for x, T, t in rows:
        got = routes(lab, name, x, T, t)["fused"]
        row = Row(x, T)
        target = Target(t, len(x))
        exact = {
            "p": row.softmax(),
            "logp": row.log_softmax(),
            "loss": [row.cross_entropy(target)],
            "grad": row.cross_entropy_grad(target),  # by x / T
        }
        for stage, values in exact.items():
            assert Ruler(values, x.dtype).errors(got[stage].astype(x.dtype)).max() <= 0.5, (stage, x, T)


def test_what_each_preset_is_for(lab, presets):
    losses = {}
    for trap, preset in presets.items():
        x, T = in_format(preset, preset["format"])
        got = routes(lab, preset["format"], x, T, preset["t"])
        losses[trap] = [float(got[route]["loss"][0]) for route in ("naive", "shifted", "fused")]
        if trap == "ties":
            assert x.argmax() == 1
            assert all(got[route]["p"].argmax() == 0 for route in got)
    shown = {trap: " ".join(f"{v:.6g}" for v in values) for trap, values in losses.items()}
    assert shown["three"] == "nan inf 18"
    assert shown["overflow"] == "nan -0 0"
    assert shown["underflow"] == "inf inf 120"
    assert shown["confident"] == "-0 -0 2.06115e-09"
    assert shown["masked"] == shown["fill"] == "nan nan nan"
    assert shown["cold"] == "nan nan 0"
    assert max(losses["ordinary"]) - min(losses["ordinary"]) < 1e-6


@pytest.mark.parametrize("trap", ["three", "ordinary", "confident", "double", "ties"])
def test_a_softmax_too_many(lab, presets, trap):
    preset = presets[trap]
    x = torch.tensor([preset["x"]], dtype=torch.float64, requires_grad=True)
    loss = torch.nn.CrossEntropyLoss()(x.softmax(dim=1), torch.tensor([preset["t"]]))
    loss.backward()
    js = """([x, t]) => {
        const { once, outer, grad } = lab.twice(x, 1, t);
        const all = [outer.loss, ...grad].map((v) => lab.toFormat(lab.FORMATS.float64, v));
        return all;
    }"""
    got = lab.evaluate(js, [preset["x"], preset["t"]])
    # PyTorch's gradient cancels in p (g - sum p g): errors are of the size of the largest term, p's.
    np.testing.assert_allclose(got, [loss.item(), *x.grad[0].tolist()], rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("trap", ["three", "overflow", "underflow", "confident", "double", "ties", "cold"])
def test_a_softmax_too_many_exactly(lab, presets, trap):
    """Also where p is next to 1 and PyTorch, like any difference from it, gives 0."""
    preset = presets[trap]
    js = "([x, T, t]) => lab.twice(x, T, t).grad.map((v) => lab.approximate(v, 12))"
    got = lab.evaluate(js, [preset["x"], preset["T"], preset["t"]])
    exact = Exact(np.array(preset["x"], np.float64), preset["T"], preset["t"]).values("twice", list(range(len(got))))
    with ctx.workprec(300):
        # Beyond 1e-5000 the page says only how large a number is.
        apart = [
            abs(arb(text) / value - 1) for text, value in zip(got, exact, strict=True) if abs(value) > arb("1e-5000")
        ]
        assert max(apart) < 1e-11
    assert len(apart) >= 2


def test_the_training_run_is_pytorchs(lab):
    data = lab.evaluate("lab.dataset()")
    given = lab.evaluate("lab.TRAINING")
    inputs = torch.tensor(data["inputs"], dtype=torch.float64)
    labels = torch.tensor(data["labels"])
    assert inputs.shape == (given["classes"] * given["points"], given["size"])
    for again in (False, True):
        got = lab.evaluate("(again) => lab.train(lab.dataset(), again)", again)
        layer = torch.nn.Linear(given["size"], given["classes"], bias=False, dtype=torch.float64)
        torch.nn.init.zeros_(layer.weight)
        network = torch.nn.Sequential(layer, torch.nn.Softmax(dim=1)) if again else layer
        losses, accuracies = [], []
        for _ in range(given["steps"] + 1):
            layer.weight.grad = None
            output = network(inputs)
            loss = torch.nn.CrossEntropyLoss()(output, labels)
            losses.append(loss.item())
            accuracies.append(float((output.argmax(dim=1) == labels).double().mean()))
            loss.backward()
            with torch.no_grad():  # what torch.optim.SGD does, whose import takes as long as all of this
                layer.weight -= given["rate"] * layer.weight.grad
        # A hundred steps of additions in another order.
        np.testing.assert_allclose(got["losses"], losses, rtol=1e-10)
        np.testing.assert_allclose(got["accuracies"][1:], accuracies[1:], atol=1e-12)  # at first all classes are tied
    assert min(got["losses"]) > np.log1p(9 / np.e)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("trap", TRAPS)
def test_snippets_run_and_print_what_they_say(visit_once, trap, name):
    snippet = visit_once(trap, name)
    program = compile(snippet, trap, "exec")
    lines = [line for line in snippet.splitlines() if "print(" in line]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the very traps: overflow in exp, division by zero
        exec(program, {})
    printed = out.getvalue().replace("\n ", " ").splitlines()
    assert len(printed) == len(lines)
    for line, text in zip(lines, printed, strict=True):
        code, _, comment = line.partition("  # ")
        if not comment:
            continue
        said = np.array([float(v) for v in comment.split()])
        plain = text.removeprefix("tensor(").split(", dtype")[0].strip("()[]")
        got = np.array([float(v) for v in plain.split()])
        if "normexp" in code or "argmax" in code:
            # What print shows of an array: eight digits, and none smaller than that beside the largest.
            if name in ("float16", "bfloat16"):
                got = rounded(got, DTYPES[name])
            np.testing.assert_allclose(got, rounded(said, DTYPES[name]), rtol=1e-6, atol=0.5e-8 * np.abs(said).max())
        elif "F.cross_entropy" in code or "nxt" in code:
            np.testing.assert_allclose(got, said, rtol=1e-2 if name == "bfloat16" else 2e-3)
        else:
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(said))


@pytest.fixture(scope="module")
def visit_once(visit_elsewhere):
    """Read the snippet of a preset in a format, on one page for all of them."""
    page = visit_elsewhere()

    def read(trap, name):
        page.evaluate(
            """async ([trap, name]) => {
                document.querySelector(`[data-trap=${trap}]`).click();
                document.querySelector(`[data-format=${name}]`).click();
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            }""",
            [trap, name],
        )
        assert page.locator("#formats [aria-checked=true]").inner_text() == name
        return page.locator("#snippet").inner_text()

    return read
