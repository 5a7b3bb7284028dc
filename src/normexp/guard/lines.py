"""Which line of the user's code a call comes from."""

from __future__ import annotations

import os
import sys
import sysconfig
from types import FrameType
from typing import Final, NamedTuple


class Line(NamedTuple):
    """A line of a file."""

    path: str
    number: int


_SKIPPED, _LIBRARY, _USERS = range(3)
_OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_whose: dict[str, int] = {}  # by file name: looking it up is what a call costs


def _owner(path: str) -> int:
    torch = sys.modules.get("torch")
    ours = (_OURS, os.path.dirname(torch.__file__) + os.sep) if torch and torch.__file__ else (_OURS,)
    if path.startswith((*ours, "<frozen", "<eval_with_key")):
        found = _SKIPPED
    else:
        in_packages = f"{os.sep}site-packages{os.sep}" in path or f"{os.sep}dist-packages{os.sep}" in path
        found = _LIBRARY if in_packages or path.startswith(_LIBRARIES) else _USERS
    _whose[path] = found
    return found


def users_line(frame: FrameType | None) -> Line:
    """Return the innermost line outside of PyTorch and normexp: the user's own, or else a library's."""
    library: Line | None = None
    while frame is not None:
        path = frame.f_code.co_filename
        whose = _whose.get(path)
        if whose is None:
            whose = _owner(path)
        if whose == _USERS:
            return Line(path, frame.f_lineno)
        if whose == _LIBRARY and library is None:
            library = Line(path, frame.f_lineno)
        frame = frame.f_back
    return library or Line("<unknown>", 0)
