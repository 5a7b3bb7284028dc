"""A file that is written wholly or not at all, and known to be writable before the long work begins."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self


def check_apart(outputs: Iterable[tuple[str, str | None]], inputs: Iterable[str | None] = ()) -> None:
    """Refuse to write over what is read, or over what another option writes.

    Parameters
    ----------
    outputs : iterable of (str, str or None)
        Options and the paths they were given, if any; a device or a pipe may be written to by several.
    inputs : iterable of str or None
        The paths that are read.

    Raises
    ------
    ValueError
        Naming both.
    """
    taken = {os.path.realpath(path): repr(path) for path in inputs if path is not None}
    for option, path in outputs:
        if path is None or (os.path.exists(path) and not os.path.isfile(path)):
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise ValueError(f"{option} {path!r} would overwrite {taken[place]}")
        taken[place] = f"{option} {path!r}"


class WholeFile:
    """A file to be, as a context manager.

    Entering it makes a temporary file beside the target, so that a path that cannot be written is found at once.
    `write_bytes` puts that file in the target's place in one step; if it is never called, the target stays as it was.

    Parameters
    ----------
    path : str or Path
        Where the file shall lie. A symbolic link is followed; a device or a pipe is written to directly.

    Raises
    ------
    OSError
        On entering: the path cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        # Renaming onto a link or a device would replace it.
        given = Path(path)
        self._direct = given.exists() and not given.is_file() and not given.is_dir()
        # What stands for an open pipe (/dev/stdout) has no path of its own.
        self._target = given if self._direct else Path(os.path.realpath(path))
        self._temporary: Path | None = None

    def __enter__(self) -> Self:
        if self._target.is_dir():
            raise self._error(errno.EISDIR)
        if self._target.exists() and not os.access(self._target, os.W_OK):
            raise self._error(errno.EACCES)
        if not self._direct:
            try:
                handle, name = tempfile.mkstemp(dir=self._target.parent, prefix=f".{self._target.name}.", suffix=".tmp")
            except OSError as error:
                # It names the temporary file, which nobody asked for.
                raise self._error(error.errno or errno.EIO) from None
            os.close(handle)
            self._temporary = Path(name)
        return self

    def _error(self, number: int) -> OSError:
        return OSError(number, os.strerror(number), str(self._target))

    def write_bytes(self, content: bytes) -> None:
        """Make this the content of the file."""
        if self._temporary is None:
            self._target.write_bytes(content)
            return
        self._temporary.write_bytes(content)
        # A temporary file is its owner's alone; the target has the rights it had, or those of any new file.
        self._temporary.chmod(self._target.stat().st_mode & 0o777 if self._target.exists() else 0o666 & ~_umask())
        self._temporary.replace(self._target)
        self._temporary = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


def _umask() -> int:
    # The only way to read it is to set it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
