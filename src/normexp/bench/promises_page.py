"""Promises on the page: a word beside the title, and the line that says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normexp._page.frame import badge
from normexp._page.markup import Markup, element


def verdict(promises: Mapping[str, Any] | None) -> list[Markup]:
    """Write the word, or nothing where nothing was looked at."""
    if promises is None:
        return []
    if promises["broken"]:
        return [badge("broken", "bad")]
    return [badge("checked in part", "refined") if promises["unchecked"] else badge("kept", "good")]


def said(promises: Mapping[str, Any] | None) -> Markup:
    """Write the line, or nothing where nothing was looked at."""
    if promises is None:
        return Markup()
    return element("p", promises["line"], class_="failure" if promises["broken"] else "quiet")
