"""What a value was computed from, as a term: enough to see that ``exp(x) / sum(exp(x))`` has the same x twice.

Two terms are equal if the same operations were applied to the same unknowns. An unknown is equal to itself only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# A softmax written by hand, log and mask included, is some six operations deep; beyond twice that nobody asks.
DEEPEST: Final = 12


class Term:
    """An operation and what it was applied to: terms and plain constants."""

    __slots__ = ("_hash", "depth", "operands", "operation")

    def __init__(self, operation: str, operands: tuple[object, ...]) -> None:
        self.operation = operation
        self.operands = operands
        depth = 0
        for part in operands:
            if isinstance(part, Term) and part.depth > depth:
                depth = part.depth
        self.depth: int = depth + 1
        self._hash = hash((operation, operands)) if operands else id(self)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Term)
            and bool(self.operands)
            and self._hash == other._hash
            and self.operation == other.operation
            and self.operands == other.operands
        )

    def __repr__(self) -> str:
        return f"{self.operation}({', '.join(map(repr, self.operands))})"

    def part(self, index: int) -> Term | None:
        """Give the operand at an index, if it is a term."""
        found = self.operands[index] if index < len(self.operands) else None
        return found if isinstance(found, Term) else None

    def parts(self) -> Iterator[Term]:
        """Yield the term and all terms in it."""
        yield self
        for operand in self.operands:
            if isinstance(operand, Term):
                yield from operand.parts()


def unknown() -> Term:
    """Make a term that equals no other."""
    return Term("unknown", ())


def term(operation: str, *operands: object) -> Term:
    """Make the term of an operation; an unknown where it would be too deep to be of use."""
    made = Term(operation, operands)
    return made if made.depth <= DEEPEST and operands else unknown()
