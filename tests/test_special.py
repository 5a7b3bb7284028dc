"""Infinities, NaN, masks and nothing at all: the conventions, which are PyTorch's where PyTorch has any."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support import APART, FUNCTIONS, IGNORED, assert_same_bits, assert_values, bits, floats_apart

INF, NAN = math.inf, math.nan

# One lane, a pair, a row of classes, one past a register, more than 128, a long row, one past a block.
LENGTHS = (1, 2, 10, 17, 200, 1000, 5000)

# The values put into a row of ordinary numbers, and what becomes of softmax and log_softmax ("nan": the whole row;
# "hidden": nothing but those places), of softmin, which sees their negatives, and of logsumexp (None: the others').
CASES: dict[str, tuple[tuple[float, ...], str, str, float | None]] = {
    "+inf": ((INF,), "nan", "hidden", INF),
    "-inf": ((-INF,), "hidden", "nan", None),
    "nan": ((NAN,), "nan", "nan", NAN),
    "-nan": ((-NAN,), "nan", "nan", NAN),
    "two +inf": ((INF, INF), "nan", "hidden", INF),
    "two -inf": ((-INF, -INF), "hidden", "nan", None),
    "+inf and -inf": ((INF, -INF), "nan", "nan", INF),
    "nan and -inf": ((NAN, -INF), "nan", "nan", NAN),
    "-inf and nan": ((-INF, NAN), "nan", "nan", NAN),
    "nan and +inf": ((NAN, INF), "nan", "nan", NAN),
    "+inf and nan": ((INF, NAN), "nan", "nan", NAN),
}


def contiguous(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows as they are."""
    return rows, -1


