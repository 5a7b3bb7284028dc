"""What the peers have in common: an optional package, and the two kinds of output."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from normexp.bench.cell import Array, Cell, Contender, MissingError


def imported(name: str) -> Any:  # noqa: ANN401 - peers are optional, their types with them
    """Import a module, or raise `MissingError`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(f"not installed ({error})") from None


def fresh(cell: Cell, name: str, call: Callable[[], Any], to_array: Callable[[Any], Array] = np.asarray) -> Contender:
    """Return the contender whose result is new at each call."""
    return Contender(name, "fresh", {"": call}, cell.moved, lambda: to_array(call()))


def into(cell: Cell, name: str, call: Callable[[], object], way: str = "") -> Contender:
    """Return the contender that writes to the cell's buffer."""

    def result() -> Array:
        call()
        return cell.out

    return Contender(name, "out=", {way: call}, cell.moved, result)
