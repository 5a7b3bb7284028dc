"""Bad input raises the right error, says what was given and what was expected, and leaves `out` as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import FUNCTIONS, MAPS, assert_same_bits, bits

import normexp

X = np.arange(10.0, dtype=np.float32).reshape(2, 5) / 4
SENTINEL = -77.0


def expected_shape(name: str) -> tuple[int, ...]:
    """The shape of the function's result for X."""
    return (2,) if name == "logsumexp" else (2, 5)


def refused(
    name: str, error: type[Exception] | tuple[type[Exception], ...], words: tuple[str, ...], x: Any = X, **options: Any
) -> None:
    """Call, expect that error with all these words in it, and find `out` untouched."""
    # What would fit, had the rest been good.
    out = options.setdefault("out", np.full(expected_shape(name), SENTINEL, dtype=np.float32))
    before = bits(out) if isinstance(out, np.ndarray) else list(out) if out is not None else None
    with pytest.raises(error) as caught:
        FUNCTIONS[name](x, **options)
    for word in words:
        assert word in str(caught.value), f"{word!r} is not in the message: {caught.value}"
    if isinstance(out, np.ndarray):
        assert (bits(out) == before).all(), "something was written to out"
    elif out is not None:
        assert list(out) == before


class Dense:
    """Nothing NumPy can read: no buffer, no __array__, no sequence."""


class Broken:
    """An array protocol that fails."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("the disk is gone")


class OnGpu:
    """An array that lies where the CPU cannot read it (DLPack device type 2)."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> object:
        raise BufferError("this array is on device (2, 0); copy it to the CPU first")


