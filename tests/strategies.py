"""What hypothesis draws: arrays in any layout, axes, masks, places for the result."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from support import DTYPES

Axis = int | tuple[int, ...] | None
SENTINEL = -77.0


def values(shape: tuple[int, ...], dtype: np.dtype, seed: int, spread: float) -> np.ndarray:
    """Normal numbers with some ties and, now and then, a -inf."""
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(shape) * spread
    array = np.where(rng.random(shape) < 0.1, np.round(array), array)
    return np.where(rng.random(shape) < 0.02, -np.inf, array).astype(dtype)


def spread_out(array: np.ndarray, order: tuple[int, ...], steps: tuple[int, ...], fill: float = SENTINEL) -> np.ndarray:
    """The same numbers in another layout: axes in that memory order, each with that step; step 0 repeats the first.

    What lies between the numbers, before and after them, is the fill.
    """
    sides = [min(side, 1) + max(side - 1, 0) * abs(step) for side, step in zip(array.shape, steps, strict=True)]
    memory = np.full(math.prod(sides) + 5, fill, dtype=array.dtype)[3:]
    view = memory[: math.prod(sides)].reshape([sides[axis] for axis in order]).transpose(np.argsort(order))
    view = view[(..., *(slice(None, None, step or None) for step in steps))]
    if 0 not in steps:
        view[...] = array
        return view
    view[...] = array[(..., *(slice(0, 1) if step == 0 else slice(None) for step in steps))]
    return np.broadcast_to(view, array.shape)


@dataclass
class Case:
    """One call: the array, its plain copy, and the options."""

    x: np.ndarray
    axis: Axis
    where: np.ndarray | None
    temperature: float

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes as sorted non-negative numbers."""
        if self.axis is None:
            return tuple(range(self.x.ndim))
        given = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        return tuple(sorted(axis % self.x.ndim for axis in given))

    def rows(self, array: np.ndarray) -> np.ndarray:
        """The array as a contiguous matrix: one row for each reduction."""
        kept = [axis for axis in range(array.ndim) if axis not in self.axes]
        moved = array.transpose([*kept, *self.axes])
        length = math.prod(array.shape[axis] for axis in self.axes)
        count = math.prod(array.shape[axis] for axis in kept)
        return np.ascontiguousarray(moved).reshape(count, length)

    def back(self, rows: np.ndarray) -> np.ndarray:
        """A matrix of results in the shape of the array."""
        kept = [axis for axis in range(self.x.ndim) if axis not in self.axes]
        order = [*kept, *self.axes]
        return rows.reshape([self.x.shape[axis] for axis in order]).transpose(np.argsort(order))


@st.composite
def layouts(draw: st.DrawFn, ndim: int, repeats: bool = True) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A memory order of the axes and a step along each."""
    order = tuple(draw(st.permutations(range(ndim))))
    step = st.sampled_from([1, 1, 1, 2, -1, -2, 3, *([0] if repeats else [])])
    return order, tuple(draw(step) for _ in range(ndim))


@st.composite
def shapes(draw: st.DrawFn, low: int = 0) -> tuple[int, ...]:
    """Up to four sides: mostly small, zero and one among them, and now and then one long side."""
    shape = draw(st.lists(st.integers(0, 6), min_size=low, max_size=4))
    if shape and draw(st.booleans()):
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(7, 90))
    return tuple(shape)


@st.composite
def axes_of(draw: st.DrawFn, ndim: int) -> Axis:
    """An axis, a tuple of them in any order, or None; from either end."""
    if ndim == 0 or draw(st.integers(0, 5)) == 0:
        return None if ndim == 0 or draw(st.booleans()) else tuple(range(ndim))
    chosen = draw(st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True))
    signed = tuple(axis - ndim if draw(st.booleans()) else axis for axis in chosen)
    return signed[0] if len(signed) == 1 and draw(st.booleans()) else signed


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray | None:
    """A mask that broadcasts to the shape, in a layout of its own, or None."""
    if draw(st.booleans()):
        return None
    sides = [side if draw(st.integers(0, 3)) else 1 for side in shape]
    sides = sides[draw(st.integers(0, len(sides))) :] if draw(st.integers(0, 3)) == 0 else sides
    share = draw(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
    mask = np.random.default_rng(draw(st.integers(0, 2**16))).random(sides) < share
    return spread_out(mask, *draw(layouts(mask.ndim)), fill=True)


@st.composite
def cases(draw: st.DrawFn, repeats: bool = True) -> Case:
    """Any call that must work."""
    shape = draw(shapes())
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    plain = values(shape, dtype, draw(st.integers(0, 2**16)), draw(st.sampled_from([1.0, 10.0, 100.0])))
    x = spread_out(plain, *draw(layouts(len(shape), repeats)))
    temperature = draw(st.sampled_from([1.0, 1.0, 0.5, 0.7, 3.0]))
    return Case(x, draw(axes_of(len(shape))), draw(masks(shape)), temperature)
