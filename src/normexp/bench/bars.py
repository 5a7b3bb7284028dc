"""The times of a cell as bars, normexp first, with the limit as a line through them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from normexp._page.markup import Markup, element
from normexp.bench import words

# In the units of the view box; on the page they are about a pixel.
_WIDTH: Final = 400
_ROW: Final = 31
_BAR: Final = 9
_TEXT: Final = 12
"""From the top of a row to the foot of its text."""
_TOP: Final = 22

# Where some are thirty times as slow, those that are near each other are what one wants to see: bars that are longer
# than this many of normexp's shortest are cut.
_CUT: Final = 6.0


def bars(cell: Mapping[str, Any]) -> Markup:
    """Draw the times of one cell.

    Parameters
    ----------
    cell : mapping
        An item of the document's "cells".
    """
    # Of a small one it is the call that counts.
    unit, said_unit = (1e-3 * math.prod(cell["shape"]), "us a call") if cell["is_small"] else (1.0, "ns an element")
    rows = [_Bar.of(row, unit) for row in cell["rows"]]
    limit = next(row for row in rows if row.who.startswith(f"a {cell['limit']}"))
    rows = sorted((row for row in rows if not row.who.startswith("a ")), key=lambda row: not row.is_ours)
    cut = _CUT * min(row.value for row in rows if row.is_ours)
    end = max(min(max(row.high for row in rows), cut), 1.05 * limit.value)
    scale = _WIDTH / (1.04 * end)
    bottom = _TOP + _ROW * len(rows)
    at = scale * limit.value
    # The name on the side that has room for it; the line leaves the names of the bars alone.
    side = {"text_anchor": "end", "x": at + 2} if at > _WIDTH / 2 else {"x": max(at - 2, 2)}
    strokes = "".join(f"M{at:.1f} {_TOP + _ROW * index + _TEXT + 1}v{_BAR + 6}" for index in range(len(rows)))
    line = element(
        "g",
        element("path", d=strokes),
        element("text", f"{limit.who.partition(',')[0]}: {words.duration(limit.value)}", y=_TOP - 8, **side),
        class_="limit",
    )
    said = "; ".join(row.said for row in rows)
    return element(
        "svg",
        *(_bar(row, _TOP + _ROW * index, scale, end) for index, row in enumerate(rows)),
        line,
        element("text", said_unit, x=_WIDTH - 2, y=_TOP - 8, text_anchor="end", class_="axis"),
        viewBox=f"0 0 {_WIDTH} {bottom + 4}",
        role="img",
        aria_label=f"{cell['title']}, {said_unit}: {limit.who} {words.duration(limit.value)}; {said}",
        class_="bars",
    )


@dataclass(frozen=True)
class _Bar:
    who: str
    value: float
    low: float
    high: float
    error: str

    @classmethod
    def of(cls, row: Mapping[str, Any], unit: float) -> _Bar:
        low, high = row["ns_quartiles"]
        return cls(words.who(row), unit * row["ns_per_element"], unit * low, unit * high, words.ulp(row["max_ulp"]))

    @property
    def is_ours(self) -> bool:
        return self.who.startswith("normexp")

    @property
    def figures(self) -> str:
        error = {"": "", "wrong": " · wrong"}.get(self.error, f" · {self.error} ULP")
        return words.duration(self.value) + error

    @property
    def said(self) -> str:
        error = f", largest error in ULP: {self.error}" if self.error else ""
        half = f"half of the rounds {words.duration(self.low)} to {words.duration(self.high)}"
        return f"{self.who} {words.duration(self.value)}, {half}{error}"


def _bar(bar: _Bar, y: float, scale: float, end: float) -> Markup:
    top = y + _TEXT + 4
    parts = [
        element("title", bar.said),
        element("text", bar.who, x=2, y=y + _TEXT),
        element("text", bar.figures, x=_WIDTH - 2, y=y + _TEXT, text_anchor="end", class_="figures"),
        element("rect", x=0, y=top, width=max(1.0, scale * min(bar.value, end)), height=_BAR),
    ]
    if bar.value > end:
        # Two strokes through its end: it goes on.
        parts.append(
            element("path", class_="cut", d=f"M{scale * end - 9:.1f} {top + _BAR}l4 -{_BAR}m2 {_BAR}l4 -{_BAR}")
        )
    else:
        low, high = scale * bar.low, scale * min(bar.high, end)
        parts.append(element("path", class_="whisker", d=f"M{low:.1f} {top + _BAR / 2 - 3}v6m0 -3H{high:.1f}m0 -3v6"))
    return element("g", *parts, class_="ours" if bar.is_ours else "peer")
