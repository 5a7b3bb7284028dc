"""Any shape, strides, axes, mask and place for the result: the bits of the contiguous row."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import SENTINEL, Case, cases, layouts, spread_out, values
from support import DTYPES, FUNCTIONS, MAPS, assert_close, assert_same_bits, bits, reference


def options_for(name: str, case: Case) -> dict[str, Any]:
    """The options of the call without `where` and `axis`."""
    return {} if name == "logsumexp" else {"temperature": case.temperature}


def expected(name: str, case: Case, keepdims: bool = False) -> np.ndarray:
    """The result computed from contiguous rows."""
    rows = case.rows(case.x)
    where = None if case.where is None else case.rows(np.broadcast_to(case.where, case.x.shape))
    result = np.asarray(FUNCTIONS[name](rows, where=where, **options_for(name, case)))
    if name != "logsumexp":
        return case.back(result)
    sides = enumerate(case.x.shape)
    return result.reshape(
        [1 if axis in case.axes else side for axis, side in sides if keepdims or axis not in case.axes]
    )


@given(name=st.sampled_from(sorted(FUNCTIONS)), case=cases(), keepdims=st.booleans())
def test_any_layout(name: str, case: Case, keepdims: bool) -> None:
    before = bits(case.x)
    extra = {"keepdims": keepdims} if name == "logsumexp" else {}
    got = np.asarray(FUNCTIONS[name](case.x, axis=case.axis, where=case.where, **options_for(name, case), **extra))
    assert_same_bits(got, expected(name, case, keepdims))
    assert (bits(case.x) == before).all(), "the input was changed"
    where = None if case.where is None else np.broadcast_to(case.where, case.x.shape)
    textbook = reference(name, case.x, case.axis, options_for(name, case).get("temperature", 1.0), where, keepdims)
    assert_close(got, textbook)


@given(name=st.sampled_from(sorted(FUNCTIONS)), case=cases(), data=st.data())
def test_out(name: str, case: Case, data: st.DataObject) -> None:
    """Into any writeable layout, and not one place beside it."""
    wanted = expected(name, case)
    order, steps = data.draw(layouts(wanted.ndim, repeats=False))
    out = spread_out(np.full(wanted.shape, SENTINEL, wanted.dtype), order, steps)
    owner = out
    while owner.base is not None:
        owner = owner.base
    returned = FUNCTIONS[name](case.x, axis=case.axis, where=case.where, out=out, **options_for(name, case))
    assert returned is out
    assert_same_bits(out, wanted)
    out[...] = SENTINEL
    assert (owner == np.asarray(SENTINEL, owner.dtype)).all(), "written beside out"


@given(name=st.sampled_from(sorted(MAPS)), case=cases(repeats=False))
def test_out_is_x(name: str, case: Case) -> None:
    wanted = expected(name, case)
    x = case.x
    assert FUNCTIONS[name](x, axis=case.axis, where=case.where, out=x, **options_for(name, case)) is x
    assert_same_bits(x, wanted)


def test_out_is_another_view_of_x(map_name: str) -> None:
    x = values((7, 33), DTYPES["float32"], 1, 5.0)
    wanted = FUNCTIONS[map_name](x)
    FUNCTIONS[map_name](x, out=x[:])
    assert_same_bits(x, wanted)


def test_out_beside_x(map_name: str) -> None:
    """Left and right half of one matrix, even and odd columns: their ranges of memory overlap, no number does."""
    for left, right in ((slice(0, 50), slice(50, 100)), (slice(0, 100, 2), slice(1, 100, 2))):
        both = values((6, 100), DTYPES["float32"], 2, 5.0)
        x, out = both[:, left], both[:, right]
        wanted = FUNCTIONS[map_name](x.copy())
        FUNCTIONS[map_name](x, out=out)
        assert_same_bits(out, wanted)


LARGE = [
    ((3, 4097), -1), ((4097, 3), 0), ((2, 1000, 33), 1), ((300, 10), -1), ((10, 300), 0), ((2, 10, 40, 5), 1),
    ((70, 129), -1), ((129, 70), 0), ((5, 20_000), -1), ((5, 64, 64), (1, 2)), ((64, 5, 64), (0, 2)), ((2000, 2), -1),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "axis"), LARGE)
def test_larger_arrays(name: str, dtype: np.dtype, shape: tuple[int, ...], axis: Any) -> None:
    """Shapes beyond one block, tile or register, in the layouts people have."""
    plain = values(shape, dtype, len(shape), 10.0)
    case = Case(plain, axis, None, 1.0)
    wanted = expected(name, case)
    assert_close(wanted, reference(name, plain, axis))
    straight, ndim = tuple(range(len(shape))), len(shape)
    for order, step in (
        (straight, 1), (straight, -1), (straight, 2), (straight[::-1], 1), (straight[::-1], -1), ((*straight[1:], 0), 1)
    ):  # fmt: skip
        x = spread_out(plain, order, (step,) * ndim)
        assert_same_bits(np.asarray(FUNCTIONS[name](x, axis=axis)), wanted, (order, step))


@pytest.mark.parametrize("length", [1, 2, 5, 10, 16, 17, 64, 100, 1000, 3000])
def test_a_row_does_not_see_its_batch(name: str, dtype: np.dtype, length: int) -> None:
    """Alone, among two, among many: the same bits."""
    function = FUNCTIONS[name]
    batch = values((67, length), dtype, length, 10.0)
    results = function(batch)
    for count in (1, 2, 15, 33, 66):
        assert_same_bits(function(batch[:count]), results[:count], count)
    for i in range(67):
        assert_same_bits(np.asarray(function(batch[i])), np.asarray(results[i]), i)
    assert_same_bits(np.moveaxis(np.asarray(function(batch.T, axis=0)), 0, -1), np.moveaxis(results.T, 0, -1))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_signed_zeros(name: str, dtype: np.dtype, length: int) -> None:
    """-0 equals +0, so that which of them counts as the largest must not depend on the way taken."""
    rows = np.array(list(itertools.product([0.0, -0.0, -1.0, -np.inf], repeat=length))).astype(dtype)
    function = FUNCTIONS[name]
    for row in rows:
        alone = np.asarray(function(row))
        batch = np.tile(row, (40, 1))
        assert_same_bits(np.asarray(function(batch)[0]), alone, ("batch", row))
        columns = np.asarray(function(np.ascontiguousarray(batch.T), axis=0))
        assert_same_bits(columns[..., 0], alone, ("columns", row))
        assert_same_bits(np.asarray(function(np.repeat(row, 2)[::2])), alone, ("strided", row))


def test_alignment_does_not_matter(name: str, dtype: np.dtype) -> None:
    row = values((1000,), dtype, 3, 10.0)
    wanted = np.asarray(FUNCTIONS[name](row))
    for offset in range(33):
        memory = np.empty(1040, dtype=dtype)
        x = memory[offset : offset + 1000]
        x[:] = row
        assert_same_bits(np.asarray(FUNCTIONS[name](x)), wanted, offset)


def test_unaligned(name: str, dtype: np.dtype) -> None:
    """Numbers that begin at odd addresses, as fields of packed records do."""
    plain = values((5, 40), dtype, 4, 10.0)
    memory = np.zeros(plain.nbytes + 1, dtype=np.uint8)[1:]
    x = memory.view(dtype).reshape(5, 40)
    x[...] = plain
    assert not x.flags.aligned
    wanted = FUNCTIONS[name](plain)
    assert_same_bits(FUNCTIONS[name](x), wanted)
    assert_same_bits(FUNCTIONS[name](x, axis=0), FUNCTIONS[name](plain, axis=0))
    records = np.zeros((5, 40), dtype=[("flag", "u1"), ("x", dtype)])
    records["x"] = plain
    assert_same_bits(FUNCTIONS[name](records["x"]), wanted)


def test_read_only_and_broadcast(name: str, dtype: np.dtype) -> None:
    plain = values((4, 21), dtype, 5, 10.0)
    wanted = FUNCTIONS[name](plain)
    plain.flags.writeable = False
    assert_same_bits(FUNCTIONS[name](plain), wanted)
    repeated = np.broadcast_to(plain, (3, 4, 21))
    assert_same_bits(FUNCTIONS[name](repeated), np.stack([wanted] * 3))
    same = np.broadcast_to(plain[:, :1], (4, 21))
    assert_same_bits(FUNCTIONS[name](same), FUNCTIONS[name](same.copy()))


def test_sliding_windows(name: str, dtype: np.dtype) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(values((60,), dtype, 6, 10.0), 25)
    assert_same_bits(FUNCTIONS[name](windows), FUNCTIONS[name](windows.copy()))
    assert_same_bits(FUNCTIONS[name](windows, axis=0), FUNCTIONS[name](windows.copy(), axis=0))


@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
@pytest.mark.parametrize("axis", [-1, 0, None, ()])
def test_0d(name: str, dtype: np.dtype, axis: Any, value: float) -> None:
    got = FUNCTIONS[name](np.array(value, dtype=dtype), axis=axis)
    assert np.shape(got) == ()
    assert got.dtype == dtype
    assert got == {"log_softmax": 0, "logsumexp": value}.get(name, 1)


def test_no_axis_at_all(name: str, dtype: np.dtype) -> None:
    """axis=() makes each element a row of its own, as in NumPy's reductions."""
    x = values((3, 4), dtype, 7, 1.0)
    x[np.isinf(x)] = 1
    wanted = {"log_softmax": np.zeros_like(x), "logsumexp": x}.get(name, np.ones_like(x))
    assert (np.asarray(FUNCTIONS[name](x, axis=())) == wanted).all()


def test_sixty_four_axes(name: str) -> None:
    """As many as NumPy has."""
    x = values((2, 3, 4, 5), DTYPES["float32"], 9, 10.0)
    many = x.reshape((1,) * 20 + (2, 3) + (1,) * 30 + (4,) + (1,) * 10 + (5,))
    for axes, same in (((-1,), (3,)), ((20, 63), (0, 3)), ((0, 21, 52, 62), (1, 2)), (tuple(range(64)), (0, 1, 2, 3))):
        got, wanted = FUNCTIONS[name](many, axis=axes), FUNCTIONS[name](x, axis=same)
        assert_same_bits(np.asarray(got).reshape(np.shape(wanted)), np.asarray(wanted), axes)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_other_byte_order(name: str, kind: type) -> None:
    plain = values((3, 17), np.dtype(kind), 8, 10.0)
    swapped = plain.astype(plain.dtype.newbyteorder())
    got = FUNCTIONS[name](swapped)
    assert got.dtype.isnative
    assert_same_bits(got, FUNCTIONS[name](plain))


def test_bfloat16_is_ml_dtypes(name: str) -> None:
    assert FUNCTIONS[name](np.ones((2, 3), dtype=ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16
