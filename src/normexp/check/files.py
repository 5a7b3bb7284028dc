"""From the paths of the command line to the files that are checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from normexp.check.finding import Note
from normexp.check.names import did_you_mean

STDIN: Final = "-"
_SUFFIXES: Final = (".py", ".pyw", ".ipynb")
# What tools and package managers keep in a folder: copies of the project, or the code of others.
_SKIPPED: Final = frozenset(
    {
        "__pycache__",
        "__pypackages__",
        "_build",
        "build",
        "dist",
        "node_modules",
        "site-packages",
        "venv",
    }
)


def found(paths: Sequence[str], excludes: Callable[[str], bool], notes: list[Note]) -> list[str]:
    """Return the files to check, each once and in order, as findings show them.

    A file that is named is checked whatever its suffix. In folders, those of Python and notebooks are, except in hidden
    folders and in those where tools keep copies or the code of others. Links to folders are not followed.

    Raises
    ------
    ValueError
        A path leads nowhere.
    """
    files: dict[str, None] = {}
    for path in paths:
        if path == STDIN:
            files[STDIN] = None
        elif os.path.isdir(path):
            for file in _walk(path, excludes, notes):
                files[shown(file)] = None
        elif os.path.lexists(path):
            if not excludes(path):
                files[shown(path)] = None
        else:
            raise ValueError(f"no such file or folder: {path!r}{_alike(path)}")
    return list(files)


def _walk(folder: str, excludes: Callable[[str], bool], notes: list[Note]) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        notes.append(Note(shown(os.fspath(error.filename or folder)), None, f"cannot be read: {error.strerror}"))

    for here, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(
            name
            for name in folders
            if not (name.startswith(".") or name in _SKIPPED or name.endswith(".egg-info"))
            and not os.path.isfile(os.path.join(here, name, "pyvenv.cfg"))
            and not excludes(os.path.join(here, name))
        )
        for name in sorted(names):
            path = os.path.join(here, name)
            if name.endswith(_SUFFIXES) and not excludes(path):
                yield path


def shown(path: str) -> str:
    """Return a path as findings show it: from the working directory if it lies there, with slashes."""
    if not os.path.isabs(path):
        return Path(os.path.normpath(path)).as_posix()
    try:
        return Path(path).relative_to(Path.cwd()).as_posix()
    except ValueError:
        return Path(os.path.normpath(path)).as_posix()


def _alike(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        return did_you_mean(path, (os.path.join(folder, one) for one in os.listdir(folder or "."))) if name else ""
    except OSError:
        return ""
