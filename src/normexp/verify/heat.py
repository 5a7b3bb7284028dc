"""The accuracy table as a heat map: an error is calm within the bound, then warmer with each decade."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from normexp._page.markup import Markup, box, element, header_row, row, table
from normexp.verify import words

_DECADES: Final = (1e1, 1e2, 1e3, 1e4, 1e5)
_ABSENT: Final = "none"
_WITHIN: Final = "within"
_WRONG: Final = "wrong"


def error(value: float | str | None) -> float | None:
    """Read an error as the document or its file has it; whatever is no number is as wrong as can be."""
    if value is None:
        return None
    read = float(value)
    return math.inf if math.isnan(read) else read


def shade(ulp: float | None, bound: float) -> str:
    """Return the class of a cell's colour."""
    if ulp is None:
        return _ABSENT
    if ulp <= bound:
        return _WITHIN
    return _WRONG if math.isinf(ulp) else f"over{bisect.bisect_left(_DECADES, ulp)}"


def cell(value: float | str | None, bound: float, title: str = "") -> Markup:
    """Write the cell of an error."""
    ulp = error(value)
    tip = {"title": title} if title else {}
    return element("td", words.ulp(ulp), class_=shade(ulp, bound), **tip)


def legend() -> Markup:
    """Say what the colours mean."""
    steps = [(_WITHIN, "within the bound")]
    steps += [(f"over{step}", f"to {decade:,.0f}") for step, decade in enumerate(_DECADES)]
    steps.append((f"over{len(_DECADES)}", "more"))
    steps += [(_WRONG, "wrong: NaN, overflow, an exception"), (_ABSENT, "- not offered")]
    return element("ul", *(element("li", text, class_=name) for name, text in steps), class_="legend")


def overview(cells: Sequence[Mapping[str, Any]]) -> Markup:
    """Write the largest errors over all cells, and how many cells keep the bound."""
    names = _implementations(cells)
    rows = []
    for dtype, chosen in by(cells, "dtype").items():
        bound = chosen[0]["bound"]
        rows.append(row(f"{dtype} (bound {bound:g})", [_total(chosen, name, bound) for name in names]))
    caption = "Largest error in ULP, and rows within the bound"
    return table(caption, ["format", *names], rows, "numbers")


def _total(cells: Sequence[Mapping[str, Any]], name: str, bound: float) -> Markup:
    errors = [ulp for one in cells if (ulp := error(one["max_ulp"].get(name))) is not None]
    if not errors:
        return cell(None, bound)
    kept = sum(ulp <= bound for ulp in errors)
    worst = max(errors)
    count = element("small", f"{kept} of {len(errors)}")
    return element("td", words.ulp(worst), " ", count, class_=shade(worst, bound))


def heat_map(dtype: str, cells: Sequence[Mapping[str, Any]]) -> Markup:
    """Write the table of one format: a row for each function and family, a column for each implementation."""
    names = _implementations(cells)
    bodies = []
    for function, chosen in by(cells, "function").items():
        rows = [row(one["family"], _errors(one, names)) for one in chosen]
        # The names again over each function: the table is taller than a screen.
        bodies.append(element("tbody", header_row([function, *names], "rowgroup"), *rows))
    return box(f"{dtype}: largest error in ULP (bound: {cells[0]['bound']:g})", *bodies, class_="numbers")


def _errors(one: Mapping[str, Any], names: Sequence[str]) -> Iterable[Markup]:
    errors, bound = one["max_ulp"], one["bound"]
    for index, name in enumerate(names):
        # normexp is the first, and the one whose worst input is kept.
        yield cell(errors.get(name), bound, "" if index else one["worst_of_normexp"])


def _implementations(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for one in cells for name in one["max_ulp"]))


def by(cells: Iterable[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    """Group cells, in the order in which the groups turn up."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in cells:
        groups.setdefault(one[key], []).append(one)
    return groups
