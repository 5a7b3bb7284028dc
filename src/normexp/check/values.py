"""What the inference knows of a value.

Most values are a `Tensor` of unknown kind: it stands for anything of which nothing is known. What has contents that can
change (a list, an instance) is compared by identity, and its contents are written through `memory`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from normexp.check.finding import Step
from normexp.check.terms import Term, term, unknown

if TYPE_CHECKING:
    from normexp.check.scope import Scope
    from normexp.check.source import Source


class Kind(Enum):
    """The dimension of a value, as in dimensional analysis."""

    UNKNOWN = "unknown"
    LOGITS = "logits"
    """What a layer computes, before anything normalises it."""
    PROBABILITIES = "probabilities"
    LOG_PROBABILITIES = "log-probabilities"
    SIGMOID = "sigmoid probabilities"
    """Probabilities, each for itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a source."""

    source: Source
    node: ast.AST

    @property
    def line(self) -> int:
        """The line it starts on."""
        return int(getattr(self.node, "lineno", 1))

    def step(self, what: str) -> Step:
        """Make the step of a trace that happens here."""
        return Step(what, self.source.path, self.line)


@dataclass(frozen=True, slots=True)
class Fill:
    """A mask that was filled in: with which number, and where."""

    number: float
    place: Place


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array, or anything of which nothing is known."""

    kind: Kind = Kind.UNKNOWN
    axis: int | None = None
    """Along which it is normalised; negative as it was written. None: not known."""
    rank: int | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    """(axis, size) of those axes whose size is known."""
    half: bool = False
    """It is known to be of half precision."""
    term: Term = field(default_factory=unknown)
    fill: Fill | None = field(default=None, compare=False)
    """The mask that was filled in just before."""
    origin: Place | None = field(default=None, compare=False)
    """The call, or the layer, that normalised it; None where something averaged it since.

    Of unknown kind with an origin are single elements of what a softmax made.
    """
    trace: tuple[Step, ...] = field(default=(), compare=False)

    @property
    def known(self) -> bool:
        """Whether its kind is known."""
        return self.kind is not Kind.UNKNOWN

    def size(self, axis: int) -> int | None:
        """Give the size of an axis, if it is known."""
        for other, size in self.sizes:
            if same_axis(axis, other, self.rank):
                return size
        return None

    def but(self, **changes: object) -> Tensor:
        """Make a copy with changes."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def passed(self, operation: str, *more: object) -> Tensor:
        """Make the result of an operation that keeps the kind."""
        return replace(self, term=term(operation, self.term, *more))

    def went(self, step: Step) -> Tensor:
        """Make a copy whose trace has one more step; the middle of a long one is left out."""
        if not self.known or (self.trace and self.trace[-1] == step):
            return self
        trace = (*self.trace, step)
        return replace(self, trace=trace if len(trace) <= LONGEST_TRACE else (trace[0], *trace[-LONGEST_TRACE + 1 :]))


LONGEST_TRACE: Final = 8  # more than a person reads


def same_axis(one: int, other: int, rank: int | None) -> bool:
    """Tell whether two axes are certainly the same."""
    if one == other:
        return True
    return rank is not None and one % rank == other % rank if rank else False


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal of Python: None, a boolean, a number, a string."""

    value: object


@dataclass(frozen=True, slots=True)
class Rest:
    """Any number of items in the middle of a sequence."""

    item: Value


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple."""

    items: tuple[Value | Rest, ...]


@dataclass(eq=False, slots=True)
class List:
    """A list, a set or a ModuleList. Its items are under the key 0."""

    contents: dict[int, tuple[Value | Rest, ...]]

    @property
    def items(self) -> tuple[Value | Rest, ...]:
        """What is in it."""
        return self.contents[0]


@dataclass(eq=False, slots=True)
class Dictionary:
    """A dict: values by constant keys. What is written under an unknown key makes `open` true."""

    contents: dict[object, Value]


OPEN: Final = object()  # the key of a Dictionary under which the join of all values of unknown keys stands


@dataclass(eq=False, slots=True)
class Function:
    """A function of the code under check."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: dict[str, Value]
    owner: Class | None = None
    role: str = ""
    """"property", "staticmethod" or "classmethod"."""

    @property
    def name(self) -> str:
        """Its name."""
        return "lambda" if isinstance(self.node, ast.Lambda) else self.node.name


@dataclass(eq=False, slots=True)
class Class:
    """A class of the code under check."""

    node: ast.ClassDef
    scope: Scope
    bases: tuple[Value, ...]
    attributes: dict[str, Value]
    instances: list[Instance] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Instance:
    """An instance of a class of the code under check."""

    cls: Class
    attributes: dict[str, Value]
    node: ast.AST | None


@dataclass(frozen=True, slots=True)
class Bound:
    """A method and its first argument."""

    function: Function
    receiver: Value


@dataclass(frozen=True, slots=True)
class Method:
    """A method, by its name, of something that is not a class of the code under check."""

    receiver: Value
    name: str


@dataclass(frozen=True, slots=True)
class Super:
    """What ``super()`` gives: look for methods after this class."""

    cls: Class
    receiver: Value


@dataclass(frozen=True, slots=True)
class Library:
    """A module, function or class of a library, by its qualified name."""

    name: str


@dataclass(eq=False, slots=True)
class Made:
    """An object that was made by a class of a library: a layer, a criterion, a container, a wrapper."""

    name: str
    positional: tuple[Value | Rest, ...]
    keywords: dict[str, Value]
    place: Place
    attributes: dict[str, Value] = field(default_factory=dict)
    open: bool = False
    """There may be more by keyword: a dict of unknown keys was spread."""

    def get(self, index: int, *names: str) -> Value | None:
        """Give an argument it was made with, by position or by one of its names."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        if not 0 <= index < len(self.positional):
            return Tensor() if self.open else None
        found = self.positional[index]
        return Tensor() if any(isinstance(item, Rest) for item in self.positional[: index + 1]) else found  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class ModuleValue:
    """A file of the project that was imported."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several values, it is not known which; no two of them alike."""

    options: tuple[Value, ...]


Value: TypeAlias = (
    Tensor
    | Constant
    | Tuple
    | List
    | Dictionary
    | Function
    | Class
    | Instance
    | Bound
    | Method
    | Super
    | Library
    | Made
    | ModuleValue
    | OneOf
)

NONE: Final = Constant(None)
