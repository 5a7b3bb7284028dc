"""Any shape, strides, class axis, target and place for the gradient: the bits of the contiguous rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SENTINEL, layouts, shapes, spread_out, values
from support import DTYPES, assert_same_bits, bits

import normexp
from losses.problems import LOSSES, Problem, assert_textbook, distributions, labels, row_shape, weights

KINDS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


@st.composite
def problems(draw: st.DrawFn, repeats: bool = True, soft: bool | None = None) -> Problem:
    """Any call of a loss that must work."""
    shape = list(draw(shapes(low=1)))
    axis = draw(st.integers(0, len(shape) - 1))
    shape[axis] = shape[axis] or 1
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    plain = values(tuple(shape), dtype, draw(st.integers(0, 2**16)), draw(st.sampled_from([1.0, 10.0, 100.0])))
    plain[np.isneginf(plain)] = 1  # special values have tests of their own
    logits = spread_out(plain, *draw(layouts(len(shape), repeats)))
    count, rows = shape[axis], row_shape(logits, axis)
    options: dict[str, Any] = {"reduction": draw(st.sampled_from(["none", "mean", "sum"]))}
    options["label_smoothing"] = draw(st.sampled_from([0.0, 0.0, 0.1, 1.0]))
    if draw(st.booleans()):
        options["weight"] = spread_out(weights(count, dtype), (0,), (draw(st.sampled_from([1, 2, -1])),), fill=1)
    if draw(st.booleans()) if soft is None else soft:
        kind = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
        target = spread_out(distributions(plain, axis).astype(kind), *draw(layouts(len(shape))))
    else:
        options["ignore_index"] = ignore = draw(st.sampled_from([-100, 0, count - 1, count, 127]))
        some = labels(plain, axis, draw(st.sampled_from(KINDS)))
        if ignore >= 0:
            some = np.where(np.random.default_rng(count).random(rows) < 0.3, ignore, some).astype(some.dtype)
        target = spread_out(np.asarray(some), *draw(layouts(len(rows))), fill=0)
    return Problem(logits, target, axis - len(shape) if draw(st.booleans()) else axis, options)


def expected(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Loss and gradient computed from contiguous rows, in the layout of the problem."""
    loss, grad = problem.in_rows.loss_and_grad()
    return problem.back(loss) if problem.options["reduction"] == "none" else loss, problem.back(grad)


@given(problem=problems())
def test_any_layout(problem: Problem) -> None:
    before = [bits(problem.logits), np.array(problem.target)]
    loss, grad = problem.loss_and_grad()
    wanted, wanted_grad = expected(problem)
    assert_same_bits(loss, wanted)
    assert_same_bits(problem.loss(), wanted)
    assert_same_bits(grad, wanted_grad)
    assert (bits(problem.logits) == before[0]).all(), "the logits were changed"
    assert np.array_equal(problem.target, before[1]), "the target was changed"
    if problem.options["reduction"] != "mean" or problem.divisor:
        assert_textbook(problem)


@given(problem=problems(), data=st.data())
def test_out(problem: Problem, data: st.DataObject) -> None:
    """Into any writeable layout, and not one place beside it."""
    wanted, wanted_grad = expected(problem)
    out = spread_out(
        np.full(wanted_grad.shape, SENTINEL, wanted_grad.dtype), *data.draw(layouts(wanted_grad.ndim, repeats=False))
    )
    owner = out
    while owner.base is not None:
        owner = owner.base
    loss, grad = problem.loss_and_grad(out)
    assert grad is out
    assert_same_bits(loss, wanted)
    assert_same_bits(out, wanted_grad)
    out[...] = SENTINEL
    assert (owner == np.asarray(SENTINEL, owner.dtype)).all(), "written beside out"


@given(problem=problems(repeats=False))
def test_out_is_the_logits(problem: Problem) -> None:
    wanted, wanted_grad = expected(problem)
    loss, grad = problem.loss_and_grad(problem.logits)
    assert grad is problem.logits
    assert_same_bits(loss, wanted)
    assert_same_bits(grad, wanted_grad)


@given(problem=problems(soft=False))
def test_nll_loss_and_row_stats(problem: Problem) -> None:
    rows = problem.in_rows
    options = {k: v for k, v in problem.options.items() if k != "label_smoothing"}
    got = normexp.nll_loss(problem.logits, problem.target, axis=problem.axis, **options)
    wanted = normexp.nll_loss(rows.logits, rows.target, **options)
    assert_same_bits(got, problem.back(wanted) if options["reduction"] == "none" else wanted)
    count = problem.logits.shape[problem.axis]
    target = np.minimum(problem.target.astype(np.int64), count - 1)
    stats = normexp.row_stats(problem.logits, target, axis=problem.axis)
    alone = normexp.row_stats(rows.logits, target.reshape(-1))
    for field, value in stats._asdict().items():
        assert_same_bits(value, problem.back(getattr(alone, field)), field)
    assert_same_bits(stats.logsumexp, np.asarray(normexp.logsumexp(problem.logits, axis=problem.axis)))