def strided(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """Every second place of wider rows, NaN between."""
    wide = np.full((rows.shape[0], 2 * rows.shape[1]), NAN, dtype=rows.dtype)
    wide[:, ::2] = rows
    return wide[:, ::2], -1


def down(rows: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows as columns, along axis 0."""
    return np.ascontiguousarray(rows.T), 0


LAYOUTS = (contiguous, strided, down)


def ordinary(length: int, dtype: np.dtype, rows: int | None = None) -> np.ndarray:
    """Rows without anything special: enough of the shorter ones to be taken sixteen at a time, and some left over."""
    rows = rows or (5 if length > 200 else 21)
    return (np.random.default_rng(length).standard_normal((rows, length)) * 2).astype(dtype)


def places(length: int, count: int) -> Iterator[tuple[int, ...]]:
    """First, middle and last places for that many values."""
    if length >= count:
        starts = {0, (length - count) // 2, length - count}
        yield from (tuple(range(start, start + count)) for start in sorted(starts))
    if length > count > 1:
        yield (0, length - 1)


def by_rows(name: str, result: np.ndarray, axis: int) -> np.ndarray:
    """The result with one row a row of the input."""
    return result if name == "logsumexp" or axis == -1 else result.T


@pytest.mark.parametrize("case", CASES)
def test_special_values(case: str, name: str, dtype: np.dtype) -> None:
    values, outcome, outcome_softmin, total = CASES[case]
    if name == "softmin":
        outcome = outcome_softmin
    function = FUNCTIONS[name]
    for length in LENGTHS:
        plain = ordinary(length, dtype)
        expected_plain = function(plain)
        for at in places(length, len(values)):
            rows = plain.copy()
            rows[2, list(at)] = values
            rest = np.delete(plain[2], list(at))
            for layout in LAYOUTS:
                x, axis = layout(rows)
                got = by_rows(name, function(x, axis=axis), axis)
                what = (case, length, at, layout.__name__)
                assert_same_bits(np.delete(got, 2, 0), np.delete(expected_plain, 2, 0), what)
                row = got[2]
                if name == "logsumexp":
                    expected = function(rest) if total is None else np.asarray(total, dtype)
                    assert floats_apart(np.asarray(row), np.asarray(expected)) <= APART[dtype.name], what
                elif outcome == "nan" or not rest.size:
                    assert np.isnan(row).all(), what
                else:
                    assert (row[list(at)] == IGNORED[name]).all(), what
                    assert floats_apart(np.delete(row, list(at)), function(rest)) <= APART[dtype.name], what


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("value", "total"), [(-INF, -INF), (INF, INF), (NAN, NAN)])
def test_whole_row_special(name: str, dtype: np.dtype, length: int, value: float, total: float) -> None:
    plain = ordinary(length, dtype)
    rows = plain.copy()
    rows[2] = value
    for layout in LAYOUTS:
        x, axis = layout(rows)
        got = by_rows(name, FUNCTIONS[name](x, axis=axis), axis)
        assert_same_bits(np.delete(got, 2, 0), np.delete(FUNCTIONS[name](plain), 2, 0), layout.__name__)
        assert_values(got[2], np.full(got[2].shape, total if name == "logsumexp" else NAN), layout.__name__)


def masked_reference(name: str, rows: np.ndarray, mask: np.ndarray) -> list[Any]:
    """Each row's result computed from the entries that count alone, and put back in their places."""
    results = []
    for row, keep in zip(rows, mask, strict=True):
        if name == "logsumexp":
            results.append(FUNCTIONS[name](row[keep]))
            continue
        full = np.full_like(row, IGNORED[name])
        full[keep] = FUNCTIONS[name](row[keep])
        results.append(full)
    return results


@pytest.mark.parametrize("hidden", [0.0, INF, -INF, NAN])
@pytest.mark.parametrize("length", LENGTHS)
def test_ignored_entries_do_not_matter(name: str, dtype: np.dtype, length: int, hidden: float) -> None:
    rows = ordinary(length, dtype)
    mask = np.random.default_rng(length).random(rows.shape) < 0.6
    mask[:, :1] = mask[:, -1:]  # some rows of one place ignored, some not, and both ends alike
    mask[3] = False
    mask[4] = True
    expected = masked_reference(name, rows, mask)
    rows[~mask] = hidden
    for layout in LAYOUTS:
        x, axis = layout(rows)
        got = by_rows(name, FUNCTIONS[name](x, axis=axis, where=mask if axis == -1 else mask.T), axis)
        for i, one in enumerate(expected):
            what = (layout.__name__, i)
            assert floats_apart(np.asarray(got[i]), np.asarray(one)) <= APART[dtype.name], what
            if name != "logsumexp":
                assert (got[i][~mask[i]] == IGNORED[name]).all(), what


@pytest.mark.parametrize("value", [-INF, INF, NAN, 1.0])
@pytest.mark.parametrize("mask", [False, np.False_, [False], np.zeros((4, 1), bool), np.zeros((4, 6), bool)])
def test_everything_ignored(name: str, dtype: np.dtype, value: float, mask: Any) -> None:
    got = FUNCTIONS[name](np.full((4, 6), value, dtype=dtype), where=mask)
    assert got.dtype == dtype
    assert_values(got, np.full(4 if name == "logsumexp" else (4, 6), IGNORED.get(name, -INF)))


@pytest.mark.parametrize("mask", [True, np.True_, [True], np.ones((4, 1), bool), np.ones((4, 33), bool)])
def test_nothing_ignored(function: Callable[..., Any], dtype: np.dtype, mask: Any) -> None:
    x = ordinary(33, dtype, rows=4)
    assert_same_bits(function(x, where=mask), function(x))
    assert_same_bits(function(x, where=None), function(x))


def test_specials_among_the_counted(name: str, dtype: np.dtype) -> None:
    """A special value that counts acts as ever, and an ignored place has its own value even then."""
    x = np.array([[NAN, 1, 2, 3], [INF, 1, 2, 3], [-INF, -INF, 2, -INF]], dtype=dtype)
    keep = np.array([True, True, False, True])
    got = FUNCTIONS[name](x, where=keep)
    if name == "logsumexp":
        assert_values(got, [NAN, INF, -INF])
        return
    lost = [NAN, NAN, IGNORED[name], NAN]
    assert_values(got[[0, 2]], [lost, lost])
    if name == "softmin":  # the negatives of the second row that count: -inf, -1 and -3
        expected = np.zeros(4, dtype)
        expected[[1, 3]] = FUNCTIONS[name](x[1, [1, 3]])
        assert floats_apart(got[1], expected) <= APART[dtype.name]
    else:
        assert_values(got[1], lost)


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_temperature_leaves_specials(map_name: str, dtype: np.dtype, temperature: float) -> None:
    x = np.array([[NAN, 0, -INF], [INF, 0, 1], [-INF, -INF, -INF], [-INF, 1, 1]], dtype=dtype)
    got, without = (FUNCTIONS[map_name](x, **options) for options in ({"temperature": temperature}, {}))
    assert_values(np.isnan(got), np.isnan(without))
    special = np.isinf(x)
    assert_values(got[special], without[special])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4), (0, 0)])
def test_empty(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    x = np.empty(shape, dtype=dtype)
    for axis in (*range(-len(shape), len(shape)), None, tuple(range(len(shape)))):
        got = FUNCTIONS[name](x, axis=axis)
        assert got.dtype == dtype
        if name != "logsumexp":
            assert got.shape == shape
            continue
        # The sum over nothing is 0, its logarithm -inf; where no row is left there is nothing to say.
        assert_values(got, np.full(np.sum(x.astype(float), axis=axis).shape, -INF))


def test_one_element(dtype: np.dtype) -> None:
    for value in (0.0, -7.5, 88.0):
        x = np.array([value], dtype=dtype)
        assert FUNCTIONS["softmax"](x) == 1
        assert FUNCTIONS["softmin"](x) == 1
        assert FUNCTIONS["log_softmax"](x) == 0
        assert_same_bits(np.asarray(FUNCTIONS["logsumexp"](x)), x[0])


def test_certainty_is_one_and_zero(dtype: np.dtype) -> None:
    # The other exponentials are below the smallest subnormal number of every dtype: e^-2000 < 2^-2000.
    x = np.array([0, -2000, -3000], dtype=dtype)
    assert_values(FUNCTIONS["softmax"](x), [1, 0, 0])
    assert_values(FUNCTIONS["log_softmax"](x), x)
    assert (bits(FUNCTIONS["softmax"](x))[1:] == 0).all(), "softmax has no negative zero"
