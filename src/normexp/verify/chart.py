"""Errors against row length, a line for each implementation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from normexp._page.lines import Axes, lines
from normexp._page.markup import Markup
from normexp.verify import words
from normexp.verify.heat import error

# A hundredth of a unit is as good as none.
_AXES: Final = Axes("row length", "max ULP", least=0.01, beyond="wrong")


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
    # normexp is the first of the document.
    return lines(
        f"Largest error against row length, {curve['function']}, {curve['dtype']}",
        _AXES,
        curve["lengths"],
        {name: [error(value) for value in values] for name, values in curve["max_ulp"].items()},
        colors,
        words.ulp,
        bound=(f"bound {bound:g}", bound),
    )
