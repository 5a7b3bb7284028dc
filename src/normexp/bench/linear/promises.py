"""What normexp promises of linear_cross_entropy, held against what was measured: memory, and errors beside a peer's."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from normexp.bench.linear.exact import Errors
from normexp.bench.linear.problem import Problem

MIB: Final = 2**20

# Beside arguments and gradients: so much, or this share of all logits if that is more.
_BYTES: Final = 64 * MIB
_SHARE: Final = 16

# Two sums of the same products in another order have errors of the same size, and which is the larger is chance.
_LUCK: Final = 1.02
# The logarithm of the norm of n errors of one kind is known to 1 / sqrt(2 n), that of the ratio of two norms to sqrt(2)
# times that; four times this happens once in 16,000.
_DEVIATIONS: Final = 4.0
_SIGNIFICAND: Final = {"float16": 11, "bfloat16": 8, "float32": 24}
"""Bits: rounding to these formats is an error of at most 2 to the minus so many, relative to an element."""


@dataclass
class LinearPromises:
    """What was tried, and what came of it."""

    kept: list[str] = field(default_factory=list)
    """What held, in words."""
    broken: list[str] = field(default_factory=list)
    """What did not."""
    unchecked: dict[str, str] = field(default_factory=dict)
    """What could not be tried, and why."""

    def hold(self, said: str, holds: bool) -> None:
        """Add a promise and whether it holds."""
        (self.kept if holds else self.broken).append(said)

    @property
    def line(self) -> str:
        """Say it."""
        said = [*self.kept, *(f"{what} not checked: {why}" for what, why in self.unchecked.items())]
        return "; ".join([*said, *(f"BROKEN: {one}" for one in self.broken)])


def memory_bound(problem: Problem) -> int:
    """Return what normexp may take beside arguments and gradients, in bytes."""
    return max(_BYTES, problem.logits_bytes // _SHARE)


def hold_memory(promises: LinearPromises, problem: Problem, extra: int) -> None:
    """Hold normexp's memory beside arguments and gradients against what it may be."""
    bound = memory_bound(problem)
    promises.hold(f"memory {extra / MIB:.0f} MiB of {bound / MIB:.0f} promised", extra <= bound)


def hold_errors(
    promises: LinearPromises, problem: Problem, ours: Errors, theirs: Errors, peer: str, elements: tuple[int, int]
) -> None:
    """Hold normexp's errors against those of the loss of all logits in the same format.

    Parameters
    ----------
    promises : LinearPromises
        What came of it is added there.
    problem : Problem
        What was computed.
    ours, theirs : Errors
        The errors.
    peer : str
        Whose the others are.
    elements : tuple of int
        How many elements of the gradients were looked at.
    """
    allowed = {
        # One number may be right by chance: then an error is allowed that no way can promise to be below.
        "loss": max(_LUCK * theirs.loss, _roundings(problem)),
        "hidden": _allowed(problem, theirs.hidden, elements[0]),
        "weight": _allowed(problem, theirs.weight, elements[1]),
    }
    for what, most in allowed.items():
        error = getattr(ours, what)
        said = what if what == "loss" else f"gradient by {what}"
        promises.hold(f"error of the {said} {error:.2g} ({peer}: {getattr(theirs, what):.2g})", error <= most)


def _allowed(problem: Problem, error: float, elements: int) -> float:
    """Return how large the error of a gradient may be beside that of another way, over so many elements.

    Of a few elements all may have been rounded to the right side by chance; of one of them it is no fault to be rounded
    to the other.
    """
    one = 2.0 ** -_SIGNIFICAND[problem.dtype.name] / math.sqrt(elements)
    return _LUCK * math.exp(_DEVIATIONS / math.sqrt(elements)) * max(error, one)


def _roundings(problem: Problem) -> float:
    """Return the relative error that a mean loss has from rounding alone.

    Half a last place of the float32 that it is, and what the products leave: a logit of size 1 adds up H terms, each
    sum rounded by 2^-24 of at most its size, which comes to sqrt(H) of these as roundings go either way; N of them
    average out to 1 / sqrt(N); for half types a logit is held in two words, to 2^-17 of its size (_linear_products.py).
    The loss is about log V, and more than that where V is small; so what is relative to 1 is generous for many classes.
    """
    rows, features, _ = problem.shape
    held = 2.0**-17 if problem.dtype.itemsize == 2 else 0.0
    return 2.0**-24 + (2.0**-24 * math.sqrt(features) + held) / math.sqrt(rows)
