"""What is said of a problem on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from normexp.bench import load, words
from normexp.bench.linear.report import LinearReport


def problem(to: Console, report: LinearReport) -> None:
    """Print one problem."""
    to.print()
    to.print(_table(report))
    for line in _captions(report):
        to.print(Text(line, style="dim"))
    for name, reason in report.missing.items():
        to.print(Text(f"{name}: {reason}"))
    if report.promises is None:
        to.print(Text("interrupted: neither memory nor errors were looked at", style="yellow"))
    else:
        to.print(Text(report.promises.line, style="bold red" if report.promises.broken else "green"))


def _table(report: LinearReport) -> Table:
    grid = Table(title=report.title, title_justify="left")
    grid.add_column("")
    headings = "ms/\ncall", "+-", "GFLOP/\ns", "x\nnormexp", "peak\nMiB", "less\ngradients"
    for heading in (*headings, "error:\nloss", "by\nhidden", "by\nweight"):
        grid.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for row in report.rows:
        grid.add_row(
            row.name,
            words.duration(row.us_per_call / 1e3),
            words.spread(*row.us_quartiles, median=row.us_per_call),
            f"{row.gflop_per_s:.1f}",
            words.ratio(row.to_normexp),
            words.mib(row.peak_bytes),
            words.mib(row.extra_bytes),
            *words.errors(None if row.errors is None else asdict(row.errors)),
            style="bold" if row.name == "normexp" else None,
        )
    return grid


def _captions(report: LinearReport) -> Iterator[str]:
    """Say what the figures rest on."""
    yield (
        f"forward and backward; {report.rounds} rounds; +-: half of the rounds are as near; ratios are medians of"
        " per-round ratios of times: above 1 is slower; GFLOP/s: of the three products"
    )
    if any(row.peak_bytes is not None for row in report.rows):
        yield (
            f"peak: resident memory beside the arguments, each in a process of its own; all logits are"
            f" {words.mib(report.logits_bytes)} MiB; a peak before the gradients ({words.mib(report.gradients_bytes)}"
            " MiB) exist counts by what it exceeds them"
        )
    if report.measured:
        rows, classes = report.measured
        yield (
            f"errors: relative to float64, of the loss over all rows, of the gradients over {rows:,} of"
            f" {report.shape[0]:,} rows and {classes:,} of {report.shape[2]:,} classes"
        )
    if busy := load.said(report.other_cores):
        yield busy
    if report.unsteady:
        yield words.unsteady(report.unsteady, len(report.rows))
