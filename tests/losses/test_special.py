"""Infinities, NaN, ignored rows and nothing at all: the conventions, which are PyTorch's but for one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support import APART, assert_same_bits, assert_values, floats_apart
from test_special import CASES, LAYOUTS, LENGTHS, ordinary, places

import normexp
from losses.problems import distributions, labels

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum")


def both(x: np.ndarray, target: Any, axis: int = -1, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Each row's loss, and the gradient with the rows first; the loss alone has the same bits."""
    loss, grad = normexp.cross_entropy_and_grad(x, target, axis=axis, reduction="none", **options)
    assert_same_bits(normexp.cross_entropy(x, target, axis=axis, reduction="none", **options), loss)
    return loss, np.moveaxis(grad, axis, -1)


def assert_alike(got: np.ndarray, expected: np.ndarray, what: object) -> None:
    """As many floats apart as two results for one exact value may be."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert floats_apart(got, expected) <= APART[got.dtype.name], what


@pytest.mark.parametrize("case", CASES)
def test_special_logits_at_other_classes(case: str, dtype: np.dtype) -> None:
    """The row is lost, or is what it would be without the places that hold -inf; its neighbours keep their bits."""
    values, outcome, _, _ = CASES[case]
    for length in LENGTHS:
        plain = ordinary(length, dtype)
        target = labels(plain)
        without = both(plain, target)
        for at in places(length, len(values)):
            rows = plain.copy()
            rows[2, list(at)] = values
            rest = [i for i in range(length) if i not in at]
            if not rest:
                continue
            target[2] = rest[len(rest) // 2]
            alone, alone_grad = both(plain[2][rest], len(rest) // 2)
            for layout in LAYOUTS:
                x, axis = layout(rows)
                loss, grad = both(x, target, axis)
                what = (case, length, at, layout.__name__)
                assert_same_bits(np.delete(loss, 2), np.delete(without[0], 2), what)
                assert_same_bits(np.delete(grad, 2, 0), np.delete(without[1], 2, 0), what)
                if outcome == "nan":
                    assert np.isnan(loss[2]), what
                    assert np.isnan(grad[2]).all(), what
                else:
                    assert_alike(loss[2], alone, what)
                    assert not grad[2][list(at)].any(), what
                    assert_alike(grad[2][rest], alone_grad, what)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"label_smoothing": 1.0}])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_lost_rows(dtype: np.dtype, length: int, soft: bool, options: dict[str, Any]) -> None:
    """NaN and +inf, also at the label, with any target."""
    plain = ordinary(length, dtype)
    target = distributions(plain) if soft else labels(plain)
    without = both(plain, target, **options)
    lost = [2, -1]
    for values in ((NAN,), (INF,), (INF, -INF), (NAN, INF), (-INF, NAN)):
        for at in places(length, len(values)):
            rows = plain.copy()
            rows[np.ix_(lost, at)] = values
            for layout in LAYOUTS:
                x, axis = layout(rows)
                given = np.moveaxis(target, -1, axis) if soft else target
                loss, grad = both(x, given, axis, **options)
                what = (values, length, at, layout.__name__)
                assert np.isnan(loss[lost]).all(), what
                assert np.isnan(grad[lost]).all(), what
                assert_same_bits(np.delete(loss, lost), np.delete(without[0], lost), what)
                assert_same_bits(np.delete(grad, lost, 0), np.delete(without[1], lost, 0), what)
                for reduction in ("mean", "sum"):
                    assert np.isnan(normexp.cross_entropy(x, given, axis=axis, reduction=reduction, **options)), what


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("soft", [False, True])
def test_rows_of_nothing_but_minus_infinity(dtype: np.dtype, length: int, soft: bool) -> None:
    rows = ordinary(length, dtype)
    rows[[0, 3]] = -INF
    for layout in LAYOUTS:
        x, axis = layout(rows)
        target = np.moveaxis(distributions(rows), -1, axis) if soft else labels(rows)
        loss, grad = both(x, target, axis)
        assert_values(np.isnan(loss), np.isin(np.arange(len(rows)), [0, 3]))
        assert_values(np.isnan(grad).any(axis=-1), np.isnan(loss))
        assert_values(np.isnan(grad).all(axis=-1), np.isnan(loss))


@pytest.mark.parametrize("count", [1, 20])
def test_minus_infinity_at_the_label(dtype: np.dtype, count: int) -> None:
    """An infinite loss, with the gradient that PyTorch gives: -1 there and softmax elsewhere."""
    x = np.tile(np.array([[1, -INF, 0]]), (count, 1)).astype(dtype)
    loss, grad = both(x, np.full(count, 1))
    assert_values(loss, np.full(count, INF))
    expected = normexp.softmax(x)
    expected[:, 1] = -1
    assert_alike(grad, expected, "index")
    soft = np.tile(np.array([[0.0, 1.0, 0.0]]), (count, 1)).astype(dtype)
    loss, grad = both(x, soft)
    assert_values(loss, np.full(count, INF))
    assert_alike(grad, expected, "probabilities")
    for reduction in ("mean", "sum"):
        assert normexp.cross_entropy(x, np.full(count, 1), reduction=reduction) == INF


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("length", [3, 17, 2500])
def test_smoothing_of_minus_infinity(dtype: np.dtype, count: int, length: int) -> None:
    """Each class has a share of the smoothed label, also one without a chance: the loss is infinite, as in PyTorch."""
    x = np.tile(ordinary(length, dtype, rows=1), (count, 1))
    x[:, 1] = -INF
    loss, grad = both(x, np.zeros(count, int), label_smoothing=0.25)
    assert_values(loss, np.full(count, INF))
    expected = normexp.softmax(x.astype(np.float64)) - 0.25 / length
    expected[:, 0] -= 0.75
    # A difference of float64 numbers, each right to its last places.
    largest = np.abs(expected).max()
    np.testing.assert_allclose(
        grad.astype(np.float64), expected, rtol=np.finfo(np.float32).eps * 2**16, atol=largest / 64
    )
    assert (np.abs(grad[:, 1].astype(np.float64) * length + 0.25) < 0.01).all()


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("length", [2, 3, 17, 2500])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_zero_probability_of_minus_infinity_is_nothing(dtype: np.dtype, count: int, length: int, place: int) -> None:
    """The one exception from PyTorch, whose 0 times infinity is NaN."""
    x = np.tile(ordinary(length, dtype, rows=1), (count, 1))
    q = np.tile(np.abs(ordinary(length, dtype, rows=1)), (count, 1)) / dtype.type(4)
    x[:, place] = -INF
    q[:, place] = 0
    rest = np.delete(x, place, axis=1), np.delete(q, place, axis=1)
    loss, grad = both(x, q)
    expected, expected_grad = both(*rest)
    assert_alike(loss, expected, "loss")
    assert not grad[:, place].any()
    assert_alike(np.delete(grad, place, 1), expected_grad, "gradient")
    loss, grad = both(x, q, weight=np.linspace(0.5, 2, length))
    assert np.isfinite(loss).all()
    assert np.isfinite(grad).all()
    assert np.isfinite(normexp.cross_entropy(x, q))


def test_labels_beside_minus_infinity_with_weights(dtype: np.dtype) -> None:
    """A class that is neither the label nor likely counts for nothing, whatever its weight."""
    x = np.array([[1, -INF, 0]], dtype=dtype)
    loss, _ = both(x, [0], weight=[1.0, 5.0, 2.0])
    assert_same_bits(loss, both(np.array([[1, 0]], dtype=dtype), [0])[0])


def test_one_class(dtype: np.dtype) -> None:
    """Its probability is 1: no loss, no gradient."""
    for count in (1, 40):
        x = ordinary(1, dtype, rows=count)
        for target, options in (
            (np.zeros(count, int), {}),
            (np.zeros(count, int), {"label_smoothing": 0.1}),
            (np.ones((count, 1), dtype), {}),
            (np.full((count, 1), 0.25, dtype), {"weight": [3.0]}),
        ):
            loss, grad = both(x, target, **options)
            assert not loss.any()
            assert not grad.any()


def test_probabilities_are_taken_as_they_are(dtype: np.dtype) -> None:
    """Summing to 1 or not, negative or not: PyTorch does not ask, and the formula does not either."""
    x = np.array([[0.5, 0.0, -1.0]], dtype=dtype)
    rows = [both(x, np.eye(3, dtype=dtype)[[i]]) for i in range(3)]
    loss, grad = both(x, np.array([[2, -1, 0.5]], dtype=dtype))
    scale = (2.0, -1.0, 0.5)
    wanted = sum(s * row[0].astype(np.float64) for s, row in zip(scale, rows, strict=True))
    wanted_grad = sum(s * row[1].astype(np.float64) for s, row in zip(scale, rows, strict=True))
    unit = 4 * float(np.finfo(np.float32).eps if dtype == np.float64 else np.spacing(dtype.type(1)))
    np.testing.assert_allclose(loss.astype(np.float64), wanted, rtol=unit * 4)
    np.testing.assert_allclose(grad.astype(np.float64), wanted_grad, rtol=unit * 4)


@pytest.mark.parametrize("count", [1, 20])
def test_lost_probabilities(dtype: np.dtype, count: int) -> None:
    """A target that is no number leaves none."""
    x = np.tile(ordinary(5, dtype, rows=1), (count, 1))
    q = np.full((count, 5), 0.2, dtype=dtype)
    q[0, 3] = NAN
    loss, grad = both(x, q)
    assert np.isnan(loss[0])
    assert np.isnan(grad[0]).all()
    assert np.isfinite(loss[1:]).all()
    assert np.isfinite(grad[1:]).all()


def test_zero_dimensional_results(dtype: np.dtype) -> None:
    """Arrays all of them, of the logits' dtype."""
    x = ordinary(5, dtype, rows=3)
    for reduction in ("mean", "sum"):
        for got in (
            normexp.cross_entropy(x, labels(x), reduction=reduction),
            normexp.cross_entropy_and_grad(x, labels(x), reduction=reduction).loss,
            normexp.nll_loss(x, labels(x), reduction=reduction),
        ):
            assert type(got) is np.ndarray
            assert (got.shape, got.dtype) == ((), dtype)
    for reduction in REDUCTIONS:  # a row alone
        got = normexp.cross_entropy(x[0], 2, reduction=reduction)
        assert (type(got), got.shape, got.dtype) == (np.ndarray, (), dtype)
        assert_same_bits(got, normexp.cross_entropy(x[:1], [2]))


def test_nll_loss_of_special_values(dtype: np.dtype) -> None:
    """It picks and negates, and looks at nothing else."""
    x = np.array([[NAN, -INF, -1.0], [INF, -2.0, NAN], [0.0, -0.5, -INF]], dtype=dtype)
    assert_values(normexp.nll_loss(x, [2, 1, 1], reduction="none"), [1, 2, 0.5])
    assert_values(normexp.nll_loss(x, [1, 0, 2], reduction="none"), [INF, -INF, INF])
    assert_values(normexp.nll_loss(x, [0, 1, 2], reduction="none"), [NAN, 2, INF])
    assert_values(normexp.nll_loss(x, [0, 1, 0], ignore_index=0, reduction="none"), [0, 2, 0])
    assert_values(normexp.nll_loss(x, [0, 1, 0], ignore_index=0), 2)
