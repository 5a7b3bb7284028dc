"""Names and what they hold, in a function, a class body or a file; the frame of a call."""

from __future__ import annotations

from dataclasses import dataclass, field

from normexp.check.memory import Changes
from normexp.check.source import Source
from normexp.check.values import Class, Function, Value


@dataclass(eq=False, slots=True)
class Home:
    """The file that a scope belongs to."""

    source: Source
    stars: list[Scope | str] = field(default_factory=list)
    """What ``from ... import *`` took names from: files of the project, and libraries by their names."""
    roots: set[str] = field(default_factory=set)
    """Top-level names of the libraries that are imported anywhere in the file."""


@dataclass(eq=False, slots=True)
class Scope:
    """One level of names."""

    home: Home
    parent: Scope | None = None
    names: dict[str, Value] = field(default_factory=dict)
    of_class: bool = False
    elsewhere: dict[str, Scope] = field(default_factory=dict)
    """Names that ``global`` and ``nonlocal`` say belong to another scope."""

    def module(self) -> Scope:
        """Give the scope of the file."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def owner(self, name: str) -> Scope | None:
        """Find the scope that a name is read from; None if none has it."""
        if name in self.elsewhere:
            return self.elsewhere[name]
        if name in self.names:
            return self
        scope = self.parent
        while scope is not None:
            if not scope.of_class and name in scope.names:
                return scope
            scope = scope.parent
        return None


@dataclass(eq=False, slots=True)
class Frame:
    """A call in progress, or the body of a file."""

    scope: Scope
    function: Function | None = None
    owner: Class | None = None
    receiver: Value | None = None
    returns: list[Value] = field(default_factory=list)
    yields: list[Value] = field(default_factory=list)
    returned: list[Changes] = field(default_factory=list)
    """What branches that returned had written before."""
    left: list[list[Changes]] = field(default_factory=list)
    """For each loop in progress: what branches that left it early had written."""

    @property
    def source(self) -> Source:
        """The file it is in."""
        return self.scope.home.source
