"""The oracle's losses, gradients and entropies against mpmath in 400 digits."""

import math

import mpmath
import numpy as np
import pytest
from flint import arb
from test_oracle import RNG, ROWS, _digits, encloses, mp_softmax, numbers  # noqa: F401 - the fixture acts by being here

from normexp.verify import oracle

# Whose exponentials mpmath sums without trouble, and one beside which everything else vanishes.
NAMES = ("plain", "wide", "offset", "confident", "ties", "one", "subnormal results", "float16", "float32")


def targets(count):
    """Labels, probabilities, with weights of both signs and zeros, smoothed by nothing, something and all."""
    shares = RNG.dirichlet(np.ones(count))
    shares[0] = 0
    weight = np.arange(count) - 1.5
    weight[-1] = 0
    for target in (0, count - 1, shares):
        for smoothing in (0.0, 0.1, 1.0):
            for given in (None, weight):
                yield target, {"weight": given, "label_smoothing": smoothing}


def mp_coefficients(target, count, weight, label_smoothing):
    smoothing = mpmath.mpf(label_smoothing)
    y = [mpmath.mpf(int(j == target)) for j in range(count)] if isinstance(target, int) else numbers(target)
    w = [mpmath.mpf(1)] * count if weight is None else numbers(weight)
    return [wj * ((1 - smoothing) * yj + smoothing / count) for wj, yj in zip(w, y, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_mpmath(name):
    row = ROWS[name]
    xs, p = numbers(row), mp_softmax(numbers(row))
    top = max(xs)
    lse = top + mpmath.log(mpmath.fsum(mpmath.exp(x - top) for x in xs))
    for target, options in targets(len(row)):
        a = mp_coefficients(target, len(row), **options)
        loss = mpmath.fsum(aj * (lse - x) for aj, x in zip(a, xs, strict=True))
        # 400 digits less what terms of both signs cancel: of weights, and of the row's certainty
        least = mpmath.mpf(10) ** -390
        assert encloses(oracle.cross_entropy(row, target, **options), loss) or abs(loss) < least
        mass = mpmath.fsum(a)
        for j, got in enumerate(oracle.cross_entropy_grad(row, target, divisor=7, **options)):
            expected = (p[j] * mass - a[j]) / 7
            assert encloses(got, expected) or (abs(expected) < least and got.abs_upper() < arb(2) ** -1100)


@pytest.mark.parametrize("name", NAMES)
def test_entropy_agrees_with_mpmath(name):
    p = mp_softmax(numbers(ROWS[name]))
    expected = -mpmath.fsum(share * mpmath.log(share) for share in p)
    assert encloses(oracle.Row(ROWS[name]).entropy(), expected) or abs(expected) < mpmath.mpf(10) ** -390


def test_positions_choose_derivatives_of_the_whole_row():
    row = RNG.normal(size=1000)
    whole = oracle.cross_entropy_grad(row, 5)
    assert [str(v) for v in oracle.cross_entropy_grad(row, 5, [999, 5])] == [str(whole[i]) for i in (999, 5)]


def test_what_cancels_is_enclosed_all_the_same():
    """Three ties against a third each: zero, and enclosed as nearer to it than any format's smallest number."""
    for value in oracle.cross_entropy_grad([0.0, 0.0, 0.0], 1, label_smoothing=1.0):
        assert value.contains(0)
        assert value.abs_upper() < arb(2) ** -1100
    near = oracle.cross_entropy_grad([0.0, 0.0, 2.0**-40], 1, label_smoothing=1.0)
    assert float(near[2]) == pytest.approx(2.0**-40 * 2 / 9, rel=1e-9)


def test_special_values():
    inf, nan = math.inf, math.nan
    for row in ([-inf, -inf], [inf, 0.0], [nan, 0.0], [nan, -inf]):
        assert math.isnan(float(oracle.cross_entropy(row, 1)))
        assert np.isnan([float(v) for v in oracle.cross_entropy_grad(row, 1)]).all()
        assert math.isnan(float(oracle.Row(row).entropy()))
    assert float(oracle.cross_entropy([0.0, -inf], 1)) == inf
    assert float(oracle.cross_entropy([0.0, -inf], 0)) == 0
    assert float(oracle.cross_entropy([0.0, -inf], [1.0, 0.0])) == 0
    assert float(oracle.cross_entropy([0.0, -inf], 0, label_smoothing=0.1)) == inf
    assert [float(v) for v in oracle.cross_entropy_grad([0.0, -inf], 1)] == [1.0, -1.0]
    assert [float(v) for v in oracle.cross_entropy_grad([5.0], 0)] == [0.0]
    assert float(oracle.Row([0.0, -inf]).entropy()) == 0
