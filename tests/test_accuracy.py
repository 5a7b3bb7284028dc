"""Errors in units of the last place, against exact values: the numerics contract."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import BOUND, DTYPES, FUNCTIONS, largest, literal, normal, places, smallest

pytest.importorskip("flint", reason="exact values come from python-flint")
from normexp.verify import measure, oracle

# Around the widths of registers and unrolled loops (16, 32), of blocks of a sum (2048, 4096), and the smallest.
LENGTHS = (1, 2, 3, 15, 16, 17, 31, 33, 100, 1000, 2047, 2048, 2049, 4097)
SPREADS = (1, 10, 100, 1000)
OFFSETS = (0.0, -1e3, 1e6)


def error(name: str, row: np.ndarray, **options: Any) -> float:
    """The largest error of the function on the row, in ULP."""
    got = np.asarray(FUNCTIONS[name](row, **options))
    if name == "logsumexp":
        return measure.max_ulp(got, oracle.logsumexp(row))
    chosen = places(row)
    return measure.max_ulp(got[chosen], getattr(oracle, name)(row, positions=chosen, **options))


def check(name: str, rows: Iterable[np.ndarray], **options: Any) -> None:
    """Hold every row to the bound, and name the worst."""
    worst, at = max(((error(name, row, **options), row) for row in rows), key=lambda pair: pair[0])
    bound = BOUND[at.dtype.name]
    assert worst <= bound, f"{name}({options}) is {worst:.4g} ULP off, the bound is {bound}, for {at!r}"


@pytest.mark.parametrize("length", LENGTHS)
def test_spreads_and_offsets(name: str, dtype: np.dtype, length: int) -> None:
    check(name, [normal(length, spread, offset, dtype) for spread in SPREADS for offset in OFFSETS])


def test_long_row(name: str, dtype: np.dtype) -> None:
    check(name, [normal(100_000, 5, 0, dtype), normal(100_000, 1, 1e6, dtype)])


@pytest.mark.parametrize(
    ("kind", "spread", "offset"),
    [("float32", 5, 0), ("float32", 1000, 0), ("float32", 1, 1e6), ("float64", 5, 0), ("float16", 0.01, 0)],
)
def test_four_million(name: str, kind: str, spread: float, offset: float) -> None:
    # 2^16 different numbers, 62 times over in changing order, and a tail: the oracle computes each exponential once.
    block = normal(2**16, spread, offset, DTYPES[kind])
    rng = np.random.default_rng(4)
    check(name, [np.concatenate([*(rng.permutation(block) for _ in range(62)), block[:7]])])


@pytest.mark.parametrize("temperature", [0.1, 0.7, 3, 1e3, 1e-3])
def test_temperature(map_name: str, dtype: np.dtype, temperature: float) -> None:
    rows = [normal(length, spread, 0, dtype) for length in (3, 33, 1000) for spread in (1, 10)]
    check(map_name, rows, temperature=temperature)


@pytest.mark.parametrize("temperature", [sys.float_info.min, 1e-300, 1e300, sys.float_info.max])
def test_extreme_temperature(map_name: str, dtype: np.dtype, temperature: float) -> None:
    # Exact arithmetic has no trouble with x / 1e-308: the largest logit wins, or the tied ones share.
    check(map_name, literal(dtype, [1, 2], [1, 2, 2], [0, 0, 0], [-3, 0.5, 8, 1]), temperature=temperature)


def test_huge_logits_over_a_large_temperature(map_name: str, dtype: np.dtype) -> None:
    # x - m is beyond the dtype's range, (x - m) / T is not.
    top = largest(dtype)
    rows = literal(dtype, [top, -top], [top, top / 4, -top], [-top, top / 2, 0, top / 8])
    for temperature in (2.0, 3.0, 1e3, top / 2, top):
        check(map_name, rows, temperature=temperature)


def test_tiny_logits_over_a_tiny_temperature(map_name: str, dtype: np.dtype) -> None:
    tiny = smallest(dtype)
    for temperature in (sys.float_info.min, max(sys.float_info.min, tiny)):
        check(map_name, literal(dtype, [0, tiny, -tiny], [3 * tiny, 5 * tiny, -tiny, 0]), temperature=temperature)


@pytest.mark.parametrize("gap", [8, 10, 20, 50, 88, 100, 103, 300, 700])
def test_confident_rows(name: str, dtype: np.dtype, gap: float) -> None:
    # log_softmax is -exp(-gap) at the winner: relative accuracy near zero, down into the subnormal numbers.
    rows = [[gap, 0], [0, -gap], [0, gap, 0], [gap] + [0] * 100, [0] * 1000 + [gap], [gap, 1, 0.5, -2]]
    check(name, literal(dtype, *rows))


def test_ties_and_equal_rows(name: str, dtype: np.dtype) -> None:
    ties = [[1, 1], [1, 1, 1], [20, 20, 0], [30, 30, 30, -5], [1] * 7 + [0] * 9, [5] * 2 + [5 - 2**-6] * 3]
    check(name, literal(dtype, *ties))
    check(name, [np.full(n, v).astype(dtype) for n in (2, 3, 10, 1000, 70_000) for v in (0, 1, -3.5, 1e4)])


def test_subnormal_results(name: str, dtype: np.dtype) -> None:
    # From the smallest normal number of the dtype to half the smallest subnormal one, in steps of one e-th.
    normal_end = -math.log(float(ml_dtypes.finfo(dtype).smallest_normal))
    gaps = np.arange(normal_end - 1, 2 - math.log(smallest(dtype)), 1.0)
    check(name, literal(dtype, *[[0, -gap] for gap in gaps], [0, *-gaps], *[[0, 0.1, -gap, 0.3 - gap] for gap in gaps]))


def test_huge_magnitudes(name: str, dtype: np.dtype) -> None:
    # x - m and m + log s may overflow though every input is finite.
    top = largest(dtype)
    rows = [[top], [-top], [top, top], [-top, -top], [top, -top], [top, 0], [-top, 0], [top, top / 2, -top / 2]]
    check(name, literal(dtype, *rows, [top] * 1000, [-top] * 999 + [1], [top, top * (1 - 2**-7)]))


def test_tiny_inputs(name: str, dtype: np.dtype) -> None:
    tiny = smallest(dtype)
    check(
        name, literal(dtype, [tiny], [-tiny], [tiny, 2 * tiny], [tiny, -tiny, 0], [tiny] * 100, [1, tiny], [-1, tiny])
    )


@pytest.mark.parametrize("length", [2, 3, 10, 100, 1000, 4097])
def test_logsumexp_of_log_probabilities(dtype: np.dtype, length: int) -> None:
    """m and log s cancel: what is left is the rounding of the inputs, and exact in it."""
    rng = np.random.default_rng(length)
    probabilities = rng.dirichlet(np.ones(length), 10)
    check("logsumexp", list(np.log(probabilities).astype(dtype)))
    check("logsumexp", [np.full(length, -math.log(length)).astype(dtype)])


# Pairs with exp(a) + exp(b) as near 1 as a search finds: over all float32 a in [-ln 2 - 1/4, -ln 2), and over 10^6
# random float64 a in [-3, -ln 2), each with b = log(1 - exp(a)) rounded. The sums' logarithms are -7.6e-18, 6.0e-15
# and 2.6e-14 in float32, 1.3e-23, -5.2e-23 and 6.1e-23 in float64.
CANCELLING = {
    "float32": [
        ("-0x1.82beccp-1", "-0x1.44e756p-1"),
        ("-0x1.636072p-1", "-0x1.62680cp-1"),
        ("-0x1.d5133ep-1", "-0x1.059626p-1"),
    ],
    "float64": [
        ("-0x1.355cfba8e6df3p+1", "-0x1.7eafd665a0d3cp-4"),
        ("-0x1.ec2c8ae1ad4bcp+0", "-0x1.43c847df2b6a4p-3"),
        ("-0x1.6901708ffd27ep+1", "-0x1.f743cb1e14911p-5"),
    ],
}


@pytest.mark.parametrize("kind", CANCELLING)
def test_logsumexp_cancels(kind: str) -> None:
    pairs = [[float.fromhex(a), float.fromhex(b)] for a, b in CANCELLING[kind]]
    ln2 = math.log(2)
    rows = [[-ln2, -ln2], [-ln2] * 2 + [-800], [-math.log(3)] * 3, [0, -40], [-1e-17, -50], *pairs]
    check("logsumexp", literal(DTYPES[kind], *rows, *[[b, a] for a, b in pairs], *[[a, -900, b] for a, b in pairs]))
