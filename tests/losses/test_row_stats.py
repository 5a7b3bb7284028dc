"""row_stats: figures against exact values and NumPy, ties and ranks, special rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support import APART, BOUND, assert_same_bits, assert_values, floats_apart, largest, literal, normal, smallest
from test_special import LAYOUTS, ordinary

import normexp
from losses.problems import labels

pytest.importorskip("flint", reason="exact values come from python-flint")
from normexp.verify import measure, oracle

INF, NAN = math.inf, math.nan
SPREADS = (0.1, 1, 10, 100, 1000)
OFFSETS = (0.0, -1e3, 1e6)


def assert_alike(got: np.ndarray, expected: np.ndarray, what: object) -> None:
    """As many floats apart as two results for one exact value may be."""
    assert floats_apart(got, expected) <= APART[got.dtype.name], what


@pytest.mark.parametrize("length", [1, 2, 3, 10, 17, 100, 1000, 2049])
def test_row_stats(dtype: np.dtype, length: int) -> None:
    rows = [normal(length, spread, offset, dtype) for spread in SPREADS for offset in OFFSETS]
    rows += literal(
        dtype, [20] + [0] * (length - 1), [0] * length, [0] * (length - 1) + [-90], [5] + [-np.inf] * (length - 1)
    )
    check_stats(np.array(rows))
    check_stats(np.tile(rows[0], (33, 1)))


def check_stats(rows: np.ndarray) -> None:
    """logsumexp, entropy and log_prob within the bound, the others as NumPy has them."""
    target = labels(rows)
    stats = normexp.row_stats(rows, target)
    bound = BOUND[rows.dtype.name]
    wide = rows.astype(np.float64)
    np.testing.assert_array_equal(stats.max.astype(np.float64), wide.max(axis=1))
    np.testing.assert_array_equal(stats.argmax, wide.argmax(axis=1))
    for i, row in enumerate(rows):
        exact = oracle.Row(row)
        for what, value in (
            ("logsumexp", exact.logsumexp()),
            ("entropy", exact.entropy()),
            ("log_prob", exact.log_softmax([int(target[i])])[0]),
        ):
            got = getattr(stats, what)[i]
            error = measure.max_ulp(got, value)
            assert error <= bound, f"{what} is {error:.4g} ULP off: {got!r}, for {row!r}"


@pytest.mark.parametrize("gap", [8, 20, 50, 88, 100, 300, 700])
def test_entropy_of_confident_rows(dtype: np.dtype, gap: float) -> None:
    check_stats(np.array(literal(dtype, [gap, 0, 0.5], [0, gap, gap], [0, 0, gap])))
    check_stats(np.array(literal(dtype, [gap] + [0] * 3000, [0] * 3000 + [gap])))


def test_entropy_of_long_and_extreme_rows(dtype: np.dtype) -> None:
    check_stats(normal(100_000, 5, 0, dtype)[None])
    top, tiny = largest(dtype), smallest(dtype)
    check_stats(np.array(literal(dtype, [top, -top], [top, top], [-top, 0], [tiny, -tiny], [top, top * (1 - 2**-7)])))


def test_row_stats_of_special_rows(dtype: np.dtype) -> None:
    x = np.array(
        [[NAN, 1, 2], [1, NAN, INF], [INF, 1, 2], [1, INF, INF], [-INF, -INF, -INF], [1, -INF, 0], [INF, -INF, NAN]]
    ).astype(dtype)
    for tiled in (x, np.tile(x, (10, 1)), np.tile(x, (1, 700))):
        for label in (0, 1, 2):
            target = np.full(len(tiled), label)
            stats = normexp.row_stats(tiled, target)
            lost = np.isnan(tiled).any(axis=1)
            unbounded = ~np.isfinite(tiled.astype(np.float64).max(axis=1))
            assert_values(np.isnan(stats.max), lost)
            assert_values(stats.max[~lost], tiled[~lost].max(axis=1))
            assert_values(stats.logsumexp[lost], np.full(lost.sum(), NAN))
            assert_values(stats.logsumexp[unbounded & ~lost], stats.max[unbounded & ~lost])
            assert_values(np.isnan(stats.entropy), unbounded)
            assert_values(np.isnan(stats.log_prob), unbounded)
            assert_values(stats.argmax, tiled.astype(np.float64).argmax(axis=1))
            assert_values(stats.rank, ranks(tiled, target))


def ranks(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The place of the target in a stable descending sort; behind all places in a row with a NaN."""
    wide = rows.astype(np.float64)
    order = np.argsort(-wide, axis=1, kind="stable")
    place = (order == target[:, None]).argmax(axis=1)
    return np.where(np.isnan(wide).any(axis=1), rows.shape[1], place)


@pytest.mark.parametrize("length", [1, 2, 3, 10, 16, 17, 33, 1000, 2049])
def test_ranks_with_ties(dtype: np.dtype, length: int) -> None:
    """Equal logits stand in the order of their classes, -0 equals +0, and rank 0 is argmax."""
    rng = np.random.default_rng(length)
    for choices in ([0.0, 1.0], [0.0, -0.0, -1.0], [5.0], [-INF, 0.0, 2.0], list(range(7))):
        x = rng.choice(np.array(choices), size=(40, length)).astype(dtype)
        target = labels(x)
        for layout in LAYOUTS:
            view, axis = layout(x)
            stats = normexp.row_stats(view, target, axis=axis)
            assert_values(stats.rank, ranks(x, target), choices)
            assert_values(stats.argmax, x.astype(np.float64).argmax(axis=1), choices)
            assert_values(stats.rank == 0, stats.argmax == target, choices)
            assert stats.rank.dtype == stats.argmax.dtype == np.int64


def test_row_stats_without_a_target(dtype: np.dtype) -> None:
    x = ordinary(10, dtype)
    stats = normexp.row_stats(x)
    assert stats.log_prob is None
    assert stats.rank is None
    full = normexp.row_stats(x, labels(x))
    for name in ("logsumexp", "max", "argmax", "entropy"):
        assert_same_bits(getattr(stats, name), getattr(full, name), name)


def test_row_stats_say_what_the_other_functions_say(dtype: np.dtype) -> None:
    for length in (1, 10, 1000, 5000):
        x = ordinary(length, dtype)
        target = labels(x)
        stats = normexp.row_stats(x, target)
        assert_alike(stats.logsumexp, normexp.logsumexp(x), length)
        assert_alike(stats.log_prob, -normexp.cross_entropy(x, target, reduction="none"), length)
        uniform = normexp.row_stats(np.zeros((20, length), dtype))
        assert (uniform.entropy == np.log(length).astype(dtype)).all()
