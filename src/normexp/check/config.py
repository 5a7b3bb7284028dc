"""The table [tool.normexp.check] of the nearest pyproject.toml, and what the command line adds to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from normexp.check.names import did_you_mean, rules_of
from normexp.check.rules import RULES

_FILE: Final = "pyproject.toml"
_KEYS: Final = ("select", "ignore", "exclude", "per-file-ignores")


@dataclass(frozen=True, slots=True)
class Config:
    """Which rules are applied to which files.

    Attributes
    ----------
    selected : frozenset of str
        The codes of the rules that are applied.
    exclude : tuple of str
        Patterns of files and folders that are left out.
    per_file_ignores : mapping of str to frozenset of str
        For each pattern of files, the codes of rules that are not applied there.
    folder : Path
        Where the patterns begin: the folder of pyproject.toml.
    """

    selected: frozenset[str] = frozenset(rule.code for rule in RULES)
    exclude: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, frozenset[str]] = field(default_factory=dict)
    folder: Path = field(default_factory=Path.cwd)

    def excludes(self, path: str) -> bool:
        """Tell whether a file or a folder is left out."""
        return bool(self.exclude) and any(self._matches(path, pattern) for pattern in self.exclude)

    def applies(self, code: str, path: str) -> bool:
        """Tell whether a rule is applied to a file."""
        return code in self.selected and not any(
            code in codes and self._matches(path, pattern) for pattern, codes in self.per_file_ignores.items()
        )

    def _matches(self, path: str, pattern: str) -> bool:
        """Tell whether the path, one of its folders, or (pattern without a slash) one of their names matches."""
        parts = Path(os.path.relpath(path, self.folder)).parts
        pattern = pattern.removeprefix("./").rstrip("/")
        if "/" not in pattern:
            return any(fnmatchcase(part, pattern) for part in parts)
        return any(fnmatchcase("/".join(parts[:count]), pattern) for count in range(1, len(parts) + 1))


def configured(paths: Iterable[str], select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Config:
    """Return what holds for a check of these paths.

    The nearest pyproject.toml with a table [tool.normexp.check] counts, looked for from the folder that the paths have
    in common upwards. `select` takes the place of what it selects; `ignore` adds to what it ignores.

    Raises
    ------
    ValueError
        Naming the word or the file that is wrong.
    """
    chosen, ignored = rules_of(select), rules_of(ignore)
    file, table = _nearest(paths)
    if file is None:
        return Config(selected=(chosen or Config().selected) - ignored)
    try:
        for key in table:
            if key not in _KEYS:
                raise ValueError(f"unknown key {key!r}{did_you_mean(key, _KEYS)}")
        chosen = chosen or rules_of(_words(table, "select")) or Config().selected
        ignored |= rules_of(_words(table, "ignore"))
        by_file = table.get("per-file-ignores", {})
        if not isinstance(by_file, dict):
            raise ValueError("per-file-ignores must be a table of lists of codes")
        return Config(
            selected=chosen - ignored,
            exclude=tuple(_words(table, "exclude")),
            per_file_ignores={pattern: rules_of(_words(by_file, pattern)) for pattern in by_file},
            folder=file.parent,
        )
    except ValueError as error:
        raise ValueError(f"{_shown(file)}: [tool.normexp.check]: {error}") from None


def _words(table: Mapping[str, Any], key: str) -> list[str]:
    words = table.get(key, [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{key} must be a list of strings, not {words!r}")
    return words


def _nearest(paths: Iterable[str]) -> tuple[Path | None, dict[str, Any]]:
    try:
        common = Path(os.path.commonpath([os.path.abspath(path) for path in paths]))
    except ValueError:  # no path, or several drives
        common = Path.cwd()
    for folder in (common, *common.parents):
        file = folder / _FILE
        if not file.is_file():
            continue
        import tomllib  # here, because it takes 10 ms

        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"{_shown(file)} cannot be read: {error.strerror}") from None
        except ValueError as error:  # of the encoding or of TOML
            raise ValueError(f"{_shown(file)} is no TOML: {error}") from None
        tool = document.get("tool")
        table = tool.get("normexp") if isinstance(tool, dict) else None
        found = table.get("check") if isinstance(table, dict) else None
        if isinstance(found, dict):
            return file, found
        if found is not None:
            raise ValueError(f"{_shown(file)}: tool.normexp.check must be a table")
    return None, {}


def _shown(file: Path) -> str:
    return os.path.relpath(file)
