"""What a timed problem comes to: the records that the terminal, the JSON file and the page are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from normexp.bench.cell import Output
from normexp.bench.linear.exact import Errors
from normexp.bench.linear.promises import LinearPromises
from normexp.bench.timing import Ratio


@dataclass(frozen=True)
class LinearRow:
    """One contender's figures."""

    name: str
    output: Output
    """All results are fresh."""
    us_per_call: float
    us_quartiles: tuple[float, float]
    """What half of the rounds lie between."""
    gflop_per_s: float
    """Of the three products that every way has to make."""
    rounds: int
    to_normexp: Ratio
    """Time over normexp's."""
    peak_bytes: int | None
    """Memory beside the arguments at its peak; None where it was not measured."""
    extra_bytes: int | None
    """That less the gradients, which every way has to make."""
    errors: Errors | None
    """Relative to the exact arrays."""


@dataclass(frozen=True)
class LinearReport:
    """All figures of one problem, and what they rest on."""

    op: str
    shape: tuple[int, int, int]
    """N, H, V."""
    dtype: str
    title: str
    rounds: int
    rows: list[LinearRow]
    missing: dict[str, str]
    """Who took no part, and what was not measured, and why."""
    logits_bytes: int
    gradients_bytes: int
    memory_bound_bytes: int
    """What normexp may take beside arguments and gradients."""
    measured: tuple[int, int] | None
    """In how many rows, and in how many classes, the gradients were held against exact ones."""
    other_cores: float | None
    """How many cores other programs kept busy meanwhile; None where it is not known."""
    promises: LinearPromises | None
    """None where there was no time to look: the run was interrupted."""

    @property
    def unsteady(self) -> int:
        """How many ratios to normexp are not known well enough."""
        return sum(not row.to_normexp.steady for row in self.rows)

    def document(self) -> dict[str, Any]:
        """Return this problem for the JSON file."""
        promises = None if self.promises is None else {**asdict(self.promises), "line": self.promises.line}
        return {**asdict(self), "steady": not self.unsteady, "promises": promises}
