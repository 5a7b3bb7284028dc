"""What is said on the terminal: a table for each cell, then what they come to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

import normexp
from normexp.bench import load, words
from normexp.bench.cell import AXIS
from normexp.bench.linear.report import LinearReport
from normexp.bench.plan import Plan
from normexp.bench.report import CellReport, Mean, Row, StepReport, broken, kept, means, packages, processor
from normexp.bench.scaling import Line, Scaling

# Two columns of names, six of numbers and the notes need this much; in narrower terminals the notes come below.
_WIDE: Final = 118


def opening(to: Console, plan: Plan) -> None:
    """Say on what it runs, and beside whom."""
    config = normexp.show_config()
    to.print(f"normexp {config['version']}: level {config['level']}, threads {plan.threads}, {processor()}")
    if not plan.sweeps:
        to.print("beside " + ", ".join(f"{name} {version}" for name, version in packages().items()))


def cell(to: Console, report: CellReport, empty_call: float) -> None:
    """Print one cell."""
    narrow = to.width < _WIDE
    to.print()
    to.print(_table(report, narrow))
    for line in _captions(report, empty_call):
        to.print(Text(line, style="dim"))
    for row in report.rows if narrow else ():
        if said := _note(row):
            to.print(Text(f"{row.name}{', ' if row.output else ''}{row.output}: {said}"))
    for name, reason in report.missing.items():
        to.print(Text(f"{name}: {reason}"))
    if report.promises is None:
        to.print(Text("interrupted: neither errors nor promises were looked at", style="yellow"))
    else:
        style = "bold red" if report.promises.broken else "green"
        to.print(Text(report.promises.line, style=style))


def _captions(report: CellReport, empty_call: float) -> Iterator[str]:
    """Say what the figures rest on."""
    yield (
        f"{report.rounds} rounds; +-: half of the rounds are as near; ratios are medians of per-round ratios of times:"
        " above 1 is slower; x normexp: with the same kind of output"
    )
    if any(row.max_ulp is not None for row in report.rows):
        rows = math.prod(report.shape) // report.shape[AXIS]
        yield f"max ULP: largest error in units in the last place, over {report.measured_rows} of the {rows} rows"
    if report.is_small:
        yield f"calling a function that does nothing takes {empty_call * 1e6:.3f} us of each call"
    if busy := load.said(report.other_cores):
        yield busy
    if report.unsteady:
        yield words.unsteady(report.unsteady, len(report.rows))


def _table(report: CellReport, narrow: bool) -> Table:
    grid = Table(title=report.title, title_justify="left")
    if narrow:
        grid.box, grid.padding = None, (0, 1, 0, 0)
    grid.add_column("")
    grid.add_column("output")
    rate = "us/call" if report.is_small else "GB/s"
    for heading in ("ns/element", "+-", rate, "x normexp", f"x {report.limit}", "max ULP"):
        heading = heading.replace("/", "/\n").replace(" ", "\n", 1) if narrow else heading
        grid.add_column(heading, justify="right", no_wrap=True, vertical="bottom" if narrow else "top")
    if not narrow:
        grid.add_column("note")
    for row in report.rows:
        grid.add_row(
            row.name,
            row.output,
            words.duration(row.ns_per_element),
            words.spread(*row.ns_quartiles, median=row.ns_per_element),
            words.duration(row.us_per_call) if report.is_small else f"{row.gb_per_s:.1f}",
            words.ratio(row.to_normexp),
            words.ratio(row.to_limit),
            words.ulp(row.max_ulp),
            *([] if narrow else [_note(row)]),
            style="bold" if row.name == "normexp" else None,
        )
    return grid


def _note(row: Row) -> str:
    return row.note if row.to_float32 is None else f"{words.ratio(row.to_float32)} x float32"


def step(to: Console, report: StepReport) -> None:
    """Print one training step."""
    to.print()
    to.print(
        Text(
            f"training step of the digits, batch of {report.batch}: PyTorch {report.pytorch_us:.1f} us, enabled"
            f" {report.enabled_us:.1f} us; x enabled {words.ratio(report.pytorch_to_enabled)}"
            f" over {report.rounds} rounds"
        )
    )


def scaling(to: Console, report: Scaling) -> None:
    """Print the sweeps of one function: a table each, the numbers of threads side by side."""
    for title in dict.fromkeys(line.sweep for line in report.lines):
        lines = [line for line in report.lines if line.sweep == title]
        output = f", {report.output}" if report.output else ""
        grid = Table(title=f"{report.op} {report.dtype}{output}: {title}", title_justify="left")
        grid.add_column(lines[0].along, justify="right", no_wrap=True)
        for line in lines:
            grid.add_column(f"ns/element, {words.plural(line.threads, 'thread')}", justify="right")
            grid.add_column("+-", justify="right", no_wrap=True)
        grid.add_column("cliffs")
        for index, place in enumerate(lines[0].places):
            cells: list[str | Text] = [f"{place:,}"]
            for line in lines:
                low, high = line.ns_quartiles[index]
                median = line.ns_per_element[index]
                cells += [words.duration(median), words.spread(low, high, median)]
            grid.add_row(*cells, _cliffs(lines, place))
        to.print()
        to.print(grid)
    if busy := load.said(report.other_cores):
        to.print(Text(busy, style="yellow"))


def _cliffs(lines: Sequence[Line], place: int) -> Text:
    """Say which neighbour a size is far slower than, and why."""
    styles = {
        one.words(line.threads): "dim" if one.reason else "bold red"
        for line in lines
        for one in line.cliffs
        if one.slow == place
    }
    return Text("; ").join(Text(words, style) for words, style in styles.items())


def closing(to: Console, cells: Sequence[CellReport | LinearReport], scalings: Sequence[Scaling]) -> None:
    """Print what it comes to, and one line that says whether normexp kept its word."""
    for line in summary(means(cells)):
        to.print(Text(line))
    failures = broken(cells)
    cliffs = [one for report in scalings for one in report.cliffs]
    to.print()
    for failure in failures:
        to.print(Text(f"BROKEN: {failure}", style="bold red"))
    for cliff in cliffs:
        to.print(Text(f"cliff: {cliff}", style="yellow"))
    parts = []
    if cells:
        ratios, unsteady = sum(len(one.rows) for one in cells), sum(one.unsteady for one in cells)
        parts += [words.plural(len(cells), "cell"), f"{unsteady} of {ratios} ratios not steady"]
        parts += [f"{words.plural(len(failures), 'broken promise')}: FAIL" if failures else kept(cells)]
    if scalings:
        parts += [words.plural(len(scalings), "function"), f"{words.plural(len(cliffs), 'cliff')} without a reason"]
    # One line even where it is wider than the terminal: it is what scripts look for.
    said = Text(f"normexp bench: {', '.join(parts) or 'nothing done'}", style="bold red" if failures else "bold")
    to.print(said, soft_wrap=True)


def summary(means: Iterable[Mean]) -> Iterator[str]:
    """Say the means, a peer a line."""
    for (op, dtype), group in groupby(means, lambda mean: (mean.op, mean.dtype)):
        found = list(group)
        width = max(len(mean.name) for mean in found)
        yield f"\n{op} {dtype}, geometric means of x normexp, fresh with fresh"
        for mean in found:
            yield f"  {mean.name:{width}} {mean.to_normexp:8.2f}  over {mean.cells} cells"
