"""LogSumExp, the mergeable state: blocks in any sizes, merges in any grouping."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import APART, BOUND, DTYPES, assert_same_bits, assert_values, eps, floats_apart, smallest

import normexp
from normexp import LogSumExp

INF, NAN = math.inf, math.nan


def fold(*blocks: Any) -> LogSumExp:
    """One state, updated with the blocks in turn."""
    state = LogSumExp()
    for block in blocks:
        state.update(block)
    return state


def assert_agrees(state: LogSumExp, whole: np.ndarray, what: object = "") -> None:
    """The state's value is logsumexp of the whole, as near as two correct results must be.

    Both are within BOUND units of the exact value, or, where the largest logit and the logarithm of the sum cancel and
    the data cannot be read again, the state's value is within 2^-55 of the largest logit; 2^-54 leaves room for that.
    """
    value, expected = np.asarray(state.value), np.asarray(normexp.logsumexp(whole))
    assert value.dtype == expected.dtype
    assert value.shape == expected.shape
    wide, wanted = value.astype(np.longdouble), expected.astype(np.longdouble)
    ordinary = np.isfinite(wanted)
    assert_values(value[~ordinary], expected[~ordinary], what)
    top = np.abs(whole.max(axis=-1).astype(np.longdouble))
    unit = 1.01 * eps(value.dtype) * np.abs(wanted) + smallest(value.dtype)
    allowed = 2 * BOUND[value.dtype.name] * unit + np.where(np.abs(wanted) < top / 4, 2.0**-54 * top, 0)
    assert (np.abs(wide[ordinary] - wanted[ordinary]) <= allowed[ordinary]).all(), (what, value, expected)


@st.composite
def split_rows(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """Some rows and the same cut into blocks, empty ones among them."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 200)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    x = rng.standard_normal(shape) * draw(st.sampled_from([0.1, 1.0, 30.0, 1e3])) + draw(st.sampled_from([-100, 0, 50]))
    x = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.3])), -np.inf, x).astype(dtype)
    cuts = sorted(draw(st.lists(st.integers(0, shape[1]), max_size=6)))
    return x, np.split(x, cuts, axis=1)


@given(split=split_rows())
def test_blocks_give_the_whole(split: tuple[np.ndarray, list[np.ndarray]]) -> None:
    whole, blocks = split
    assert_agrees(fold(*blocks), whole)


@given(split=split_rows(), data=st.data())
def test_merge_is_associative(split: tuple[np.ndarray, list[np.ndarray]], data: st.DataObject) -> None:
    """Merged in any order and grouping, the value is that of the whole."""
    whole, blocks = split
    states = [fold(block) for block in blocks]
    while len(states) > 1:
        left = states.pop(data.draw(st.integers(0, len(states) - 1)))
        right = states.pop(data.draw(st.integers(0, len(states) - 1)))
        left.merge(right)
        states.append(left)
    assert_agrees(states[0], whole)


@given(split=split_rows())
def test_merge_commutes(split: tuple[np.ndarray, list[np.ndarray]]) -> None:
    whole, _ = split
    cut = whole.shape[1] // 2
    one, other = (fold(whole[:, :cut]), fold(whole[:, cut:])), (fold(whole[:, cut:]), fold(whole[:, :cut]))
    for left, right in (one, other):
        left.merge(right)
        assert_agrees(left, whole)


