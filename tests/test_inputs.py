"""Everything that counts as an array: lists, scalars, integers, subclasses, buffers, DLPack."""

from __future__ import annotations

import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import DTYPES, FUNCTIONS, assert_same_bits

Function = Callable[..., Any]
X = np.array([[0.5, -1.25, 3.0], [2.0, 2.0, -7.5]])


class ArrayLike:
    """Speaks NumPy's own protocol only."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.data


class Exporter:
    """Speaks DLPack only."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.source.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> object:
        return self.source.__dlpack__(**options)


class OldExporter(Exporter):
    """Speaks DLPack as it was before versions and copies could be asked for."""

    def __dlpack__(self, stream: Any = None) -> object:  # type: ignore[override]
        return self.source.__dlpack__()


@pytest.mark.parametrize("x", [X.tolist(), tuple(map(tuple, X.tolist())), [X[0], X[1]], ArrayLike(X), memoryview(X)])
def test_what_numpy_reads_is_float64(function: Function, x: Any) -> None:
    got = function(x)
    assert type(got) is np.ndarray
    assert_same_bits(got, function(X))


@pytest.mark.parametrize("axis", [-1, 0])
def test_array_array_keeps_its_dtype(function: Function, axis: int) -> None:
    row = X[0].astype(np.float32)
    assert_same_bits(np.asarray(function(array.array("f", row.tolist()), axis=axis)), np.asarray(function(row)))


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_integers_are_float64(function: Function, kind: str) -> None:
    # Unsigned numbers must not wrap round when the maximum is taken off.
    integers = np.array([[0, 1, 5, 1], [1, 0, 0, 3]]).astype(kind)
    assert_same_bits(function(integers), function(integers.astype(np.float64)))
    assert_same_bits(function(integers.T, axis=0), function(integers.T.astype(np.float64), axis=0))


def test_integers_at_their_ends(function: Function) -> None:
    for kind in (np.int8, np.uint8, np.int64, np.uint64):
        ends = np.array([np.iinfo(kind).min, np.iinfo(kind).max, 0], dtype=kind)
        assert_same_bits(np.asarray(function(ends)), np.asarray(function(ends.astype(np.float64))))


@pytest.mark.parametrize("x", [[], [[]], [[], []], ()])
def test_empty_lists(name: str, x: Any) -> None:
    got = np.asarray(FUNCTIONS[name](x))
    shape = np.shape(x)
    assert got.dtype == np.float64
    assert got.shape == (shape[:-1] if name == "logsumexp" else shape)


def test_python_and_numpy_scalars(name: str) -> None:
    for scalar in (2, 2.0, True, np.int32(2), *(np.array(2, dtype=dtype)[()] for dtype in DTYPES.values())):
        got = FUNCTIONS[name](scalar)
        given = np.asarray(scalar)
        assert got.dtype == (given.dtype if given.dtype in DTYPES.values() else np.float64)
        assert np.shape(got) == ()
        assert got == {"log_softmax": 0, "logsumexp": float(scalar)}.get(name, 1)


def test_subclasses_give_plain_arrays(name: str, tmp_path: Path) -> None:
    class Named(np.ndarray):
        pass

    mapped = np.memmap(tmp_path / "x", dtype=np.float64, mode="w+", shape=X.shape)
    mapped[...] = X
    for x in (X.view(Named), X.view(np.matrix), mapped):
        got = FUNCTIONS[name](x)
        assert type(got) is np.ndarray
        assert_same_bits(got, FUNCTIONS[name](X))
        assert_same_bits(FUNCTIONS[name](x, axis=0), FUNCTIONS[name](X, axis=0))


def test_result_is_an_array_of_its_own(map_name: str, dtype: np.dtype) -> None:
    x = X.astype(dtype)
    first, second = FUNCTIONS[map_name](x), FUNCTIONS[map_name](x)
    assert first.flags.writeable
    assert first.flags.c_contiguous
    assert not np.shares_memory(first, x)
    assert not np.shares_memory(first, second)
    before = second.copy()
    first[...] = 0
    assert_same_bits(second, before)
    assert_same_bits(FUNCTIONS[map_name](x), before)


@pytest.mark.parametrize("wrapper", [Exporter, OldExporter])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i4", "u1", "?"])
def test_dlpack(function: Function, wrapper: Any, kind: str) -> None:
    x = X.astype(kind)
    assert_same_bits(function(wrapper(x)), function(x))
    assert_same_bits(function(wrapper(x.T), axis=0), function(x.T, axis=0))
    assert_same_bits(function(wrapper(x[:, ::2])), function(x[:, ::2]))


def test_dlpack_read_only(function: Function) -> None:
    x = X.copy()
    x.flags.writeable = False
    assert_same_bits(function(Exporter(x)), function(x))


def test_dlpack_0d_and_empty(function: Function) -> None:
    for x in (np.array(1.5), np.empty((0, 3)), np.empty((3, 0), dtype=np.float32)):
        assert_same_bits(np.asarray(function(Exporter(x))), np.asarray(function(x)))


def test_dlpack_frees_what_it_took(function: Function) -> None:
    import weakref

    x = np.arange(100.0)
    alive = weakref.ref(x)
    result = function(Exporter(x))
    del x
    assert alive() is None, "the exported array is still held"
    assert result is not None


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64", "int64", "uint8", "bool"])
def test_torch_tensors(function: Function, kind: str, wrapped: bool) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(X).to(getattr(torch, kind))
    same = X.astype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    given = Exporter(tensor) if wrapped else tensor
    got = function(given)
    assert type(got) is np.ndarray
    assert_same_bits(got, function(same))
    flipped = Exporter(tensor.T) if wrapped else tensor.T
    assert_same_bits(function(flipped, axis=0), function(same.T, axis=0))
    assert_same_bits(function(Exporter(tensor[:, 1:]) if wrapped else tensor[:, 1:]), function(same[:, 1:]))


@pytest.mark.parametrize("kind", ["bfloat16", "float32"])
def test_torch_0d_and_empty(name: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    dtype = np.dtype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    for tensor in (torch.tensor(1.5), torch.empty((2, 0)), torch.empty((0, 2)), torch.ones(1)):
        same = np.full(tuple(tensor.shape), 1.0 if tensor.ndim else 1.5, dtype=dtype)
        assert_same_bits(
            np.asarray(FUNCTIONS[name](tensor.to(getattr(torch, kind)))), np.asarray(FUNCTIONS[name](same))
        )


def test_torch_mask(function: Function) -> None:
    torch = pytest.importorskip("torch")
    mask = X > 0
    assert_same_bits(function(torch.tensor(X), where=torch.tensor(mask)), function(X, where=mask))


def test_mask_as_list(function: Function) -> None:
    mask = [True, False, True]
    assert_same_bits(function(X, where=mask), function(X, where=np.array(mask)))
