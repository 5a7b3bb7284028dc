"""Arrays in NumPy's own files: .npy, and .npz archives, whose members may be compressed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from normexp._arrays import Array
from normexp.eval.stored import BadInputError, Mapped, Stored


def open_npy(path: str) -> Stored:
    """Return the array in a .npy file.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    Stored
        Its array.

    Raises
    ------
    BadInputError, OSError
        If it is no such file, or cannot be read.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadInputError(f"{path} cannot be read as .npy: {error}") from None
    if not isinstance(array, np.memmap):
        raise BadInputError(f"{path} cannot be read as .npy: it is an .npz archive")
    by_column = array.flags.f_contiguous and not array.flags.c_contiguous
    return Mapped(path, path, array.offset, array.shape, array.dtype, by_column=by_column)


def npz_names(path: str) -> list[str]:
    """Return the names of the arrays in an .npz archive."""
    with _archive(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def open_npz(path: str, name: str) -> Stored:
    """Return an array in an .npz archive by its name."""
    return _Zipped(path, name)


class _Zipped(Stored):
    in_any_order = False

    def __init__(self, path: str, member: str) -> None:
        self._path = path
        self._member = f"{member}.npy"
        self.name = f"{path}[{member}]"
        with self._stream() as stream:
            shape, by_column, dtype = _header(stream)
        super().__init__(self.name, shape, dtype)
        if by_column and len(shape) > 1 and min(shape) > 1:
            raise BadInputError(f"{self.name} lies column by column; save numpy.ascontiguousarray of it, or as .npy")
        if dtype.hasobject:
            raise BadInputError(f"{self.name} has dtype object; expected numbers")

    def blocks(self, count: int) -> Iterator[Array]:
        buffer = np.empty((min(count, self.shape[0]), *self.shape[1:]), self.dtype)
        with self._stream() as stream:
            _header(stream)
            for first in range(0, self.shape[0], count):
                block = buffer[: self.shape[0] - first]
                _fill(stream, block, self)
                yield block

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        with _archive(self._path) as archive:
            try:
                with archive.open(self._member) as stream:
                    yield stream
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
                raise BadInputError(f"{self.name} cannot be read: {error}") from None


@contextmanager
def _archive(path: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except zipfile.BadZipFile as error:
        raise BadInputError(f"{path} cannot be read as .npz: {error}") from None


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    return shape, by_column, dtype


def _fill(stream: IO[bytes], block: Array, of: Stored) -> None:
    left = block.reshape(-1).view(np.uint8).data
    while left:
        read = stream.readinto(left)  # type: ignore[attr-defined]
        if not read:
            raise of.cut_off()
        left = left[read:]