STRUCTURED = np.zeros((2, 5), dtype=[("a", "f4"), ("b", "f4")])
UNREADABLE: dict[str, tuple[Any, str]] = {
    "complex64": (X.astype(np.complex64), "complex64"),
    "complex128": (X.astype(complex), "complex128"),
    "complex list": ([1j, 2], "complex128"),
    "object": (X.astype(object), "object"),
    "None": (None, "object"),
    "list with None": ([1.0, None], "object"),
    "dict": ({"a": 1.0}, "object"),
    "set": ({1.0, 2.0}, "object"),
    "generator": ((float(i) for i in range(3)), "object"),
    "no array at all": (Dense(), "object"),
    "integers beyond 64 bits": ([2**70, 1], "object"),
    "str": ("logits", "U6"),
    "list of str": (["1.0", "2.0"], "U3"),
    "bytes": (b"logits", "S6"),
    "datetime64": (np.array(["2024-01-01"], dtype="datetime64[D]"), "datetime64"),
    "timedelta64": (np.array([1, 2], dtype="timedelta64[s]"), "timedelta64"),
    "structured": (STRUCTURED, "a"),
    "float8": (X.astype(ml_dtypes.float8_e4m3fn), "float8_e4m3fn"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_dtype(name: str, kind: str) -> None:
    x, given = UNREADABLE[kind]
    refused(name, TypeError, (given, "float32", "float64", "bfloat16"), x)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
def test_long_double(name: str) -> None:
    refused(name, TypeError, (str(np.dtype(np.longdouble)), "float64"), X.astype(np.longdouble))


def test_ragged_list(name: str) -> None:
    refused(name, ValueError, ("inhomogeneous",), [[1.0, 2.0], [3.0]])


def test_masked_array(name: str) -> None:
    """Its mask means where=, turned round; to drop it silently would be the worst answer."""
    refused(name, TypeError, ("mask", "where="), np.ma.masked_greater(X, 1))
    refused(name, TypeError, ("mask", "where="), np.ma.array(X))


def test_error_of_array_protocol_comes_through(name: str) -> None:
    refused(name, RuntimeError, ("the disk is gone",), Broken())


def test_array_on_another_device(name: str) -> None:
    refused(name, (BufferError, TypeError, ValueError), ("CPU",), OnGpu())


def test_scipy_sparse(name: str) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    refused(name, TypeError, ("float32",), sparse.csr_array(X))


def test_torch_tensor_that_requires_grad(name: str) -> None:
    torch = pytest.importorskip("torch")
    # Gradients would be lost without a word; PyTorch's own message says what to do.
    refused(name, (RuntimeError, TypeError, BufferError), ("detach",), torch.ones(2, 5, requires_grad=True))


@pytest.mark.parametrize("axis", [2, -3, 100, -(2**63), 2**63, 2**70, (0, 2), (-3,)])
def test_axis_out_of_range(name: str, axis: Any) -> None:
    wrong = axis if isinstance(axis, int) else axis[-1]
    # Beyond 64 bits no integer conversion succeeds; NumPy itself says OverflowError there.
    error = np.exceptions.AxisError if abs(wrong) < 2**31 else (np.exceptions.AxisError, OverflowError)
    refused(name, error, (str(wrong), "2") if abs(wrong) < 2**31 else (), axis=axis)


@pytest.mark.parametrize("axis", [1, -2, (0, 1)])
def test_axis_of_0d(name: str, axis: Any) -> None:
    refused(name, np.exceptions.AxisError, ("0",), np.float32(1), axis=axis, out=None)


@pytest.mark.parametrize("axis", [True, False, np.True_, 1.0, "0", 1j, (0, 1.0), (True,), ((0,),), np.array([0, 1])])
def test_axis_type(name: str, axis: Any) -> None:
    refused(name, TypeError, ("axis",), axis=axis)


@pytest.mark.parametrize("axis", [(0, 0), (0, -2), (1, 0, -1), (-1, -1)])
def test_axis_twice(name: str, axis: Any) -> None:
    refused(name, ValueError, ("axis", str(axis)), axis=axis)


@pytest.mark.parametrize("temperature", [0, 0.0, -0.0, -1, -1e-300, 5e-324, float("nan"), float("inf"), -float("inf")])
def test_temperature_value(map_name: str, temperature: float) -> None:
    refused(map_name, ValueError, ("temperature", "positive", str(temperature)), temperature=temperature)


@pytest.mark.parametrize(
    "temperature", [None, "1", b"1", True, 1j, [1.0], (1.0,), {}, np.array([1.0, 2.0]), np.ones(1)]
)
def test_temperature_type(map_name: str, temperature: Any) -> None:
    refused(map_name, TypeError, ("temperature",), temperature=temperature)


@pytest.mark.parametrize("shape", [(2,), (3, 1), (6,), (2, 6), (1, 2, 5), (2, 5, 1), (0,), (2, 0)])
def test_where_shape(name: str, shape: tuple[int, ...]) -> None:
    refused(name, ValueError, ("where", str(shape), str(X.shape)), where=np.ones(shape, dtype=bool))


@pytest.mark.parametrize("mask", [1, 0.0, np.ones((2, 5), dtype=np.uint8), X, [1, 0, 1, 0, 1], "yes", [None] * 5])
def test_where_dtype(name: str, mask: Any) -> None:
    refused(name, TypeError, ("where", "bool", str(np.asarray(mask).dtype)), where=mask)


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 4), (5, 2), (2, 1), (1, 2, 5), (2, 5, 1), (0,)])
def test_out_shape(name: str, shape: tuple[int, ...]) -> None:
    out = np.full(shape, SENTINEL, dtype=np.float32)
    refused(name, ValueError, ("out", str(shape), str(expected_shape(name))), out=out)


def test_out_shape_with_keepdims() -> None:
    refused("logsumexp", ValueError, ("out", "(2,)", "(2, 1)"), out=np.zeros(2, dtype=np.float32), keepdims=True)


@pytest.mark.parametrize("kind", ["float64", "float16", "int32", "complex64", ">f4", "bfloat16"])
def test_out_dtype(name: str, kind: str) -> None:
    dtype = np.dtype(ml_dtypes.bfloat16 if kind == "bfloat16" else kind)
    out = np.zeros(expected_shape(name), dtype=dtype)
    refused(name, TypeError, ("out", str(dtype), "float32"), out=out)


@pytest.mark.parametrize("out", [[[0.0] * 5] * 2, (0.0, 0.0), bytearray(40)])
def test_out_is_no_array(name: str, out: Any) -> None:
    refused(name, TypeError, ("out", type(out).__name__), out=out)