LARGE = [
    ((3, 4097), -1), ((4097, 3), 0), ((2, 1000, 33), 1), ((300, 10), -1), ((10, 300), 0), ((2, 21, 40, 5), 1),
    ((70, 129), -1), ((129, 70), 0), ((5, 20_000), -1), ((2000, 2), -1), ((40, 1), -1), ((3, 2, 2, 2100), 3),
]  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("shape", "axis"), LARGE)
def test_larger_arrays(name: str, dtype: np.dtype, shape: tuple[int, ...], axis: int) -> None:
    """Shapes beyond one block, tile or register, in the layouts people have."""
    plain = values(shape, dtype, len(shape), 10.0)
    plain[np.isneginf(plain)] = 1
    wanted = LOSSES[name](plain, axis=axis)
    # What the classes last give; labels and distributions follow the shape, so they are moved and not made again.
    straight, ndim = tuple(range(len(shape))), len(shape)
    for order, step in (
        (straight, 1), (straight, -1), (straight, 2), (straight[::-1], 1), (straight[::-1], -1), ((*straight[1:], 0), 1)
    ):  # fmt: skip
        x = spread_out(plain, order, (step,) * ndim)
        assert_same_bits(LOSSES[name](x, axis=axis), wanted, (order, step))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 1}])
@pytest.mark.parametrize(("shape", "axis"), LARGE)
def test_channels_first_and_last(
    dtype: np.dtype, shape: tuple[int, ...], axis: int, soft: bool, options: dict[str, Any]
) -> None:
    """Wherever the classes are, the rows are the same rows, and a mean takes them in the same order."""
    x = values(shape, dtype, len(shape), 3.0)
    x[np.isneginf(x)] = 1
    given = {} if soft and "ignore_index" in options else options
    target = distributions(x, axis) if soft else labels(x, axis)
    for reduction in ("none", "mean"):
        problem = Problem(x, target, axis, {**given, "reduction": reduction, "weight": weights(shape[axis], dtype)})
        if reduction == "mean" and not problem.divisor:
            continue
        loss, grad = problem.loss_and_grad()
        wanted, wanted_grad = expected(problem)
        assert_same_bits(loss, wanted, reduction)
        assert_same_bits(grad, wanted_grad, reduction)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("length", [1, 2, 5, 10, 16, 17, 64, 100, 1000, 3000])
def test_a_row_does_not_see_its_batch(dtype: np.dtype, length: int, soft: bool, smoothing: float) -> None:
    """Alone, among two, among many: the same bits."""
    batch = values((67, length), dtype, length, 10.0)
    batch[np.isneginf(batch)] = 1
    target = distributions(batch) if soft else labels(batch)
    options: dict[str, Any] = {"reduction": "none", "label_smoothing": smoothing}
    losses, grads = normexp.cross_entropy_and_grad(batch, target, **options)
    for rows in (*(slice(0, count) for count in (1, 2, 15, 33, 66)), slice(5, 38), slice(None, None, -1)):
        loss, grad = normexp.cross_entropy_and_grad(batch[rows], target[rows], **options)
        assert_same_bits(loss, losses[rows], rows)
        assert_same_bits(grad, grads[rows], rows)
    for i in range(67):
        loss, grad = normexp.cross_entropy_and_grad(batch[i], target[i], **options)
        assert_same_bits(loss, np.asarray(losses[i]), i)
        assert_same_bits(grad, grads[i], i)


def test_row_stats_do_not_see_their_batch(dtype: np.dtype) -> None:
    for length in (1, 2, 10, 17, 100, 3000):
        batch = values((67, length), dtype, length, 10.0)
        target = labels(batch)
        whole = normexp.row_stats(batch, target)
        across = normexp.row_stats(np.ascontiguousarray(batch.T), target, axis=0)
        for i in (0, 1, 31, 65, 66):
            for field, value in normexp.row_stats(batch[i], target[i])._asdict().items():
                assert_same_bits(value, np.asarray(getattr(whole, field)[i]), (field, i))
                assert_same_bits(value, np.asarray(getattr(across, field)[i]), (field, i))


def test_alignment_does_not_matter(dtype: np.dtype) -> None:
    for length in (10, 1000):
        row = values((length,), dtype, 3, 10.0)
        row[np.isneginf(row)] = 1
        soft = distributions(row[None])[0]
        wanted = [normexp.cross_entropy_and_grad(row, target).grad for target in (3, soft)]
        for offset in range(33):
            x, q = (np.empty(length + 40, dtype)[offset : offset + length] for _ in range(2))
            x[:], q[:] = row, soft
            for target, grad in zip((3, q), wanted, strict=True):
                assert_same_bits(normexp.cross_entropy_and_grad(x, target).grad, grad, offset)


def test_many_axes() -> None:
    """As many as NumPy has."""
    x = values((2, 3, 4, 5), DTYPES["float32"], 9, 2.0)
    x[np.isneginf(x)] = 1
    many = x.reshape((1,) * 20 + (2, 3) + (1,) * 30 + (4,) + (1,) * 10 + (5,))
    for axis, same in ((-1, 3), (20, 0), (21, 1), (52, 2)):
        target = labels(x, same)
        wanted = normexp.cross_entropy_and_grad(x, target, axis=same)
        got = normexp.cross_entropy_and_grad(many, target.reshape(row_shape(many, axis)), axis=axis)
        assert_same_bits(got.loss, wanted.loss, axis)
        assert_same_bits(got.grad.reshape(x.shape), wanted.grad, axis)


def test_sliding_windows(dtype: np.dtype) -> None:
    """Logits that share their places with one another, and so the probabilities."""
    signal = values((60,), dtype, 6, 3.0)
    signal[np.isneginf(signal)] = 1
    windows = np.lib.stride_tricks.sliding_window_view(signal, 25)
    shares = np.lib.stride_tricks.sliding_window_view(np.abs(signal), 25)
    for target in (labels(windows), shares):
        got = normexp.cross_entropy_and_grad(windows, target)
        wanted = normexp.cross_entropy_and_grad(windows.copy(), target.copy())
        assert_same_bits(got.loss, wanted.loss)
        assert_same_bits(got.grad, wanted.grad)
