"""Every stage of every route, against mpmath and against NumPy; and the exact values, against mpmath."""

from __future__ import annotations

import math

import ml_dtypes
import mpmath
import numpy as np
import pytest
from flint import arb, ctx

from normexp.explain import explain, formats
from normexp.explain.exact import Exact
from normexp.explain.formats import DTYPES, Format
from normexp.explain.routes import compute

from . import slow


@pytest.fixture(params=DTYPES)
def form(request):
    return Format(request.param)


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(400):
        yield


def test_each_stage_is_mpmath_rounded(form):
    for x in slow.rows(form.dtype):
        ours, theirs = compute(form, x, 1.0, None), slow.routes(x.tolist(), form.dtype)
        for key, by_route in ours.stages.items():
            for route, got in by_route.items():
                if route != "normexp":
                    assert got.astype(np.float64).tolist() == theirs[key][route], (key, route, x)
        totals = ours.totals["exp"]["sum"]["naive"], *(one["shifted, log"] for one in ours.totals["exp_shift"].values())
        assert tuple(float(one[0]) for one in totals) == theirs["sums"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_numpy_rounds_correctly_is_numpys(dtype):
    x = (np.random.default_rng(1).normal(size=1000) * 20).astype(dtype)
    got = compute(Format(np.dtype(dtype).name), x, 0.5, 3)
    z = x / dtype(0.5)
    assert (got.stages["scale"]["all"] == z).all()
    assert (got.stages["shift"]["shifted, log"] == z - z.max()).all()
    exps = got.stages["exp_shift"]["shifted, log"]
    # NumPy's own exp is within 4 units (its documentation); ours is rounded correctly.
    assert np.abs(np.exp(z - z.max()) - exps).max() <= 4 * np.finfo(dtype).eps
    total = dtype(0)
    for one in exps:
        total += one
    assert got.totals["exp_shift"]["sum"]["shifted, log"][0] == total
    p = exps / total
    assert (got.stages["p"]["shifted"] == p).all()
    p[3] -= 1
    assert (got.stages["grad"]["shifted"] == p).all()


def test_rounding_is_that_of_the_casts():
    """Every float16 and the points half-way between two; float32 and bfloat16 likewise, drawn."""
    half = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    wide = np.concatenate([half, (half[1:] + half[:-1]) / 2, [65519.99, 65520, 1e9, np.inf]])
    with np.errstate(over="ignore"):
        assert (Format("float16").nearest(wide.astype(np.longdouble)) == wide.astype(np.float16)).all()
        words = np.random.default_rng(2).integers(0, 0x7FF0 << 48, 20_000, dtype=np.uint64)
        doubles = np.concatenate(
            [words.view(np.float64) * 1e-290, np.exp2(np.random.default_rng(3).uniform(-151, 129, 9999))]
        )
        assert (Format("float32").nearest(doubles.astype(np.longdouble)) == doubles.astype(np.float32)).all()
    floats = np.random.default_rng(4).integers(0, 0x7F800000, 50_000, dtype=np.uint32).view(np.float32)
    floats = np.concatenate([floats, [2.0**-134, 3 * 2.0**-134, 3.4e38]]).astype(np.float32)
    assert (Format("bfloat16").nearest(floats.astype(np.longdouble)) == floats.astype(ml_dtypes.bfloat16)).all()
    # Not by way of float32, which would make a tie of this and then a 1.
    assert Format("bfloat16").nearest(np.array([1 + 2.0**-8 + 2.0**-40], np.longdouble))[0] == 1 + 2.0**-7


@pytest.mark.parametrize("function", ["exp", "log"])
def test_exp_and_log_are_rounded_correctly(form, function, monkeypatch):
    rng = np.random.default_rng(6)
    drawn = rng.uniform(-110, 90, 300) if function == "exp" else np.exp(rng.uniform(-80, 80, 300))
    edges = [0.0, 1.0, 2.0**-10, 88.7, 88.8, 11.0, 11.1, 1 + 2.0**-7]
    edges += [-17.33, -17.32, -103.97, -103.98, -745.1, -745.2, 709.78, 709.79] if function == "exp" else [2.0**-24]
    # In float64 these are so near half-way that a long double, exactly there, does not tell (found by drawing).
    edges += [20.701094431906206, 28.154312578323477, -51.89993138744949] if function == "exp" else []
    x = form.nearest(np.array([*drawn, *edges], np.longdouble))
    x = x[np.isfinite(x.astype(np.float64)) & ((function == "exp") | (x > 0))]
    got = getattr(form, function)(x).astype(np.float64).tolist()
    assert got == [slow.rounded(getattr(mpmath, function)(mpmath.mpf(float(v))), form.dtype) for v in x]
    # And where long double never suffices, as it does not where it is float64.
    monkeypatch.setattr(formats, "_DOUBT", 0.4)
    assert getattr(form, function)(x).astype(np.float64).tolist() == got


def close(value, expected):
    with ctx.workprec(3000):
        assert arb(str(expected)).overlaps(value) or abs(value / arb(str(expected)) - 1) < arb(2) ** -75, (
            value,
            expected,
        )


@pytest.mark.parametrize(
    "row", [[20, 0], [1000, -1000], [0.1, 0.2, 0.7], [-50, 30, 30, 1], [-500, 3, 3, -1], [0, -800, -700.5]]
)
@pytest.mark.parametrize("temperature", [1.0, 0.25, 3.0])
def test_exact_values_are_those_of_mpmath(row, temperature):
    x = np.array(row, np.float64)
    for target in range(x.size):
        # Twice the zeros of the least exponential; for e^-8000, which is 10^-3474 beside 1, once.
        with mpmath.workdps(min(100 + int(0.87 * (max(row) - min(row)) / temperature), 3900)):
            theirs = slow.exact(row, temperature, target)
        exact = Exact(x, temperature, target)
        for key in ("exp", "shift", "exp_shift", "p", "log_p", "grad", "twice"):
            near = exact.near(key).near
            for i, value in enumerate(exact.values(key, list(range(x.size)))):
                close(value, theirs[key][i])
                if np.finfo(np.longdouble).nmant >= 63:
                    assert near[i] == 0 or abs(mpmath.mpf(str(near[i])) / theirs[key][i] - 1) < 1e-15
        close(exact.total("exp", "sum"), theirs["sum"])
        close(exact.total("log_p", "loss"), theirs["loss"])
        close(exact.total("twice", "loss"), theirs["loss after a softmax"])
        close(exact.facts.entropy, theirs["entropy"])
        close(exact.facts.logsumexp, theirs["logsumexp"])
        close(exact.facts.effective, mpmath.exp(theirs["entropy"]))
        close(exact.floor(), mpmath.log(1 + (x.size - 1) / mpmath.e))


def test_the_gradient_after_a_softmax_is_the_derivative():
    """By differences of the loss itself: the formula is not taken for granted."""
    row, step = [0.5, -1.25, 2.0], mpmath.mpf(10) ** -200

    def loss(x):
        p = [mpmath.exp(v) for v in x]
        p = [v / mpmath.fsum(p) for v in p]
        return mpmath.log(mpmath.fsum(mpmath.exp(v) for v in p)) - p[1]

    got = Exact(np.array(row), 1.0, 1).values("twice", [0, 1, 2])
    for i, value in enumerate(got):
        moved = [mpmath.mpf(v) + step * (i == j) for j, v in enumerate(row)]
        assert float((loss(moved) - loss([mpmath.mpf(v) for v in row])) / step) == pytest.approx(
            float(value), rel=1e-14
        )


def test_errors_are_in_units_of_the_exact_value():
    e = explain([1.0, 2.0, 3.0], dtype="float16")
    for stage in e.stages:
        for line in stage.lines:
            for cell in line.cells.values():
                exact = float(line.value)
                unit = 2.0 ** max(math.floor(math.log2(abs(exact))) - 10, -24) if exact else 2.0**-24
                assert cell.ulp == pytest.approx(abs(cell.value - exact) / unit, abs=1e-9)
