"""Errors against row length as an SVG: log-log, a line for each implementation with its name at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from normexp.verify import words
from normexp.verify.heat import error
from normexp.verify.markup import Markup, element

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
_LENGTHS: Final = 4
"""How many of them an axis names at most."""

_Point: TypeAlias = tuple[float, float]


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
    """Where a length and an error are; y grows downwards."""

    lengths: Sequence[int]
    low: int
    """The decade at the bottom; smaller errors are drawn there."""
    high: int
    right: float
    top: float
    bottom: float

    def x(self, length: float) -> float:
        first, last = math.log(min(self.lengths)), math.log(max(self.lengths))
        share = (math.log(length) - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (self.right - _LEFT)

    def y(self, ulp: float) -> float:
        if math.isinf(ulp):
            return _TOP
        decade = max(math.log10(ulp), self.low) if ulp > 0 else self.low
        return self.bottom - (decade - self.low) / (self.high - self.low) * (self.bottom - self.top)


def chart(curve: Mapping[str, Any], bound: float, colors: Mapping[str, int]) -> Markup:
    """Draw the curves of one function in one format.

    Parameters
    ----------
    curve : mapping
        An item of the document's "curves".
    bound : float
        What normexp promises; a dashed line.
    colors : mapping
        The number of each implementation's color.
    """
    series = {name: [error(value) for value in values] for name, values in curve["max_ulp"].items()}
    # Of an implementation that offers nothing there is nothing to name.
    series = {name: values for name, values in series.items() if any(value is not None for value in values)}
    bound_label = f"bound {bound:g}"
    plane = _plane(curve["lengths"], series, bound, max(len(name) for name in [*series, bound_label]))
    ends = {name: _end(plane, values) for name, values in series.items()}
    ends[bound_label] = plane.right, plane.y(bound)
    heights = place([y for _, y in ends.values()], _LINE, _TOP, plane.bottom)
    names = [
        _label(plane, name, end, height, f"line{colors[name]}" if name in series else "bound")
        for (name, end), height in zip(ends.items(), heights, strict=True)
    ]
    limit = element("path", class_="bound", d=_path([(_LEFT, plane.y(bound)), (plane.right, plane.y(bound))]))
    # normexp is the first of the document, and drawn last: on top.
    lines = [_series(plane, name, values, f"line{colors[name]}") for name, values in reversed(series.items())]
    return element(
        "svg",
        *_axes(plane, any(math.inf in values for values in series.values())),
        limit,
        *names,
        *lines,
        viewBox=f"0 0 {_WIDTH} {plane.bottom + _BELOW:g}",
        role="img",
        aria_label=f"Largest error against row length, {curve['function']}, {curve['dtype']}",
    )


def _plane(lengths: Sequence[int], series: Mapping[str, Sequence[float | None]], bound: float, longest: int) -> _Plane:
    drawn = [ulp for values in series.values() for ulp in values if ulp is not None and 0 < ulp < math.inf]
    # A hundredth of a unit is as good as none.
    low = math.floor(math.log10(max(min([*drawn, bound]), 0.01)))
    high = max(math.ceil(math.log10(max([*drawn, bound]))), low + 1)
    # What is wrong has a line of its own, over the numbers.
    top = _TOP + (_LINE + 6 if any(math.inf in values for values in series.values()) else 0)
    # Many names need more height than the curves do.
    bottom = max(_TOP + _HEIGHT, _TOP + _LINE * len(series))
    return _Plane(lengths, low, high, _WIDTH - _LEADER - 10 - _CHARACTER * longest, top, bottom)


def _axes(plane: _Plane, wrong: bool) -> Iterable[Markup]:
    yield element("text", "max ULP", x=4, y=14, class_="axis")
    yield element("text", "row length", x=plane.right, y=plane.bottom + 31, text_anchor="end", class_="axis")
    decades = range(plane.low, plane.high + 1)
    for decade in decades[:: math.ceil(len(decades) / _DECADES)]:
        yield from _level(plane, f"{10.0**decade:,.10g}" if decade < 6 else f"1e{decade}", plane.y(10.0**decade))
    if wrong:
        yield from _level(plane, "wrong", plane.y(math.inf))
    # Counted from the longest, which is always named.
    for length in plane.lengths[::-1][:: math.ceil(len(plane.lengths) / _LENGTHS)]:
        yield element("text", f"{length:,}", x=plane.x(length), y=plane.bottom + 16, text_anchor="middle")


def _level(plane: _Plane, name: str, y: float) -> Iterable[Markup]:
    yield element("path", class_="grid", d=_path([(_LEFT, y), (plane.right, y)]))
    yield element("text", name, x=_LEFT - 6, y=y + 4, text_anchor="end")


def _series(plane: _Plane, name: str, values: Sequence[float | None], class_: str) -> Markup:
    known = [(length, ulp) for length, ulp in zip(plane.lengths, values, strict=True) if ulp is not None]
    points = [
        None if ulp is None or math.isinf(ulp) else (plane.x(length), plane.y(ulp))
        for length, ulp in zip(plane.lengths, values, strict=True)
    ]
    crosses = [(plane.x(length), plane.y(ulp)) for length, ulp in known if math.isinf(ulp)]
    dots = [element("circle", cx=point[0], cy=point[1], r=2.2) for point in points if point]
    marks = [element("path", d=f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6") for x, y in crosses]
    said = f"{name}: " + ", ".join(f"{words.ulp(ulp)} at {length:,}" for length, ulp in known)
    return element("g", element("title", said), element("path", d=_path(points)), *dots, *marks, class_=class_)


def _label(plane: _Plane, name: str, end: _Point, height: float, class_: str) -> Markup:
    x = plane.right + _LEADER
    leader = element("path", d=_path([end, (x, height)]), class_="leader")
    return element("g", leader, element("text", name, x=x + 3, y=height + 4), class_=class_)


def _end(plane: _Plane, values: Sequence[float | None]) -> _Point:
    """Return the last point there is of a line."""
    pairs = zip(plane.lengths, values, strict=True)
    return [(plane.x(length), plane.y(ulp)) for length, ulp in pairs if ulp is not None][-1]


def _path(points: Iterable[_Point | None]) -> str:
    """Return a path's data; None breaks the line."""
    steps: list[str] = []
    pen = "M"
    for point in points:
        if point is not None:
            steps.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "M" if point is None else "L"
    return "".join(steps)
