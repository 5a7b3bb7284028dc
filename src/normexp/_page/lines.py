"""Lines as an SVG: log-log, a line for each series with its name at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from normexp._page.markup import Markup, element

# In the units of the view box; on the page they are about a pixel.
_WIDTH: Final = 400
_LEFT: Final = 50
_TOP: Final = 34
_HEIGHT: Final = 190
_BELOW: Final = 36
_LEADER: Final = 14
_LINE: Final = 14
_CHARACTER: Final = 7.4
"""How wide one is at most: bold, in the widest of the usual fonts."""

_DECADES: Final = 6
_FINE: Final = 4
"""With how many decades there is room for steps between them."""
_NAMED: Final = 4
"""How many places an axis names at most."""

_Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Axes:
    """What the two axes are."""

    x: str
    """The name of the horizontal one."""
    y: str
    least: float = 0.0
    """Smaller values are drawn there."""
    steps: Sequence[int] = (1,)
    """What is named within a decade of the vertical one, where these are few."""
    beyond: str = ""
    """What an infinite value is called."""


def lines(
    label: str,
    axes: Axes,
    places: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    colors: Mapping[str, int],
    say: Callable[[float], str],
    *,
    bound: tuple[str, float] | None = None,
    named: Sequence[int] = (),
    marked: Mapping[str, Sequence[int]] | None = None,
) -> Markup:
    """Draw them.

    Parameters
    ----------
    label : str
        What a screen reader says of the picture.
    axes : Axes
        What they are.
    places : sequence of int
        Where the values are on the horizontal axis, growing.
    series : mapping of str to sequence of float
        The values of each line. None: a gap. The first is drawn on top.
    colors : mapping of str to int
        The number of each line's color.
    say : callable
        How a value is written.
    bound : tuple of str and float, optional
        A dashed line, and its name.
    named : sequence of int, optional
        The places that the axis names; by default some of them, and the last one.
    marked : mapping of str to sequence of int, optional
        Places of a line to draw a ring around.
    """
    # Of a line without values there is nothing to name.
    series = {name: values for name, values in series.items() if any(value is not None for value in values)}
    bounds = {} if bound is None else dict([bound])
    plane = _plane(axes, places, series, bounds)
    ends = {name: _end(plane, values) for name, values in series.items()}
    ends |= {name: (plane.right, plane.y(value)) for name, value in bounds.items()}
    heights = place([y for _, y in ends.values()], _LINE, _TOP, plane.bottom)
    names = [
        _label(plane, name, end, height, f"line{colors[name]}" if name in series else "bound")
        for (name, end), height in zip(ends.items(), heights, strict=True)
    ]
    limits = [
        element("path", class_="bound", d=_path([(_LEFT, plane.y(value)), (plane.right, plane.y(value))]))
        for value in bounds.values()
    ]
    rings = marked or {}
    drawn = [
        _series(plane, name, values, say, f"line{colors[name]}", rings.get(name, ()))
        for name, values in reversed(series.items())
    ]
    return element(
        "svg",
        *_axes(plane, axes, named, any(math.inf in values for values in series.values())),
        *limits,
        *names,
        *drawn,
        viewBox=f"0 0 {_WIDTH} {plane.bottom + _BELOW:g}",
        role="img",
        aria_label=label,
    )


def place(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart: none closer than `gap` to another, and each as near to its place as that allows.

    Parameters
    ----------
    wanted : sequence of float
        Where the labels would be.
    gap : float
        From one label to the next.
    low, high : float
        The room there is; ``gap * (len(wanted) - 1)`` at least.

    Returns
    -------
    list of float
        Where they go, in the order of `wanted`: the least sum of squared moves.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    # Less the gaps below it, no label may come before another: an isotonic regression, solved by pooling violators.
    pools: list[tuple[float, int]] = []
    for rank, index in enumerate(order):
        total, count = wanted[index] - rank * gap, 1
        while pools and pools[-1][0] * count >= total * pools[-1][1]:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    top = high - gap * (len(wanted) - 1)
    levels = [min(max(total / count, low), top) for total, count in pools for _ in range(count)]
    placed = [0.0] * len(wanted)
    for rank, (index, level) in enumerate(zip(order, levels, strict=True)):
        placed[index] = level + rank * gap
    return placed


@dataclass(frozen=True)
class _Plane:
    """Where a place and a value are; y grows downwards."""

    places: Sequence[int]
    low: int
    """The decade at the bottom; smaller values are drawn there."""
    high: int
    right: float
    top: float
    bottom: float

    def x(self, place: float) -> float:
        first, last = math.log(min(self.places)), math.log(max(self.places))
        share = (math.log(place) - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (self.right - _LEFT)

    def y(self, value: float) -> float:
        if math.isinf(value):
            return _TOP
        decade = max(math.log10(value), self.low) if value > 0 else self.low
        return self.bottom - (decade - self.low) / (self.high - self.low) * (self.bottom - self.top)


def _plane(
    axes: Axes, places: Sequence[int], series: Mapping[str, Sequence[float | None]], bounds: Mapping[str, float]
) -> _Plane:
    finite = [value for values in series.values() for value in values if value is not None and 0 < value < math.inf]
    drawn = [*finite, *bounds.values()] or [1.0]
    low = math.floor(math.log10(max(min(drawn), axes.least)))
    high = max(math.ceil(math.log10(max(drawn))), low + 1)
    # What is beyond has a line of its own, over the numbers.
    top = _TOP + (_LINE + 6 if any(math.inf in values for values in series.values()) else 0)
    # Many names need more height than the curves do.
    bottom = max(_TOP + _HEIGHT, _TOP + _LINE * (len(series) + len(bounds) - 1))
    longest = max(map(len, [*series, *bounds]), default=0)
    return _Plane(places, low, high, _WIDTH - _LEADER - 10 - _CHARACTER * longest, top, bottom)


def _axes(plane: _Plane, axes: Axes, named: Sequence[int], beyond: bool) -> Iterable[Markup]:
    yield element("text", axes.y, x=4, y=14, class_="axis")
    yield element("text", axes.x, x=plane.right, y=plane.bottom + 31, text_anchor="end", class_="axis")
    decades = range(plane.low, plane.high + 1)
    for decade in decades[:: math.ceil(len(decades) / _DECADES)]:
        for step in axes.steps if len(decades) <= _FINE and decade < plane.high else (1,):
            value = step * 10.0**decade
            yield from _level(plane, f"{value:,.10g}" if decade < 6 else f"{step}e{decade}", plane.y(value))
    if beyond:
        yield from _level(plane, axes.beyond, plane.y(math.inf))
    # Counted from the last, which is always named.
    for place in named or plane.places[::-1][:: math.ceil(len(plane.places) / _NAMED)]:
        yield element("text", f"{place:,}", x=plane.x(place), y=plane.bottom + 16, text_anchor="middle")


def _level(plane: _Plane, name: str, y: float) -> Iterable[Markup]:
    yield element("path", class_="grid", d=_path([(_LEFT, y), (plane.right, y)]))
    yield element("text", name, x=_LEFT - 6, y=y + 4, text_anchor="end")


def _series(
    plane: _Plane,
    name: str,
    values: Sequence[float | None],
    say: Callable[[float], str],
    class_: str,
    ringed: Sequence[int],
) -> Markup:
    known = [(place, value) for place, value in zip(plane.places, values, strict=True) if value is not None]
    points = [
        None if value is None or math.isinf(value) else (plane.x(place), plane.y(value))
        for place, value in zip(plane.places, values, strict=True)
    ]
    crosses = [(plane.x(place), plane.y(value)) for place, value in known if math.isinf(value)]
    dots = [element("circle", cx=point[0], cy=point[1], r=2.2) for point in points if point]
    marks = [element("path", d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6") for x, y in crosses]
    rings = [
        element("circle", cx=plane.x(place), cy=plane.y(value), r=6, class_="ring")
        for place, value in known
        if place in ringed
    ]
    said = f"{name}: " + ", ".join(f"{say(value)} at {place:,}" for place, value in known)
    return element("g", element("title", said), element("path", d=_path(points)), *dots, *marks, *rings, class_=class_)


def _label(plane: _Plane, name: str, end: _Point, height: float, class_: str) -> Markup:
    x = plane.right + _LEADER
    leader = element("path", d=_path([end, (x, height)]), class_="leader")
    return element("g", leader, element("text", name, x=x + 3, y=height + 4), class_=class_)


def _end(plane: _Plane, values: Sequence[float | None]) -> _Point:
    """Return the last point there is of a line."""
    pairs = zip(plane.places, values, strict=True)
    return [(plane.x(place), plane.y(value)) for place, value in pairs if value is not None][-1]


def _path(points: Iterable[_Point | None]) -> str:
    """Return a path's data; None breaks the line."""
    steps: list[str] = []
    pen = "M"
    for point in points:
        if point is not None:
            steps.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "M" if point is None else "L"
    return "".join(steps)
