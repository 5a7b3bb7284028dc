"""Means and sums over rows, and their gradients, against exact values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support import BOUND, DTYPES, literal, places

import normexp
from losses.problems import distributions, labels, weights

pytest.importorskip("flint", reason="exact values come from python-flint")
from flint import arb, ctx

from losses.exact import exactly
from normexp.verify import measure, oracle


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("soft", [False, True])
def test_reduced(dtype: np.dtype, reduction: str, soft: bool) -> None:
    """The gradient of a mean is rounded once, after its division; the loss too, after its sum."""
    for rows, length, smoothing in ((3, 10, 0.0), (97, 10, 0.0), (97, 10, 0.1), (7, 1000, 0.0), (7, 2100, 0.1)):
        logits = (np.random.default_rng(rows).standard_normal((rows, length)) * 4).astype(dtype)
        weight = weights(length, dtype)
        options: dict[str, Any] = {"label_smoothing": smoothing, "weight": weight}
        target = distributions(logits) if soft else labels(logits)
        divisor = rows if soft else float(weight[target].astype(np.float64).sum())
        divisor = 1 if reduction == "sum" else divisor
        loss, grad = normexp.cross_entropy_and_grad(logits, target, reduction=reduction, **options)
        exact = [oracle.cross_entropy(row, q, **options) for row, q in zip(logits, target, strict=True)]
        with ctx.workprec(256):
            total = exactly(exact) / divisor
        assert measure.max_ulp(loss, total) <= BOUND[dtype.name], (rows, length)
        for i in {0, rows // 2, rows - 1}:
            at = places(logits[i])
            derivative = oracle.cross_entropy_grad(logits[i], target[i], at, divisor, **options)
            assert measure.max_ulp(grad[i, at], derivative) <= BOUND[dtype.name], (rows, length, i)


def test_mean_of_confident_rows(dtype: np.dtype) -> None:
    """Losses far below one unit of the sum of the others are there all the same where all are small."""
    logits = np.array(literal(dtype, *([10 + gap, 0] for gap in range(30))))
    exact = [oracle.cross_entropy(row, 0) for row in logits]
    got = normexp.cross_entropy(logits, np.zeros(30, int))
    with ctx.workprec(256):
        mean = exactly(exact) / 30
    assert measure.max_ulp(got, mean) <= BOUND[dtype.name]


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_mean_over_many_rows(kind: str) -> None:
    """float16 has no number for 70000 rows, and bfloat16 no 257 after 256."""
    dtype = DTYPES[kind]
    logits = np.tile(np.array([[0.5, 0, -1.5]]), (70_000, 1)).astype(dtype)
    target = np.zeros(70_000, np.int64)
    one = oracle.cross_entropy(logits[0], 0)
    for weight in (None, np.full(3, 3.0, dtype)):
        assert measure.max_ulp(normexp.cross_entropy(logits, target, weight=weight), one) <= 0.51
        loss, grad = normexp.cross_entropy_and_grad(logits, target, weight=weight)
        assert measure.max_ulp(loss, one) <= 0.51
        bound = BOUND[kind]
        assert measure.max_ulp(grad[-1], oracle.cross_entropy_grad(logits[0], 0, divisor=70_000)) <= bound
    even = oracle.cross_entropy(logits[0], 0, label_smoothing=1.0)
    assert measure.max_ulp(normexp.cross_entropy(logits, np.zeros_like(logits), label_smoothing=1.0), even) <= 0.51
    assert measure.max_ulp(normexp.nll_loss(logits * dtype.type(-2), target), arb(1)) <= 0.51


def test_mean_of_rows_that_overflow_alone() -> None:
    """120000 is no float16, half of it is; so with float32."""
    for kind, top in (("float16", 60_000.0), ("float32", 3e38)):
        logits = np.array([[top, -top], [0, -top]]).astype(DTYPES[kind])
        assert normexp.cross_entropy(logits, [1, 0]) == DTYPES[kind].type(top)
        assert np.isposinf(normexp.cross_entropy(logits, [1, 0], reduction="none")[0])


def test_sums_that_cancel() -> None:
    """Weights of both signs: what the rows' losses leave of each other is right in float64's digits."""
    logits = np.random.default_rng(5).standard_normal((2000, 4)) * 3
    target = labels(logits)
    weight = np.array([1.0, -1.0, 1e8, -1e8])
    terms = [oracle.cross_entropy(row, t, weight=weight) for row, t in zip(logits, target.tolist(), strict=True)]
    got = normexp.cross_entropy(logits, target, weight=weight, reduction="sum")
    size = float(exactly([abs(t) for t in terms]))
    assert abs(float(got) - float(exactly(terms))) <= 2 * 2**-52 * size


def test_mean_with_tiny_weights() -> None:
    """One over their sum is beyond float64; what they weigh beside each other is not."""
    rows = np.random.default_rng(0).standard_normal((20, 3))
    for count in (2, 20):
        loss, grad = normexp.cross_entropy_and_grad(rows[:count], labels(rows)[:count], weight=np.full(3, 2.0**-1030))
        wanted = normexp.cross_entropy_and_grad(rows[:count], labels(rows)[:count])
        np.testing.assert_allclose(loss, wanted.loss, rtol=2**-40)  # the products have that many digits left
        np.testing.assert_allclose(grad, wanted.grad, rtol=2**-40)


def test_weights_that_sum_to_nothing_with_smoothing() -> None:
    """The loss is the same with the gradient in the logits' place, and the gradient of what is no number is none."""
    x, options = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 2.0]]), {"weight": np.array([1.0, -1.0, 2.0])}
    loss = normexp.cross_entropy(x, [1, 0], label_smoothing=0.3, **options)
    place = x.copy()
    result = normexp.cross_entropy_and_grad(place, [1, 0], label_smoothing=0.3, **options, out=place)
    np.testing.assert_array_equal(result.loss, loss)
    assert np.isnan(place).all()


def test_no_classes_have_no_mean() -> None:
    assert np.isnan(normexp.cross_entropy(np.zeros((3, 0)), np.zeros((3, 0))))
    assert normexp.cross_entropy(np.zeros((3, 0)), np.zeros((3, 0)), reduction="sum") == 0


def test_an_ignored_label_beyond_64_bits_is_refused_for_probabilities() -> None:
    with pytest.raises(ValueError, match="ignore_index is 9223372036854775808"):
        normexp.cross_entropy(np.zeros((1, 2)), np.ones((1, 2)), ignore_index=2**63)
