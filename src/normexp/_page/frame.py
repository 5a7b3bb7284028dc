"""What all pages have: the document around it, the style sheet, verdicts, facts, sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

from normexp._page.markup import Markup, element


def sheet(package: str, name: str) -> Markup:
    """Read a style sheet of ours, which has nothing in it to escape."""
    return Markup(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def frame(title: str, *parts: str, sheet: Markup) -> str:
    """Write the page.

    Parameters
    ----------
    title : str
        What a browser's tab says.
    *parts : str
        What is in the body.
    sheet : Markup
        What the page adds to the style sheet of all.

    Returns
    -------
    str
        HTML that is well-formed XML as well, with no scripts and nothing to load.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", _COMMON, sheet),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *parts), lang='en')}\n"


def opening(title: str, verdict: str, passed: bool, facts: Mapping[str, str], *parts: str) -> Markup:
    """Write the top of a page: its title with a verdict, and what is known of the run; empty facts are left out."""
    terms = [part for term, fact in facts.items() if fact for part in (element("dt", term), element("dd", fact))]
    heading = element("h1", title, " ", badge(verdict, "good" if passed else "bad"))
    return element("header", heading, element("dl", *terms), *parts)


def badge(text: str, class_: str) -> Markup:
    """Write a word in a frame."""
    return element("span", text, class_=f"badge {class_}")


def items(texts: Sequence[str], class_: str) -> Markup:
    """Write a list, or nothing where there is nothing in it."""
    return element("ul", *(element("li", one) for one in texts), class_=class_) if texts else Markup()


def section(id_: str, title: str, *parts: str) -> Markup:
    """Write a section with its heading."""
    return element("section", element("h2", title), *parts, id=id_)


_COMMON = sheet("normexp._page", "page.css")
