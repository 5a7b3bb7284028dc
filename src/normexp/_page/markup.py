"""HTML and SVG put together from elements, so that text never becomes markup by accident."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

# The only one used of the elements that have no end.
_VOID: Final = "meta"


class Markup(str):
    """Text that is markup already; any other string is escaped on its way into an element."""

    __slots__ = ()


def join(children: Iterable[str]) -> Markup:
    """Put children one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def element(tag: str, /, *children: str, **attributes: str | float) -> Markup:
    """Write one element.

    Parameters
    ----------
    tag : str
        The name of the element.
    *children : str
        Text, which is escaped, and other elements.
    **attributes : str or float
        ``_`` stands for ``-``, as in ``stroke_width``; at the end it sets a name apart from a keyword: ``class_``.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value if isinstance(value, str) else f"{value:g}")}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{tag}{written}/>" if tag == _VOID else f"<{tag}{written}>{join(children)}</{tag}>")


def box(caption: str, *parts: str, class_: str = "") -> Markup:
    """Write a table in a box of its own, in which it scrolls where it is wider than the page."""
    table = element("table", element("caption", caption), *parts, class_=class_)
    # What scrolls must be within reach of the keyboard, and have a name.
    return element("div", table, class_="box", tabindex="0", role="region", aria_label=caption)


def header_row(head: Sequence[str], scope: str = "col") -> Markup:
    """Write a row of headers over columns; `scope` is that of the first."""
    first, *others = head
    return element("tr", element("th", first, scope=scope), *(element("th", name, scope="col") for name in others))


def row(head: str, cells: Iterable[str]) -> Markup:
    """Write a row; text becomes a cell, markup is one."""
    tds = (cell if isinstance(cell, Markup) else element("td", cell) for cell in cells)
    return element("tr", element("th", head, scope="row"), *tds)


def table(caption: str, head: Sequence[str], rows: Iterable[Markup], class_: str = "") -> Markup:
    """Write a plain table."""
    return box(caption, element("thead", header_row(head)), element("tbody", *rows), class_=class_)