def test_out_masked_array(name: str) -> None:
    refused(name, TypeError, ("out", "mask"), out=np.ma.zeros(expected_shape(name), dtype=np.float32))


def test_out_read_only(name: str) -> None:
    out = np.full(expected_shape(name), SENTINEL, dtype=np.float32)
    out.flags.writeable = False
    refused(name, ValueError, ("out", "read-only"), out=out)


def test_out_unaligned(name: str) -> None:
    shape = expected_shape(name)
    memory = np.zeros(4 * int(np.prod(shape)) + 1, dtype=np.uint8)
    refused(name, ValueError, ("out", "aligned"), out=memory[1:].view(np.float32).reshape(shape))


@pytest.mark.parametrize(
    "pair",
    [
        lambda base: (base[:10].reshape(2, 5), base[1:11].reshape(2, 5)),
        lambda base: (base[:10].reshape(2, 5), base[:10].reshape(2, 5)[::-1]),
        lambda base: (base[:10].reshape(2, 5), base[:10].reshape(2, 5)[:, ::-1]),
        lambda base: (base[:10].reshape(2, 5), base[:10].reshape(5, 2).T),
        lambda base: (base[:10].reshape(2, 5), base[9:19].reshape(2, 5)),
        lambda base: (base[:20:2].reshape(2, 5), base[:10].reshape(2, 5)),
    ],
    ids=["shifted", "rows reversed", "reversed", "transposed", "last place", "stretched"],
)
def test_out_overlaps(map_name: str, pair: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> None:
    x, out = pair(np.arange(20, dtype=np.float32))
    refused(map_name, ValueError, ("out", "overlap"), x, out=out)


def test_out_of_logsumexp_overlaps() -> None:
    x = X.copy()
    refused("logsumexp", ValueError, ("out", "overlap"), x, out=x[:, 0])
    row = X[0].copy()
    refused("logsumexp", ValueError, ("out", "overlap"), row, out=row[2:3].reshape(()))


def test_out_overlaps_where(map_name: str) -> None:
    memory = np.zeros(40, dtype=np.uint8)
    out, mask = memory.view(np.float32).reshape(2, 5), memory[:10].view(bool).reshape(2, 5)
    refused(map_name, ValueError, ("out", "overlap", "where"), out=out, where=mask)


def test_out_overlaps_itself(map_name: str) -> None:
    out = np.lib.stride_tricks.as_strided(np.zeros(6, dtype=np.float32), (2, 5), (4, 4))
    refused(map_name, ValueError, ("out", "share memory"), out=out)
    out = np.lib.stride_tricks.as_strided(np.zeros(5, dtype=np.float32), (2, 5), (0, 4))
    refused(map_name, ValueError, ("out", "share memory"), out=out)


def test_arguments_by_position_and_by_name(name: str) -> None:
    function = FUNCTIONS[name]
    for call in (
        lambda: function(),
        lambda: function(X, 0),
        lambda: function(X, -1, 1.0),
        lambda: function(x=X),
        lambda: function(X, dim=0),
        lambda: function(X, axes=0),
    ):
        with pytest.raises(TypeError):
            call()


def test_logsumexp_has_no_temperature_and_the_others_no_keepdims() -> None:
    with pytest.raises(TypeError, match="temperature"):
        normexp.logsumexp(X, temperature=2.0)  # type: ignore[call-arg]
    for function in MAPS.values():
        with pytest.raises(TypeError, match="keepdims"):
            function(X, keepdims=True)


@pytest.mark.parametrize("temperature", [2, np.int64(2), np.float32(2), np.float16(2), np.array(2.0)])
def test_kinds_of_temperature_that_work(map_name: str, temperature: Any) -> None:
    assert_same_bits(FUNCTIONS[map_name](X, temperature=temperature), FUNCTIONS[map_name](X, temperature=2.0))


@pytest.mark.parametrize("axis", [np.int64(1), np.int8(-1), (np.int32(1),), [1], np.array(1)])
def test_kinds_of_axis_that_work(name: str, axis: Any) -> None:
    assert_same_bits(FUNCTIONS[name](X, axis=axis), FUNCTIONS[name](X))
