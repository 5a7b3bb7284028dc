"""What the inference tells the rules: an operation, where it stands, and what went in and came out."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from normexp.check.finding import Fix
from normexp.check.known import tensor
from normexp.check.source import Source
from normexp.check.values import Place, Tensor, Value

Operation = Literal[
    # losses, by what they do
    "cross_entropy",  # takes logits
    "cross_entropy_of_probabilities",  # takes probabilities, as Keras does by default
    "nll_loss",
    "kl_div",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    # what normalises
    "softmax",
    "log_softmax",
    "sigmoid",
    # what a softmax is written with by hand
    "exp",
    "log",
    "divide",
    # and the rest
    "argmax",
    "masked_fill",
    "dropped",  # an expression statement: its value is not used
]


@dataclass(frozen=True, slots=True)
class Event:
    """One operation that was met on a path through the code."""

    operation: Operation
    shown: str
    """What the person calls it: CrossEntropyLoss."""
    source: Source
    node: ast.AST
    arguments: Mapping[str, Value]
    result: Tensor
    library: str = ""
    """The library it is of, by its top-level name."""

    def tensor(self, name: str = "input") -> Tensor:
        """Give an argument as a tensor; one of unknown kind if it is not there or something else."""
        return tensor(self.arguments.get(name))

    def value(self, name: str) -> Value | None:
        """Give an argument."""
        return self.arguments.get(name)

    def place(self) -> Place:
        """Give the place it stands at."""
        return Place(self.source, self.node)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule says of an event. The rest of a finding is known without it."""

    message: str
    value: Tensor | None = None
    """Whose path is told."""
    fix: Fix | None = None
    place: Place | None = None
    """Where, if not at the event."""
