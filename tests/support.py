"""What the tests share: the dtypes, the functions, bits and ULPs, a slow textbook reference, subprocesses."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import ml_dtypes
import numpy as np

import normexp

DTYPES = {name: np.dtype(name) for name in ("float16", "float32", "float64")}
DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)

SetThreads = Callable[[int], None]
COUNTS = (1, 2, 7)  # of threads: alone, as many as there are cores somewhere, and more than there are elsewhere

MAPS: dict[str, Callable[..., Any]] = {
    "softmax": normexp.softmax,
    "softmin": normexp.softmin,
    "log_softmax": normexp.log_softmax,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {**MAPS, "logsumexp": normexp.logsumexp}

# What a map puts where `where` is false.
IGNORED = {"softmax": 0.0, "softmin": 0.0, "log_softmax": -np.inf}

# The accuracy contract, in ULP of the exact value. float32 is computed in floats kept as two words (csrc/single.hpp):
# the last rounding costs 0.5, what comes before it less than as much (docs/accuracy.md: 0.88 in all). The half
# types are computed in floats of one word, which is off by a 250th of what rounding to them costs. float64: two words
# throughout; two ULP is the promise.
BOUND = {"float16": 0.51, "bfloat16": 0.51, "float32": 1.0, "float64": 2.0}

# Two results within BOUND of one exact value are at most this many floats apart: BOUND above it, and twice as many
# below it, where the exact value is a power of two, below which floats lie twice as dense.
APART = {name: math.floor(3 * bound) for name, bound in BOUND.items()}


# The spacing of long double at 1: 2^-63 on x86-64, 2^-112 on Linux for AArch64, that of float64 elsewhere.
LONG_EPS = float(np.finfo(np.longdouble).eps)


def eps(dtype: np.dtype) -> float:
    """The spacing of the floats at 1."""
    return float(ml_dtypes.finfo(dtype).eps)


def largest(dtype: np.dtype) -> float:
    """The largest finite number."""
    return float(ml_dtypes.finfo(dtype).max)


def smallest(dtype: np.dtype) -> float:
    """The smallest positive number, a subnormal."""
    return float(ml_dtypes.finfo(dtype).smallest_subnormal)


def bits(array: np.ndarray) -> np.ndarray:
    """The bit patterns, with one pattern for all NaNs (which payload a NaN carries is nobody's promise)."""
    array = np.asarray(array)
    patterns = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").reshape(array.shape).copy()
    patterns[np.isnan(array)] = np.iinfo(patterns.dtype).max
    return patterns


def assert_same_bits(got: np.ndarray, expected: np.ndarray, what: object = "") -> None:
    """Equal in dtype, shape and every bit; +0 and -0 differ, NaN equals NaN."""
    assert got.dtype == expected.dtype, what
    assert got.shape == expected.shape, what
    different = np.argwhere(bits(got) != bits(expected))
    if len(different):
        at = tuple(int(i) for i in different[0])
        one, other = np.asarray(got)[at], np.asarray(expected)[at]
        raise AssertionError(f"{what}: {len(different)} of {got.size} differ, first at {at}: {one!r} != {other!r}")


def assert_values(got: np.ndarray, expected: Any, what: object = "") -> None:
    """Equal in shape and value; NaN equals NaN and -0 equals +0."""
    np.testing.assert_array_equal(
        np.asarray(got).astype(np.float64), np.asarray(expected, dtype=np.float64), err_msg=str(what), strict=True
    )


def floats_apart(a: np.ndarray, b: np.ndarray) -> int:
    """How many representable numbers lie from a to b, at worst; NaN is 0 from NaN and infinitely far from the rest."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    if not a.size:
        return 0
    if (np.isnan(a) != np.isnan(b)).any():
        return sys.maxsize

    def rank(array: np.ndarray) -> list[int]:
        patterns = np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}").ravel()
        # Sign and magnitude to two's complement: the ranks of neighbouring floats then differ by one.
        return [p if p >= 0 else -(p & int(np.iinfo(patterns.dtype).max)) for p in patterns.tolist()]

    lost = np.isnan(a).ravel()
    return max((abs(i - j) for i, j, skip in zip(rank(a), rank(b), lost, strict=True) if not skip), default=0)


def places(row: np.ndarray) -> list[int]:
    """All places of a short row; of a long one the ends, the largest and smallest, and some by chance."""
    if row.size <= 100:
        return list(range(row.size))
    order = np.argsort(row.astype(np.float64), kind="stable")
    chance = np.random.default_rng(0).integers(0, row.size, 40)
    return sorted({0, row.size - 1, *order[:8].tolist(), *order[-16:].tolist(), *chance.tolist()})


def normal(length: int, spread: float, offset: float, dtype: np.dtype) -> np.ndarray:
    """A row of normal numbers, by the same seed always; clipped to the dtype's range."""
    rng = np.random.default_rng([length, int(spread), int(abs(offset))])
    limit = largest(dtype)
    return np.clip(rng.standard_normal(length) * spread + offset, -limit, limit).astype(dtype)


def literal(dtype: np.dtype, *rows: Iterable[float]) -> list[np.ndarray]:
    """These rows in that dtype."""
    return [np.array(list(row), dtype=np.float64).astype(dtype) for row in rows]


def made(shape: tuple[int, ...], kind: str = "float32", spread: float = 5.0) -> np.ndarray:
    """Normal numbers."""
    return (np.random.default_rng(shape[0]).standard_normal(shape, dtype=np.float32) * spread).astype(DTYPES[kind])


def at_each_count(threads: SetThreads, call: Callable[[], Any], what: object = "") -> np.ndarray:
    """Call with each number of threads; the bits must not change."""
    results = []
    for count in COUNTS:
        threads(count)
        results.append(np.asarray(call()))
    for count, result in zip(COUNTS[1:], results[1:], strict=True):
        assert_same_bits(result, results[0], (what, count))
    return results[0]


def reference(
    name: str,
    x: np.ndarray,
    axis: int | tuple[int, ...] | None = -1,
    temperature: float = 1.0,
    where: np.ndarray | None = None,
    keepdims: bool = False,
) -> np.ndarray:
    """The textbook in long double. Says which numbers go where; too rough to judge last places."""
    wide = np.asarray(x).astype(np.longdouble) / np.longdouble(temperature)
    if name == "softmin":
        wide = -wide
    if where is not None:
        wide = np.where(where, wide, -np.inf)
    with np.errstate(all="ignore"):
        top = wide.max(axis=axis, keepdims=True, initial=-np.inf)
        shift = np.where(np.isneginf(top), 0, top)
        total = np.exp(wide - shift).sum(axis=axis, keepdims=True)
        if name == "logsumexp":
            result = np.where(np.isposinf(top), top, shift + np.log(total))
            return result if keepdims else result.reshape(wide.sum(axis=axis).shape)
        result = wide - shift - np.log(total) if name == "log_softmax" else np.exp(wide - shift) / total
    return result if where is None else np.where(where, result, IGNORED[name])


def assert_close(got: np.ndarray, expected: np.ndarray, what: object = "") -> None:
    """Within two ULP of the reference, and what its own rounding of x - max may do at a distance of up to 1000."""
    got = np.asarray(got)
    assert got.shape == expected.shape, what
    own = 1e3 * LONG_EPS
    np.testing.assert_allclose(
        got.astype(np.longdouble),
        expected,
        rtol=2 * eps(got.dtype) + own,
        atol=max(own, 2 * smallest(got.dtype)),
        err_msg=str(what),
    )


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter: what is decided at import, or must not disturb this process."""
    clean = {k: v for k, v in os.environ.items() if k not in ("NORMEXP_CPU", "NORMEXP_NUM_THREADS")}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