def test_grouping_of_a_thousand_blocks() -> None:
    # Errors of merging must not grow with their number: 0.51 ULP after 1000 updates, and after a tree of merges.
    x = (np.random.default_rng(0).standard_normal((3, 50_000)) * 4).astype(np.float32)
    blocks = np.split(x, 1000, axis=1)
    assert_agrees(fold(*blocks), x, "in turn")
    states = [fold(block) for block in blocks]
    while len(states) > 1:
        pairs = zip(states[::2], states[1::2], strict=False)
        states = [left.merge(right) for left, right in pairs] + states[len(states) // 2 * 2 :]
    assert_agrees(states[0], x, "as a tree")


def test_one_block_is_logsumexp(dtype: np.dtype) -> None:
    x = (np.random.default_rng(1).standard_normal((3, 4, 50)) * 5 + 30).astype(dtype)
    for axis in (-1, 0, 1, (0, 2), (1, -1), None):
        state = LogSumExp()
        state.update(x, axis=axis)
        got, wanted = np.asarray(state.value), np.asarray(normexp.logsumexp(x, axis=axis))
        assert got.dtype == dtype
        assert got.shape == wanted.shape
        assert floats_apart(got, wanted) <= APART[dtype.name]


def test_update_and_merge_return_the_state() -> None:
    state, other = LogSumExp(), fold([1.0])
    assert state.update([0.0, 1.0]) is state
    assert state.merge(other) is state
    before = other.value
    other_before = np.array(before)
    state.update([5.0])
    assert_same_bits(np.asarray(other.value), other_before)


def test_value_may_be_read_at_any_time() -> None:
    state = LogSumExp()
    seen: list[float] = []
    for x in (0.5, -3.0, 7.0, 7.0, -INF):
        state.update([x])
        seen.append(x)
        assert_agrees(state, np.array(seen))
    first = np.array(state.value)
    assert_same_bits(np.asarray(state.value), first)


def test_nothing_seen() -> None:
    assert_values(LogSumExp().value, -INF)
    assert_values(LogSumExp().merge(LogSumExp()).value, -INF)
    assert_values(fold([]).value, -INF)
    assert_values(fold([], [], [2.0]).value, 2.0)
    assert_values(fold(np.empty((3, 0))).value, [-INF] * 3)
    full = fold([1.0, 2.0])
    before = np.array(full.value)
    assert_same_bits(np.asarray(full.merge(LogSumExp()).value), before)
    assert_same_bits(np.asarray(LogSumExp().merge(full).value), before)


@pytest.mark.parametrize(
    ("blocks", "value"),
    [
        ([[-INF]], -INF),
        ([[-INF], [-INF, -INF]], -INF),
        ([[-INF], [3.0]], 3.0),
        ([[3.0], [-INF]], 3.0),
        ([[INF], [1.0]], INF),
        ([[1.0], [INF]], INF),
        ([[INF], [INF]], INF),
        ([[INF], [-INF]], INF),
        ([[NAN], [1.0]], NAN),
        ([[1.0], [NAN]], NAN),
        ([[NAN], [-INF]], NAN),
        ([[-INF], [NAN]], NAN),
        ([[NAN], [INF]], NAN),
        ([[INF], [NAN]], NAN),
        ([[1e308], [1e308]], 1e308),
        ([[-1e308], [1e308]], 1e308),
    ],
)
def test_special_values(dtype: np.dtype, blocks: list[list[float]], value: float) -> None:
    with np.errstate(over="ignore"):
        arrays = [np.array(block).astype(dtype) for block in blocks]
        expected = np.array(value).astype(dtype)
    assert_values(fold(*arrays).value, expected, "in turn")
    assert_values(reduce(LogSumExp.merge, [fold(array) for array in arrays]).value, expected, "merged")


def test_ties_across_blocks_count_once_each() -> None:
    # The largest logit is left out of the state's sum; each further one of its size must be counted.
    value = float(fold([2.0, 2.0], [2.0], [2.0, 2.0, 2.0]).value)
    assert abs(value - (2 + math.log(6))) <= 4 * math.ulp(value)


def test_merge_with_itself_doubles() -> None:
    state = fold([1.0, 5.0])
    once = float(state.value)
    state.merge(state)
    assert abs(float(state.value) - (once + math.log(2))) <= 4 * math.ulp(once)


def test_mixed_dtypes_widen() -> None:
    state = fold(np.float16([1, 2]), np.float32([3.1]))
    assert np.asarray(state.value).dtype == np.float32
    assert np.asarray(state.update([1, 2]).value).dtype == np.float64
    assert_agrees(state, np.array([1, 2, np.float32(3.1), 1, 2]))


def test_where() -> None:
    x = np.array([[1.0, NAN, 3.0], [INF, 2.0, 2.0], [NAN, NAN, NAN]])
    mask = np.array([[True, False, True], [False, True, True], [False, False, False]])
    state = LogSumExp().update(x, where=mask)
    assert_same_bits(np.asarray(state.value), normexp.logsumexp(x, where=mask))


def test_many_threads_fill_states_of_their_own() -> None:
    from concurrent.futures import ThreadPoolExecutor

    x = np.random.default_rng(2).standard_normal((4, 80_000)) * 3
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(fold, np.split(x, 8, axis=1)))
    assert_agrees(reduce(LogSumExp.merge, states), x)


def test_bad_input_leaves_the_state() -> None:
    state = fold(np.zeros((2, 3)))
    before = np.array(state.value)
    for error, words, call in (
        (ValueError, ("(3,)", "(2,)"), lambda: state.update(np.zeros((3, 3)))),
        (ValueError, ("()", "(2,)"), lambda: state.update(np.zeros(3))),
        (ValueError, ("(3,)", "(2,)"), lambda: state.merge(fold(np.zeros((3, 3))))),
        (TypeError, ("LogSumExp", "float"), lambda: state.merge(1.0)),
        (TypeError, ("complex128",), lambda: state.update(np.zeros((2, 3), dtype=complex))),
        (TypeError, ("where",), lambda: state.update(np.zeros((2, 3)), where=np.ones((2, 3)))),
        (ValueError, ("where", "(4,)"), lambda: state.update(np.zeros((2, 3)), where=np.ones(4, dtype=bool))),
        (np.exceptions.AxisError, ("5",), lambda: state.update(np.zeros((2, 3)), axis=5)),
        (TypeError, ("axis",), lambda: state.update(np.zeros((2, 3)), axis=True)),
        (ValueError, ("twice",), lambda: state.update(np.zeros((2, 3)), axis=(1, 1))),
    ):
        with pytest.raises(error) as caught:
            call()
        assert all(word in str(caught.value) for word in words), caught.value
        assert_same_bits(np.asarray(state.value), before)


def test_its_state_is_small_and_its_value_is_read_only_as_an_attribute() -> None:
    state = fold([1.0])
    with pytest.raises(AttributeError):
        state.value = 3.0  # type: ignore[misc]
    assert "LogSumExp" in repr(state)
    assert "LogSumExp" in repr(LogSumExp())
