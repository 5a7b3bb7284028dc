"""Rows that count for nothing, and batches in which nothing counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits, assert_values, bits
from test_special import LAYOUTS, ordinary

import normexp
from losses.problems import labels

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("value", [NAN, INF, -INF, 0.0])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": True}])
@pytest.mark.parametrize("ignore", [-100, 0, 300])
def test_ignored_rows_do_not_matter(
    dtype: np.dtype, value: float, reduction: str, options: dict[str, Any], ignore: int
) -> None:
    """Whatever their logits, ignored rows have the loss +0 and the gradient +0, and the others are as without them."""
    for length in (2, 10, 17, 1000, 2100):
        plain = ordinary(length, dtype, rows=37)
        given = {**options, **({"weight": np.linspace(0.5, 2, length)} if "weight" in options else {})}
        target = np.maximum(labels(plain), 1)
        skipped = np.random.default_rng(length).random(37) < 0.5
        target[skipped] = ignore
        rows = plain.copy()
        rows[skipped, -1] = value
        rows[skipped, : length // 2] = value
        kept = normexp.cross_entropy_and_grad(plain[~skipped], target[~skipped], reduction=reduction, **given)
        for layout in LAYOUTS:
            x, axis = layout(rows)
            loss, grad = normexp.cross_entropy_and_grad(
                x, target, axis=axis, ignore_index=ignore, reduction=reduction, **given
            )
            grad = np.moveaxis(grad, axis, -1)
            what = (length, layout.__name__)
            assert not bits(grad[skipped]).any(), what
            assert_same_bits(grad[~skipped], kept.grad, what)
            if reduction == "none":
                assert not bits(loss[skipped]).any(), what
                assert_same_bits(loss[~skipped], kept.loss, what)
            else:
                assert_same_bits(loss, kept.loss, what)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"weight": np.array([1.0, 0.5])}])
@pytest.mark.parametrize("rows", [1, 5, 40, 1000])
def test_everything_ignored(dtype: np.dtype, reduction: str, options: dict[str, Any], rows: int) -> None:
    """The mean over nothing is NaN, as in PyTorch, the sum 0; there is nothing to learn."""
    for value in (1.0, NAN, INF):
        x = np.full((rows, 2), value, dtype=dtype)
        loss, grad = normexp.cross_entropy_and_grad(x, np.full(rows, -100), reduction=reduction, **options)
        assert_values(loss, NAN if reduction == "mean" else 0.0)
        assert not bits(grad).any()
        assert_values(normexp.cross_entropy(x, np.full(rows, -100), reduction=reduction, **options), loss)
        assert_values(normexp.cross_entropy(x.T, np.full(rows, -100), axis=0, reduction=reduction, **options), loss)
        if not options:
            assert_values(normexp.nll_loss(x, np.full(rows, -100), reduction=reduction), loss)


@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 1), ((3, 0), 0), ((0, 3, 2), 1), ((2, 3, 0), 1), ((0, 0, 3), 2)])
def test_no_rows(dtype: np.dtype, shape: tuple[int, ...], axis: int) -> None:
    x = np.empty(shape, dtype=dtype)
    rows = tuple(side for i, side in enumerate(shape) if i != axis)
    calls = [
        (normexp.cross_entropy, np.empty(rows, int)),
        (normexp.cross_entropy, x),
        (normexp.nll_loss, np.empty(rows, int)),
    ]
    for function, target in calls:
        for reduction, expected in (("none", np.empty(rows)), ("mean", NAN), ("sum", 0.0)):
            got = function(x, target, axis=axis, reduction=reduction)
            assert got.dtype == dtype
            assert_values(got, expected)
        if function is normexp.cross_entropy:
            out = np.empty(shape, dtype=dtype)
            loss, grad = normexp.cross_entropy_and_grad(x, target, axis=axis, out=out)
            assert grad is out
            assert_values(loss, NAN)
            assert grad.shape == shape
            assert grad.dtype == dtype
    stats = normexp.row_stats(x, np.empty(rows, int), axis=axis)
    assert all(value.shape == rows for value in stats)
