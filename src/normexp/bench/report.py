"""What a timed cell comes to: one record for the table and the JSON file alike."""

from __future__ import annotations

import math
import platform
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from rich.table import Table

import normexp
from normexp.bench import Plan
from normexp.bench.cell import AXIS, Limit, Output
from normexp.bench.timing import STEADY, Ratio

PACKAGES: Final = ("numpy", "torch", "jax", "onnxruntime", "scipy")


@dataclass(frozen=True)
class Row:
    """One contender's figures."""

    name: str
    output: Output
    ns_per_element: float
    gb_per_s: float
    to_normexp: Ratio
    """Time over normexp's with the same kind of output."""
    to_limit: Ratio
    """Time over the limit's."""
    max_ulp: float | None
    note: str


@dataclass(frozen=True)
class CellReport:
    """All figures of one cell, and what they rest on."""

    op: str
    shape: tuple[int, ...]
    dtype: str
    limit: Limit
    rounds: int
    rows: list[Row]
    missing: dict[str, str]
    """Peers that took no part, and why."""
    measured_rows: int
    """How many rows of the array the errors were taken from."""

    @property
    def steady(self) -> bool:
        """Whether each ratio to normexp is known well enough."""
        return all(row.to_normexp.steady for row in self.rows)


@dataclass(frozen=True)
class StepReport:
    """A training step of a small network, with normexp behind PyTorch's operators and without."""

    batch: int
    rounds: int
    pytorch_us: float
    enabled_us: float
    pytorch_to_enabled: Ratio
    """PyTorch's time over that with `normexp.torch.enable`."""


def step_line(step: StepReport) -> str:
    """Say it."""
    return (
        f"training step of the digits, batch of {step.batch}: PyTorch {step.pytorch_us:.1f} us, enabled"
        f" {step.enabled_us:.1f} us; x enabled {_ratio(step.pytorch_to_enabled)} over {step.rounds} rounds"
    )


@dataclass(frozen=True)
class Mean:
    """How a peer does over all cells of a function that it took part in."""

    op: str
    name: str
    cells: int
    to_normexp: float
    """The geometric mean of its ratios to normexp, fresh with fresh."""


def means(cells: Iterable[CellReport]) -> list[Mean]:
    """Average over the cells of each function, where there are several.

    Of ratios only the geometric mean is the same whichever of the two is called 1.
    """
    ratios: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        for row in cell.rows:
            if row.output == "fresh" and row.name != "normexp":
                ratios.setdefault((cell.op, row.name), []).append(row.to_normexp.median)
    return [
        Mean(op, name, len(found), statistics.geometric_mean(found))
        for (op, name), found in ratios.items()
        if len(found) > 1
    ]


def summary(means: Iterable[Mean]) -> Iterator[str]:
    """Say them, a peer a line."""
    for op, group in groupby(means, lambda mean: mean.op):
        found = list(group)
        width = max(len(mean.name) for mean in found)
        yield f"\n{op}, geometric means of x normexp, fresh with fresh"
        for mean in found:
            yield f"  {mean.name:{width}} {mean.to_normexp:8.2f}  over {mean.cells} cells"


def table(title: str, cell: CellReport) -> Table:
    """Lay one cell out for the terminal."""
    caption = [
        f"{cell.rounds} rounds; ratios are medians of per-round ratios of times: above 1 is slower;"
        " x normexp: with the same kind of output"
    ]
    if any(row.max_ulp is not None for row in cell.rows):
        rows = math.prod(cell.shape) // cell.shape[AXIS]
        caption.append(
            f"max ULP: largest error in units in the last place, over {cell.measured_rows} of the {rows} rows"
        )
    if not cell.steady:
        caption.append(
            f"~ not steady: known to no better than {STEADY:.0%}; close other programs, or allow more --seconds"
        )
    grid = Table(title=title, caption="\n".join(caption), title_justify="left", caption_justify="left")
    grid.add_column("")
    grid.add_column("output")
    for heading in ("ns/element", "GB/s", "x normexp", f"x {cell.limit}", "max ULP"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("note")
    for row in cell.rows:
        grid.add_row(
            row.name,
            row.output,
            f"{row.ns_per_element:.3f}",
            f"{row.gb_per_s:.1f}",
            _ratio(row.to_normexp),
            _ratio(row.to_limit),
            "" if row.max_ulp is None else f"{row.max_ulp:.3g}",
            row.note,
            style="bold" if row.name == "normexp" else None,
        )
    return grid


def _ratio(ratio: Ratio) -> str:
    return f"{'' if ratio.steady else '~'}{ratio.median:.2f}"


def document(cells: Sequence[CellReport], steps: Sequence[StepReport], plan: Plan) -> dict[str, Any]:
    """Gather everything a reader of the JSON file needs to judge the figures."""
    return {
        "normexp": normexp.__version__,
        "config": dict(normexp.show_config()),
        "processor": processor(),
        "front": plan.front,
        "threads": plan.threads,
        "packages": packages(),
        "cells": [{**asdict(cell), "steady": cell.steady} for cell in cells],
        "geometric_means": [asdict(mean) for mean in means(cells)],
        "training_steps": [asdict(step) for step in steps],
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
