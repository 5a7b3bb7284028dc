"""Progress: a bar on standard error where that is a terminal, a line a stage where it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

T = TypeVar("T")


def stage(title: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield the items, showing how many of them are done.

    Parameters
    ----------
    title : str
        What is going on.
    items : iterable
        The work: each item is the next piece done, or to do.
    total : int
        How many there are.

    Yields
    ------
    item
        As given.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"normexp verify: {title} ({total})", file=sys.stderr, flush=True)
        yield from items
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=title)
