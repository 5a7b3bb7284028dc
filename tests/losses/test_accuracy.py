"""Errors of losses, gradients and row statistics in units of the last place, against exact values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support import DTYPES, assert_same_bits, largest, literal, normal, places, smallest

import normexp
from losses.problems import distributions, labels, weights

pytest.importorskip("flint", reason="exact values come from python-flint")
from losses.exact import assert_exact, brief, cancelled
from normexp.verify import oracle

# Around the widths of registers (16), of blocks of a sum (2048), one class, two, and more than a tile of rows.
LENGTHS = (1, 2, 3, 15, 16, 17, 100, 1000, 2047, 2048, 2049, 4097)
SPREADS = (1, 10, 100, 1000)
OFFSETS = (0.0, -1e3, 1e6)
SMOOTHINGS = (0.1, 1.0)

Targets = Iterable[tuple[Any, dict[str, Any]]]


def targets(rows: np.ndarray, soft: bool = True) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """What such rows may be held against: labels of every rank, with weights, smoothed; probabilities."""
    count = rows.shape[1]
    weight = {"weight": weights(count, rows.dtype)}
    for label in (rows.argmax(axis=1), rows.argmin(axis=1), labels(rows)):
        yield label, {}
    yield labels(rows), weight
    yield rows.argmin(axis=1), weight
    if soft:
        yield labels(rows), {"label_smoothing": 0.1}
        yield labels(rows), {"label_smoothing": 1.0} | weight
        yield distributions(rows), {}
        yield distributions(rows), {"label_smoothing": 0.1} | weight


def check(rows: np.ndarray | list[np.ndarray], held_against: Targets | None = None, soft: bool = True) -> None:
    """Hold every row's loss and gradient to the bound, and name the worst."""
    rows = np.atleast_2d(rows)
    reduced = [oracle.Row(row) for row in rows]
    for target, options in held_against or targets(rows, soft):
        loss, grad = normexp.cross_entropy_and_grad(rows, target, reduction="none", **options)
        assert_same_bits(normexp.cross_entropy(rows, target, reduction="none", **options), loss, options)
        for i, row in enumerate(reduced):
            given = np.asarray(target)[i]
            against = oracle.Target(given, rows.shape[1], **options)
            what = f"of row {i}, {brief(rows[i])} against {brief(given)}, {options}"
            assert_exact(loss[i], row.cross_entropy(against), f"the loss {what}")
            at = places(rows[i])
            derivative = row.cross_entropy_grad(against, at)
            assert_exact(grad[i, at], derivative, f"the gradient {what}", partial(cancelled, against, at))


@pytest.mark.parametrize("length", LENGTHS)
def test_spreads_and_offsets(dtype: np.dtype, length: int) -> None:
    check([normal(length, spread, offset, dtype) for spread in SPREADS for offset in OFFSETS])


@pytest.mark.parametrize("length", [2, 10, 21, 100])
def test_many_rows(dtype: np.dtype, length: int) -> None:
    """Short rows are taken sixteen at a time."""
    rng = np.random.default_rng(length)
    check((rng.standard_normal((40, length)) * 4).astype(dtype))


def test_long_rows(dtype: np.dtype) -> None:
    check([normal(100_000, 5, 0, dtype), normal(100_000, 1, 1e6, dtype)])


@pytest.mark.parametrize(("kind", "spread", "offset"), [("float32", 5, 0), ("float32", 1, 1e6), ("float16", 0.01, 0)])
def test_four_million(kind: str, spread: float, offset: float) -> None:
    # 2^16 different numbers, 62 times over in changing order, and a tail: the oracle computes each exponential once.
    block = normal(2**16, spread, offset, DTYPES[kind])
    rng = np.random.default_rng(4)
    row = np.concatenate([*(rng.permutation(block) for _ in range(62)), block[:7]])[None]
    check(row, [(row.argmax(axis=1), {}), ([row.shape[1] - 1], {}), ([17], {"label_smoothing": 0.1})])


@pytest.mark.parametrize("gap", [8, 10, 20, 50, 88, 100, 103, 300, 700])
def test_confident_rows(dtype: np.dtype, gap: float) -> None:
    """The loss of the winner is exp(-gap), and the gradient there minus that: relative accuracy near zero."""
    check(literal(dtype, [gap, 0], [0, -gap], [0, gap]))
    check(literal(dtype, [0, gap, 0], [gap, 0.5, -2]))
    for length in (101, 1001, 2060):
        check(literal(dtype, [gap] + [0] * (length - 1), [0] * (length - 1) + [gap]))
    check(np.tile(literal(dtype, [gap, 1, 0.5, -2]), (33, 1)))


def test_ties_and_equal_rows(dtype: np.dtype) -> None:
    for ties in ([1, 1], [1, 1, 1], [20, 20, 0], [30, 30, 30, -5], [1] * 7 + [0] * 9, [5] * 2 + [5 - 2**-6] * 3):
        check(literal(dtype, ties))
    for length in (2, 3, 10, 1000, 70_000):
        check(literal(dtype, [0.0] * length, [-3.5] * length, [1e4] * length))


