"""What the timed cells come to: the records that the terminal, the JSON file and the page are made of."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import normexp
from normexp.bench.cell import Limit, Output
from normexp.bench.linear.report import LinearReport
from normexp.bench.plan import Plan
from normexp.bench.promises import Promises
from normexp.bench.scaling import Scaling
from normexp.bench.timing import Ratio

PACKAGES: Final = ("numpy", "torch", "jax", "onnxruntime", "scipy")


@dataclass(frozen=True)
class Row:
    """One contender's figures."""

    name: str
    output: Output
    us_per_call: float
    ns_per_element: float
    ns_quartiles: tuple[float, float]
    """What half of the rounds lie between, for an element."""
    gb_per_s: float
    rounds: int
    to_normexp: Ratio
    """Time over normexp's with the same kind of output."""
    to_limit: Ratio
    """Time over the limit's."""
    to_float32: Ratio | None
    """Of normexp in another format: time over that of the same logits in float32."""
    max_ulp: float | None
    note: str

    @property
    def is_limit(self) -> bool:
        """Whether this is what memory allows."""
        return self.name.startswith("a ")


@dataclass(frozen=True)
class CellReport:
    """All figures of one cell, and what they rest on."""

    op: str
    shape: tuple[int, ...]
    dtype: str
    title: str
    limit: Limit
    is_small: bool
    rounds: int
    rows: list[Row]
    missing: dict[str, str]
    """Peers that took no part, and why."""
    measured_rows: int
    """How many rows of the array the errors were taken from."""
    other_cores: float | None
    """How many cores other programs kept busy meanwhile; None where it is not known."""
    promises: Promises | None
    """None where there was no time to look: the run was interrupted."""

    @property
    def unsteady(self) -> int:
        """How many ratios to normexp are not known well enough."""
        return sum(not row.to_normexp.steady for row in self.rows)

    @property
    def steady(self) -> bool:
        """Whether each ratio to normexp is known well enough."""
        return not self.unsteady

    def document(self) -> dict[str, Any]:
        """Return this cell for the JSON file."""
        promises = None if self.promises is None else {**asdict(self.promises), "line": self.promises.line}
        return {**asdict(self), "steady": self.steady, "promises": promises}


@dataclass(frozen=True)
class StepReport:
    """A training step of a small network, with normexp behind PyTorch's operators and without."""

    batch: int
    rounds: int
    pytorch_us: float
    enabled_us: float
    pytorch_to_enabled: Ratio
    """PyTorch's time over that with `normexp.torch.enable`."""


@dataclass(frozen=True)
class Mean:
    """How a peer does over all cells of a function in a format that it took part in."""

    op: str
    dtype: str
    name: str
    cells: int
    to_normexp: float
    """The geometric mean of its ratios to normexp, fresh with fresh."""


def means(cells: Iterable[CellReport | LinearReport]) -> list[Mean]:
    """Average over the cells of each function and format, where there are several.

    Of ratios only the geometric mean is the same whichever of the two is called 1.
    """
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for cell in cells:
        for row in cell.rows:
            if row.output == "fresh" and row.name != "normexp":
                ratios.setdefault((cell.op, cell.dtype, row.name), []).append(row.to_normexp.median)
    return [
        Mean(op, dtype, name, len(found), statistics.geometric_mean(found))
        for (op, dtype, name), found in ratios.items()
        if len(found) > 1
    ]


def broken(cells: Iterable[CellReport | LinearReport]) -> list[str]:
    """Return the promises that normexp did not keep, in words."""
    return [f"{cell.title}: {one}" for cell in cells if cell.promises for one in cell.promises.broken]


def kept(cells: Iterable[CellReport | LinearReport]) -> str:
    """Say in how many cells normexp keeps its promises, and in how many of these something could not be checked."""
    found = [cell.promises for cell in cells if cell.promises and not cell.promises.broken]
    partly = sum(bool(one.unchecked) for one in found)
    return f"promises kept in {len(found)}" + (f" ({partly} checked in part)" if partly else "")


def document(
    cells: Sequence[CellReport],
    linear: Sequence[LinearReport],
    steps: Sequence[StepReport],
    scalings: Sequence[Scaling],
    empty_call: float,
    plan: Plan,
) -> dict[str, Any]:
    """Gather everything a reader of the JSON file needs to judge the figures."""
    tables: list[CellReport | LinearReport] = [*cells, *linear]
    return {
        "normexp": normexp.__version__,
        "config": dict(normexp.show_config()),
        "processor": processor(),
        "front": plan.front,
        "threads": plan.threads,
        "packages": packages(),
        "empty_call_us": empty_call * 1e6,
        "cells": [cell.document() for cell in cells],
        "linear": [problem.document() for problem in linear],
        "geometric_means": [asdict(mean) for mean in means(tables)],
        "training_steps": [asdict(step) for step in steps],
        "scaling": [asdict(scaling) for scaling in scalings],
        "cliffs": [cliff for scaling in scalings for cliff in scaling.cliffs],
        "ratios": sum(len(table.rows) for table in tables),
        "unsteady_ratios": sum(table.unsteady for table in tables),
        "broken_promises": broken(tables),
        "kept_promises": kept(tables),
    }


def packages() -> dict[str, str]:
    """Return the versions of the packages timed, of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Name the processor as its maker does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
