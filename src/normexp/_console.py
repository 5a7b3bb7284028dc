"""The terminal: the one console that every command prints to."""

from __future__ import annotations

import os
from typing import Final

from rich.console import Console

# Where the output is no terminal, rich would fold everything to 80 columns.
_PIPE_WIDTH: Final = 132


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # rich would exit with 1, which means a failure here; the command line knows what to do.
        raise BrokenPipeError


def console() -> Console:
    """Return the console for standard output; colours and width follow NO_COLOR and COLUMNS."""
    found = _Console(highlight=False)
    if found.is_terminal or "COLUMNS" in os.environ:
        return found
    return _Console(highlight=False, width=_PIPE_WIDTH)
