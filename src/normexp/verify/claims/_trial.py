"""A claim, what is tried on it, and the verdict that comes out of the numbers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from flint import arb
from numpy.typing import ArrayLike, NDArray

from normexp.verify import oracle
from normexp.verify.contract import BOUNDS
from normexp.verify.measure import max_ulp
from normexp.verify.peers import Array, Implementation
from normexp.verify.words import number, numbers

MISSING: Final = "missing"


class Verdict(enum.StrEnum):
    """What became of a claim."""

    HOLDS = "holds"
    WITHIN = "holds within"
    REFINED = "refined"
    UNCHECKED = "not checked"
    FAILS = "FAILS"


@dataclass(frozen=True)
class Evidence:
    """One thing computed three ways, in words."""

    what: str
    normexp: str
    torch: str
    exact: str


@dataclass(frozen=True)
class Three:
    """One row computed three ways."""

    normexp: Array
    torch: Array | None
    exact: list[arb]


@dataclass
class Trial:
    """What is tried on one claim: evidence is gathered, counterexamples are confirmed, requirements are checked.

    Parameters
    ----------
    ours, torch : Implementation
        Whom to ask. PyTorch may be missing.
    """

    ours: Implementation
    torch: Implementation | None
    evidence: list[Evidence] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counterexamples: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    bound: str = ""
    unchecked: str = ""
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2024))

    @property
    def verdict(self) -> Verdict:
        """The verdict; it follows from what was found, in this order."""
        if self.failures:
            return Verdict.FAILS
        if self.unchecked:
            return Verdict.UNCHECKED
        if self.counterexamples:
            return Verdict.REFINED
        return Verdict.WITHIN if self.bound else Verdict.HOLDS

    def three(self, function: str, row: ArrayLike, what: str = "") -> Three:
        """Compute a row three ways, show it, and hold normexp's result against the exact one."""
        x = np.asarray(row)
        got = np.atleast_1d(self.ours(function, x))
        theirs = np.atleast_1d(self.torch(function, x)) if self.torch else None
        exact = getattr(oracle, function)(x)
        exact = exact if isinstance(exact, list) else [exact]
        what = what or f"{function}({numbers(x)}), {x.dtype}"
        self.show(what, numbers(got), None if theirs is None else numbers(theirs), numbers(exact))
        self.require_accurate(got, exact, what)
        return Three(got, theirs, exact)

    def show(self, what: str, ours: str, torch: str | None, exact: str) -> None:
        """Add evidence."""
        self.evidence.append(Evidence(what, ours, MISSING if torch is None else torch, exact))

    def require(self, condition: bool, what: str) -> None:
        """Check a part of the exact statement; if it is false, the claim fails."""
        if not condition:
            self.failures.append(what)

    def require_accurate(self, got: Array, exact: Sequence[arb], what: str) -> None:
        """Check that normexp's result keeps the accuracy contract."""
        error = max_ulp(got, exact)
        self.require(
            error <= BOUNDS[got.dtype.name],
            f"{what}: normexp is {number(error)} ULP off, where {BOUNDS[got.dtype.name]} is allowed",
        )

    def figures(self, given: Sequence[float], exact: Sequence[arb], decimals: int) -> None:
        """Check figures printed in the article: each must be the exact value, rounded to that many decimals."""
        half = arb(10) ** -decimals / 2
        for figure, value in zip(given, exact, strict=True):
            self.refute(
                f"the article prints {figure}, the exact value is {value.str(decimals + 2, radius=False)}",
                not abs(value - arb(f"{figure:.{decimals}f}")) <= half,
            )
        self.notes.append(f"the article's {numbers(given)}: checked")

    def refute(self, counterexample: str, confirmed: bool) -> None:
        """Add a counterexample to the claim's wording, if it is one."""
        if confirmed:
            self.counterexamples.append(counterexample)

    def rows(self, count: int, spread: float = 3.0, longest: int = 30) -> list[NDArray[np.float64]]:
        """Draw rows of two or more float64 logits."""
        return [self.rng.normal(size=self.rng.integers(2, longest)) * spread for _ in range(count)]


@dataclass(frozen=True)
class Result:
    """A claim with all that was found about it."""

    id: str
    claim: str
    verdict: Verdict
    bound: str
    statement: str
    evidence: list[Evidence]
    notes: list[str]
    counterexamples: list[str]
    failures: list[str]

    def document(self) -> dict[str, Any]:
        """Return this claim for the JSON file."""
        return {
            "id": self.id,
            "claim": self.claim,
            "verdict": self.verdict.value,
            "bound": self.bound,
            "statement": self.statement,
            "evidence": [vars(one) for one in self.evidence],
            "notes": self.notes,
            "counterexamples": self.counterexamples,
            "failures": self.failures,
        }


@dataclass(frozen=True)
class Claim:
    """A sentence of the article and the trial of it, which returns the exact statement."""

    id: str
    claim: str
    trial: Callable[[Trial], str]

    def judge(self, ours: Implementation, torch: Implementation | None) -> Result:
        """Try the claim."""
        t = Trial(ours, torch)
        statement = ""
        try:
            statement = self.trial(t)
        except Exception as error:  # whatever a broken implementation leads to, the other claims are still tried
            t.failures.append(f"the trial broke off: {error!r}")
        if t.unchecked:
            t.notes.append(f"not checked: {t.unchecked}")
        return Result(
            self.id,
            self.claim,
            t.verdict,
            t.bound if t.verdict is Verdict.WITHIN else "",
            statement,
            t.evidence,
            t.notes,
            t.counterexamples,
            t.failures,
        )


def threshold(crossed: Callable[[Any], bool], low: float, high: float, dtype: type[np.floating[Any]]) -> float:
    """Find the smallest number of a format, between two positive ones, for which a monotone condition is true."""
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    # Positive floating-point numbers are in the order of their bit patterns.
    below, above = (int(np.array(end, dtype=dtype).view(bits)) for end in (low, high))
    while above - below > 1:
        middle = (below + above) // 2
        if crossed(np.array(middle, dtype=bits).view(dtype)[()]):
            above = middle
        else:
            below = middle
    return float(np.array(above, dtype=bits).view(dtype))
