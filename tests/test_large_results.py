"""Results of 8 MiB and more are written past the caches, from any place on: to the same bits as rows one by one."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import normexp

Array = NDArray[Any]

LARGE = 9 << 20  # bytes; csrc/plan.cpp streams from 8 MiB on
DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
# Around the lengths at which another way is taken: sixteen rows at a time up to 128 classes, past the caches from 33
# on, single rows from 256 on, blocks of 2048.
LENGTHS = [3, 32, 33, 48, 49, 100, 128, 129, 255, 256, 257, 1000, 2047, 2048, 2049, 40000]


def large(length: int, dtype: Any, seed: int = 1) -> tuple[Array, NDArray[np.intp]]:
    """Logits for more results than are kept in the caches, and some of the rows, the last among them."""
    random = np.random.default_rng(seed)
    rows = LARGE // (length * np.dtype(dtype).itemsize) + 1
    x = (random.standard_normal((rows, length), dtype=np.float32) * 6).astype(dtype)
    chosen = np.unique(np.concatenate([[0, 1, rows - 2, rows - 1], random.integers(rows, size=12)]))
    return x, chosen[(chosen >= 0) & (chosen < rows)]


def misaligned_like(x: Array, offset: int) -> Array:
    """An array like x that begins so many elements into a cache line."""
    buffer = np.empty(x.size + 64, x.dtype)
    start = -buffer.ctypes.data // x.itemsize % (64 // x.itemsize) + offset
    return buffer[start : start + x.size].reshape(x.shape)


def same(a: Array, b: Array) -> bool:
    return a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_maps(length: int, dtype: Any) -> None:
    x, chosen = large(length, dtype)
    for function in (normexp.softmax, normexp.log_softmax):
        fresh = function(x)
        for row in chosen:
            assert same(fresh[row], function(x[row]))
    for offset in (1, 5):
        out = misaligned_like(x, offset)
        assert same(normexp.softmax(x, out=out), normexp.softmax(x))
    over = x.copy()
    assert same(normexp.softmax(over, out=over), normexp.softmax(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_gradients(length: int, dtype: Any) -> None:
    x, chosen = large(length, dtype)
    # Labels in every place of a line and of a block; every seventh row is so sure of its own that little is left there.
    target = np.arange(len(x)) * 17 % length
    x[np.arange(0, len(x), 7), target[::7]] = 60
    target[::11] = -100
    options: dict[str, Any] = {"ignore_index": -100, "reduction": "none"}
    grad = normexp.cross_entropy_and_grad(x, target, **options).grad
    for row in chosen:
        alone = normexp.cross_entropy_and_grad(x[row : row + 1], target[row : row + 1], **options).grad
        assert same(grad[row], alone[0])
    out = misaligned_like(x, 3)
    assert same(normexp.cross_entropy_and_grad(x, target, out=out, **options).grad, grad)
    over = x.copy()
    assert same(normexp.cross_entropy_and_grad(over, target, out=over, **options).grad, grad)


@pytest.mark.parametrize("gap", [0.0, 80.0, 110.0, 200.0, np.inf])
@pytest.mark.parametrize("length", [300, 3000])
def test_gradients_at_sure_labels(length: int, gap: float) -> None:
    """What stands at the label may be too small for an exponential to lead to it, or 0."""
    x = np.zeros((LARGE // (4 * length) + 1, length), np.float32)
    target = np.arange(len(x)) % length
    x[:] = -gap
    x[np.arange(len(x)), target] = 0
    for scale in (1.0, 1e-30, 0.0):
        weight = np.full(length, scale)
        options: dict[str, Any] = {"weight": weight, "reduction": "sum"}
        grad = normexp.cross_entropy_and_grad(x, target, **options).grad
        for row in (0, 1, len(x) - 1):
            alone = normexp.cross_entropy_and_grad(x[row : row + 1], target[row : row + 1], **options).grad
            assert same(grad[row], alone[0])


def test_rows_of_nan_and_infinity() -> None:
    x, _ = large(1000, np.float32)
    x[3, 7], x[5, 0], x[8] = np.nan, np.inf, -np.inf
    result = normexp.softmax(x)
    assert np.isnan(result[[3, 5, 8]]).all()
    assert np.isfinite(np.delete(result, [3, 5, 8], axis=0)).all()
