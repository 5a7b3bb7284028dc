"""Threads: losses, gradients and figures of rows have the same bits for any number of them, sums over rows too."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from support import COUNTS, DTYPES, SetThreads, assert_same_bits, at_each_count, made

import normexp
from losses.problems import LOSSES, distributions, labels, weights

# Many short rows, rows of every kind of length, few long ones, columns, and long rows that threads share.
SHAPES = [((100_003, 10), -1), ((1500, 1000), -1), ((10, 100_003), 0), ((40, 33, 1000), 1), ((3, 700_001), -1)]


@pytest.mark.parametrize("kind", sorted(DTYPES))
@pytest.mark.parametrize("name", LOSSES)
def test_many_rows(threads: SetThreads, name: str, kind: str) -> None:
    for shape, axis in SHAPES:
        x = made(shape, kind)
        at_each_count(threads, lambda x=x, axis=axis: LOSSES[name](x, axis=axis), shape)


@pytest.mark.parametrize("kind", sorted(DTYPES))
@pytest.mark.parametrize("name", LOSSES)
def test_one_long_row(threads: SetThreads, name: str, kind: str) -> None:
    """Split among threads or not, contiguous or not."""
    x = made((1, 1_000_037), kind)
    result = at_each_count(threads, lambda: LOSSES[name](x))
    assert_same_bits(at_each_count(threads, lambda: LOSSES[name](np.repeat(x, 2, axis=1)[:, ::2])), result, "strided")
    assert_same_bits(at_each_count(threads, lambda: LOSSES[name](np.asfortranarray(x))), result, "other order")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("soft", [False, True])
def test_in_place(threads: SetThreads, reduction: str, soft: bool) -> None:
    """The logits that threads still need are not yet gradients."""
    for shape in ((100_003, 10), (200, 5000), (2, 700_001)):
        x = made(shape)
        target = distributions(x) if soft else labels(x)
        options: dict[str, Any] = {"reduction": reduction, "weight": weights(shape[1], x.dtype)}
        wanted = normexp.cross_entropy_and_grad(x, target, **options).grad

        def call(x: np.ndarray = x, target: np.ndarray = target, options: dict[str, Any] = options) -> np.ndarray:
            copy = x.copy()
            return normexp.cross_entropy_and_grad(copy, target, out=copy, **options).grad

        assert_same_bits(at_each_count(threads, call, shape), wanted, shape)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 400_000, 700_000])
def test_special_value_in_one_threads_share(threads: SetThreads, place: int, value: float) -> None:
    x = made((2, 700_001))
    x[1, place] = value
    target = np.array([5, 7])
    loss = at_each_count(threads, lambda: normexp.cross_entropy(x, target, reduction="none"))
    grad = at_each_count(threads, lambda: normexp.cross_entropy_and_grad(x, target, reduction="none").grad)
    assert np.isfinite(loss[0])
    if value == -np.inf:
        assert grad[1, place] == 0
        assert np.isfinite(grad).all()
    else:
        assert np.isnan(loss[1])
        assert np.isnan(grad[1]).all()
    assert np.isfinite(grad[0]).all()


def test_ignored_long_rows(threads: SetThreads) -> None:
    x = made((3, 700_001))
    x[1] = np.nan
    target = np.array([5, -100, 7])
    grad = at_each_count(threads, lambda: normexp.cross_entropy_and_grad(x, target).grad)
    assert not grad[1].any()
    assert np.isfinite(grad).all()
    assert np.isfinite(at_each_count(threads, lambda: normexp.cross_entropy(x, target)))


@pytest.mark.parametrize("shape", [(300_007, 2), (20_001, 10), (4099, 300), (70_000, 1)])
def test_sums_over_rows(threads: SetThreads, shape: tuple[int, int]) -> None:
    """In one order for any number of threads, and near enough to the exact sum of the rows' losses."""
    x = made(shape, "float64", 3.0)
    target = labels(x)
    total = at_each_count(threads, lambda: normexp.cross_entropy(x, target, reduction="sum"))
    mean = at_each_count(threads, lambda: normexp.cross_entropy(x, target))
    rows = normexp.cross_entropy(x, target, reduction="none").astype(np.longdouble)
    # Each row within two units of its exact loss, so their sum within two units of the sum.
    np.testing.assert_allclose(float(total), float(rows.sum()), rtol=4 * 2**-52)
    np.testing.assert_allclose(float(mean), float(rows.sum() / shape[0]), rtol=4 * 2**-52)


def test_labels_that_change_during_a_call(threads: SetThreads) -> None:
    """Another thread may write nonsense into checked labels: no memory beside the row is touched all the same."""
    threads(2)
    x = made((200_000, 10))
    target = labels(x)
    good = target.copy()
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            target[::7] = 2**40
            target[...] = good

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(30):
            try:
                normexp.cross_entropy_and_grad(x, target)
                normexp.row_stats(x, target)
            except IndexError:
                continue
    finally:
        done.set()
        changer.join()


@pytest.mark.parametrize("count", COUNTS)
def test_nothing_is_left_over_between_calls(threads: SetThreads, count: int) -> None:
    """Long and short rows, wide and narrow types in turn: what a thread keeps from one call does not reach another."""
    threads(count)
    calls = [(name, made(shape, kind)) for name in LOSSES for shape in ((40, 10), (3, 9000)) for kind in DTYPES]
    first = [LOSSES[name](x) for name, x in calls]
    order = np.random.default_rng(0).permutation(len(calls))
    for i in order:
        name, x = calls[i]
        assert_same_bits(LOSSES[name](x), first[i], name)


@pytest.mark.parametrize("kind", sorted(DTYPES))
def test_images_that_begin_anywhere_in_a_cache_line(threads: SetThreads, kind: str) -> None:
    """Sixteen pixels at a time begin with a line, and those before it go alone: each has the same bits."""
    pixels = made((4, 64, 64, 5), kind)  # three pieces of work, and images end inside them
    target = labels(pixels)
    target[1, 7, :40] = -100
    options: dict[str, Any] = {"axis": 1, "reduction": "none"}
    losses = normexp.cross_entropy(pixels, target, reduction="none")
    gradients = np.moveaxis(normexp.cross_entropy_and_grad(pixels, target).grad, -1, 1)
    softmax = np.moveaxis(normexp.softmax(pixels), -1, 1)
    memory = np.empty(pixels.size + 128, pixels.dtype)
    at_line = -memory.ctypes.data % 64 // memory.itemsize
    for offset in range(64 // memory.itemsize):
        x = memory[at_line + offset :][: pixels.size].reshape(gradients.shape)
        x[...] = np.moveaxis(pixels, -1, 1)

        def loss(x: np.ndarray = x) -> np.ndarray:
            return normexp.cross_entropy(x, target, **options)

        def gradient(x: np.ndarray = x) -> np.ndarray:
            return normexp.cross_entropy_and_grad(x, target, axis=1).grad

        assert_same_bits(at_each_count(threads, loss, offset), losses, offset)
        assert_same_bits(at_each_count(threads, gradient, offset), gradients, offset)
        assert_same_bits(normexp.softmax(x, axis=1, out=x), softmax, ("in place", offset))
