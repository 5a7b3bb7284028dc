"""What people pass, as what the engine takes: arrays of four dtypes, sorted axes, masks, outputs.

Every error is raised here, before the engine touches any memory.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias, cast

import numpy as np
from numpy.exceptions import AxisError
from numpy.typing import ArrayLike, NDArray

from normexp import _engine

Array: TypeAlias = NDArray[Any]
Axis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None

_DLPACK_CPU = (1, 3, 11)  # kDLCPU, kDLCUDAHost, kDLROCMHost: memory that the CPU reads


def as_logits(x: ArrayLike, name: str = "x") -> Array:
    """Return `x` as a NumPy array that the engine reads: no copy if it is one of the four dtypes already."""
    array = as_array(x, name)
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    if not is_float(array.dtype):
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected float16, bfloat16, float32, float64, or integers or bool "
            "(computed as float64)"
        )
    return as_native(array)


def as_array(x: ArrayLike, name: str) -> Array:
    """Return `x` as a NumPy array of whatever dtype."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; pass {name}.filled() or {name}.data, and where=~{name}.mask")
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    if hasattr(x, "__dlpack__") and not isinstance(x, np.generic):
        return _from_dlpack(x, name)
    try:
        return np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array of numbers: {error}") from None


def as_native(array: Array) -> Array:
    """Return an array in this machine's byte order and alignment."""
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array if array.flags.aligned else array.copy()


def empty_like(x: Array) -> Array:
    """Return an uninitialized array like `x`; a large one lies in memory that was used before, if there is some."""
    return cast(Array, _engine.empty_like(x))


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether the engine has kernels for `dtype` (in either byte order)."""
    return dtype.type in (np.float16, np.float32, np.float64) or (dtype.name == "bfloat16" and dtype.itemsize == 2)


def _from_dlpack(x: Any, name: str) -> Array:  # noqa: ANN401 - whatever speaks DLPack
    device = getattr(x, "__dlpack_device__", lambda: _DLPACK_CPU[:1])()[0]
    if device not in _DLPACK_CPU:
        raise TypeError(f"{name} ({type(x).__module__}.{type(x).__name__}) is not in CPU memory; copy it there first")
    if getattr(x, "requires_grad", False):  # PyTorch refuses to export these, in words that do not help here
        raise TypeError(f"{name} is a tensor that requires grad; pass {name}.detach()")
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        try:
            words = _engine.bfloat16_words(x)
        except (TypeError, RuntimeError):
            raise TypeError(f"{name} ({type(x).__module__}.{type(x).__name__}) cannot be read: {error}") from None
    return words.view(bfloat16_dtype())


def bfloat16_dtype() -> np.dtype[Any]:
    """NumPy's dtype for bfloat16, which ml_dtypes provides."""
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError("bfloat16 in NumPy needs the package ml_dtypes: pip install ml_dtypes") from None
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return the axes to reduce over, each once, in 0 .. ndim - 1. A 0-d array counts as a row of one element."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, (list, tuple)):
        axes = tuple(one_axis(a, ndim) for a in axis)
        if len(set(axes)) != len(axes):
            raise ValueError(f"axis {axis!r} names an axis twice")
        return tuple(sorted(axes))
    one = one_axis(axis, ndim)  # type: ignore[arg-type]
    return () if ndim == 0 else (one,)


def one_axis(axis: SupportsIndex, ndim: int) -> int:
    """Return one axis, in 0 .. ndim - 1."""
    index = as_integer(axis, "axis must be an integer, a tuple of integers or None")
    if not -max(ndim, 1) <= index < max(ndim, 1):
        raise AxisError(index, ndim)
    return index % max(ndim, 1)


def as_mask(where: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """Return `where` broadcast to `shape`, or None."""
    if where is None:
        return None
    mask = np.asarray(where)
    if mask.dtype != np.bool_:
        raise TypeError(f"where has dtype {mask.dtype}; expected bool: True where an element counts")
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"where has shape {mask.shape}, which does not broadcast to the shape of x, {shape}") from None


def as_integer(value: SupportsIndex, expected: str) -> int:
    """Return an integer, or raise a TypeError that says what was expected; a bool is none."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{expected}, not the bool {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{expected}, not {value!r}") from None


def as_number(value: float, name: str) -> float:
    """Return a real number as a float."""
    try:
        if isinstance(value, (str, bytes, bool)) or getattr(value, "ndim", 0) != 0:
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None


def as_temperature(temperature: float) -> float:
    """Return the temperature as a float, checked."""
    value = as_number(temperature, "temperature")
    # Below the smallest normal number 1 / temperature would overflow.
    if not sys.float_info.min <= value < math.inf:
        raise ValueError(
            f"temperature must be positive and finite (at least {sys.float_info.min:.3g}), not {temperature!r}"
        )
    return value


def check_out(out: object, shape: tuple[int, ...], x: Array, **others: Array | None) -> Array:
    """Return `out` if results may be written there: over `x` itself, but over none of the other arguments."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}")
    if isinstance(out, np.ma.MaskedArray):
        raise TypeError("out must be a plain NumPy array, not a masked one")
    if out.dtype != x.dtype:
        raise TypeError(f"out has dtype {out.dtype}; expected {x.dtype}, the dtype of the result")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}; expected {shape}, the shape of the result")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    if not out.flags.aligned:
        raise ValueError("out is not aligned to its dtype")
    plain = np.asarray(out)
    if _overlaps_itself(plain):
        raise ValueError("out has elements that share memory with one another")
    same = _address(plain) == _address(x) and plain.strides == x.strides and plain.shape == x.shape
    if not same and _may_overlap(plain, x):
        raise ValueError("out overlaps x without being x; pass out=x, or an array of its own")
    for name, other in others.items():
        if other is not None and _may_overlap(plain, other):
            raise ValueError(f"out overlaps {name}")
    return plain


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _may_overlap(a: Array, b: Array) -> bool:
    try:
        # The exact test may take exponential time; 10**6 steps decide all but contrived strides.
        return np.shares_memory(a, b, max_work=1_000_000)  # type: ignore[arg-type] # the stubs know 0 and -1 only
    except (np.exceptions.TooHardError, OverflowError):
        return True


def _overlaps_itself(array: Array) -> bool:
    """Whether elements share memory, as far as sorted strides tell: none do if each axis steps over the one before."""
    if not array.size:
        return False
    reach = array.itemsize
    for stride, size in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (size - 1)
    return False