def test_subnormal_results(dtype: np.dtype) -> None:
    # From the smallest normal number of the dtype to half the smallest subnormal one, in steps of one e-th.
    normal_end = -math.log(float(ml_dtypes.finfo(dtype).smallest_normal))
    gaps = np.arange(normal_end - 1, 2 - math.log(smallest(dtype)), 1.0)
    check(literal(dtype, *([0, -gap] for gap in gaps)), soft=False)
    check(literal(dtype, *([0, 0.1, -gap, 0.3 - gap] for gap in gaps)))
    check(literal(dtype, [0, *-gaps]))


def test_huge_magnitudes(dtype: np.dtype) -> None:
    # x - m overflows though every input is finite; a loss that does is compared with the next value. In float64 that
    # has a limit, which the next test shows: there a quarter of the range.
    top = largest(dtype) if dtype != np.float64 else largest(dtype) / 4
    check(literal(dtype, [top, -top], [top, top], [-top, -top], [top, 0], [-top, 0], [top, top * (1 - 2**-7)]))
    check(literal(dtype, [top, top / 2, -top / 2], [-top, -top, top], [top, 1, 0]))
    check(literal(dtype, [top] * 1000, [-top] * 999 + [1]))


@pytest.mark.xfail(reason="x - m overflows before it is multiplied by the weight or share that keeps the loss finite")
def test_losses_of_huge_logits_with_small_factors() -> None:
    """x - m is beyond float64, a quarter of it is not."""
    top = largest(DTYPES["float64"])
    rows = np.tile(np.array([[top, -top]]), (20, 1))
    quarter = {"weight": [0.25, 0.25]}
    for part in (rows[:1], rows):
        zeros = np.zeros(len(part), int)
        check(part, [(zeros + 1, quarter), (zeros, {"label_smoothing": 0.1}), (np.full_like(part, 0.25), {})])


def test_tiny_inputs(dtype: np.dtype) -> None:
    tiny = smallest(dtype)
    check(literal(dtype, [tiny, 2 * tiny, -tiny], [tiny, -tiny, 0], [1, tiny, 0], [-1, tiny, 2]))


def test_tiny_probabilities(dtype: np.dtype) -> None:
    """Targets down to the smallest subnormal number, each of them the whole of its term."""
    tiny = smallest(dtype)
    rows = normal(5, 3, 0, dtype)[None]
    for q in ([tiny, 0, 0, 0, 0], [0, 0, 0, 3 * tiny, 0], [tiny, 1, 0, tiny, 2 * tiny], [0, 0, 0, 0, 0]):
        check(rows, [(np.array([q]).astype(dtype), {})])
    check(literal(dtype, [60, 0, 0.5]), [(literal(dtype, [1, tiny, 0]), {}), (literal(dtype, [1, 0, 0]), {})])


def test_probabilities_that_are_one_hot(dtype: np.dtype) -> None:
    """As sure as a label: nothing may be lost to a sum over the classes."""
    for gap in (8, 20, 60, 90, 300):
        rows = np.array(literal(dtype, [gap, 0, 1], [0.5, gap, 0], [0, 0, gap]))
        check(rows, [(np.eye(3).astype(dtype), {}), (np.eye(3)[::-1].astype(dtype), {})])


def test_probabilities_of_another_dtype() -> None:
    for kind, other in (
        ("float32", "float64"),
        ("float64", "float32"),
        ("float16", "float32"),
        ("bfloat16", "float64"),
    ):
        rows = np.array([normal(length, 3, 0, DTYPES[kind]) for length in (10, 10)])
        check(rows, [(distributions(rows.astype(DTYPES[other])), {})])


@pytest.mark.parametrize("length", [2, 3, 10, 100, 2500])
@pytest.mark.parametrize("soft", [True, False])
def test_gradients_that_cancel(dtype: np.dtype, length: int, soft: bool) -> None:
    """A network that has learned its targets: softmax is the target, rounded, or the smoothed label, nearly."""
    rng = np.random.default_rng(length)
    count = 40 if length <= 100 else 3
    if soft:
        rows = (rng.standard_normal((count, length)) * 2).astype(dtype)
        check(rows, [(normexp.softmax(rows), {}), (normexp.softmax(rows.astype(np.float64)).astype(dtype), {})])
        return
    for smoothing in (0.1, 0.3, 1.0):
        label = rng.integers(length, size=count)
        share = np.full((count, length), smoothing / length)
        share[np.arange(count), label] += 1 - smoothing
        # A common offset moves the logits to other roundings.
        rows = (np.log(share) + rng.standard_normal((count, 1))).astype(dtype)
        check(rows, [(label, {"label_smoothing": smoothing})])


def test_gradients_that_vanish(dtype: np.dtype) -> None:
    """Exactly the target: half and half, quarters, one class."""
    for length in (1, 2, 4, 64, 2048):
        rows = np.full((3, length), 0.75, dtype=dtype)
        even = np.full((3, length), 1 / length, dtype=dtype)
        loss, grad = normexp.cross_entropy_and_grad(rows, even, reduction="none")
        assert not grad.any()
        assert (loss == np.log(length).astype(dtype)).all()
        check(rows, [(even, {}), ([0, 0, length - 1], {"label_smoothing": 1.0})])


def test_figures_of_the_contract() -> None:
    loss, grad = normexp.cross_entropy_and_grad(np.array([[20, 0]], dtype=np.float32), [0])
    assert loss == np.float32(2.0611536e-9)
    assert (grad == np.array([[-2.0611536e-9, 2.0611536e-9]], dtype=np.float32)).all()
