"""Which file of the project an import names. Nothing is read here, and nothing imported."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from normexp.check.source import Source

# Known by their tables; a file of the project is never taken for one of them.
LIBRARIES: Final = frozenset(
    {"torch", "numpy", "scipy", "jax", "optax", "flax", "tensorflow", "keras", "math", "lightning"}
)


class Project:
    """The files that are checked together, by where they lie."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {_stem(source.path): source for source in sources}
        self._tops = {part for stem in self._sources for part in stem.split("/")}

    def find(self, importer: Source, name: str, level: int) -> Source | None:
        """Find the file of a module.

        Parameters
        ----------
        importer : Source
            The file with the import.
        name : str
            The dotted name; it may be empty in ``from . import x``.
        level : int
            The number of leading dots.

        Returns
        -------
        Source or None
            None if the project has no such file.
        """
        parts = name.split(".") if name else []
        directory = os.path.dirname(_normal(importer.path))
        if level:
            for _ in range(level - 1):
                directory = os.path.dirname(directory)
            return self._at(directory, parts)
        if not parts or parts[0] in LIBRARIES or parts[0] not in self._tops:
            return None
        # The directory of the script is on Python's path, and so, mostly, is one of those above it.
        while True:
            found = self._at(directory, parts)
            if found is not None:
                return found
            above = os.path.dirname(directory)
            if above == directory:
                return None
            directory = above

    def _at(self, directory: str, parts: list[str]) -> Source | None:
        stem = "/".join(([directory] if directory else []) + parts)
        return self._sources.get(stem.replace("//", "/"))


def _normal(path: str) -> str:
    return os.path.normpath(path).replace(os.sep, "/")


def _stem(path: str) -> str:
    stem = os.path.splitext(_normal(path))[0]
    return stem[: -len("/__init__")] if stem.endswith("/__init__") else stem
