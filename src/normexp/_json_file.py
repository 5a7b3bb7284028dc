"""A JSON file that is written wholly or not at all, and known to be writable before the long work begins."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class JsonFile:
    """A file to be, as a context manager.

    Entering it makes a temporary file beside the target, so that a path that cannot be written is found at once.
    `write` puts that file in the target's place in one step; if it is never called, the target stays as it was.

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
        self._target = Path(os.path.realpath(path))
        self._direct = self._target.exists() and not self._target.is_file() and not self._target.is_dir()
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

    def write(self, document: dict[str, Any]) -> None:
        """Write the document; numbers that JSON does not know become the strings "nan", "inf" and "-inf"."""
        text = json.dumps(_portable(document), indent=2, allow_nan=False) + "\n"
        if self._temporary is None:
            self._target.write_text(text, encoding="utf-8")
            return
        self._temporary.write_text(text, encoding="utf-8")
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


def _portable(value: Any) -> Any:  # noqa: ANN401 - whatever a document holds
    if isinstance(value, dict):
        return {str(key): _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
