"""The run: each cell assembled, timed, measured, shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import normexp
from normexp._console import console
from normexp.bench import promises, terminal
from normexp.bench.accuracy import Accuracy
from normexp.bench.cell import Cell, Contender, MissingError, Output
from normexp.bench.limits import limits
from normexp.bench.peers import assemble
from normexp.bench.peers.ours import IN_FLOAT32
from normexp.bench.plan import Plan
from normexp.bench.report import CellReport, Row, StepReport, document
from normexp.bench.scaling import SWEEPS, Scaling, Sweeping
from normexp.bench.timing import MIN_ROUNDS, Ratio, Series, Sum, Times, empty_call, interleave


@dataclass(frozen=True)
class _Entry:
    """A contender, its times, and those of normexp with the same kind of output."""

    contender: Contender
    times: Times
    ours: Times


def run(plan: Plan) -> dict[str, Any]:
    """Do all that a plan says, print a table for each part, and return the document of all figures.

    Raises
    ------
    KeyboardInterrupt
        After what is known by then has been printed.
    """
    to = console()
    terminal.opening(to, plan)
    reports: list[CellReport] = []
    steps: list[StepReport] = []
    scalings: list[Scaling] = []
    before = normexp.get_num_threads()
    normexp.set_num_threads(plan.threads)
    nothing = empty_call()
    try:
        for op, dtype, shape in plan.cells:
            reports.append(_report(Cell.make(op, shape, dtype, plan.threads, plan.front), plan.seconds, to, nothing))
        for batch in plan.batches:
            steps.append(_step(batch, plan, to))
        for op, dtype in plan.sweeps:
            scalings.append(_scaling(op, dtype, plan, to))
    except KeyboardInterrupt:
        terminal.closing(to, reports, scalings)
        raise
    finally:
        normexp.set_num_threads(before)
    terminal.closing(to, reports, scalings)
    return document(reports, steps, scalings, nothing, plan)


def _scaling(op: str, dtype: str, plan: Plan, to: Console) -> Scaling:
    with _progress() as progress:
        task = progress.add_task(f"{op} {dtype}: setting up", total=plan.seconds)
        sweeping = Sweeping(op, dtype, plan.threads, SWEEPS)
        progress.update(task, description=f"{op} {dtype}: all sizes")
        try:
            sweeping.time(plan.seconds, lambda used: progress.update(task, completed=used))
        except KeyboardInterrupt:
            progress.stop()
            if sweeping.rounds >= MIN_ROUNDS:
                terminal.scaling(to, sweeping.result)
            raise
    terminal.scaling(to, sweeping.result)
    return sweeping.result


def _progress() -> Progress:
    """Return a bar on standard error, where that is a terminal."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    screen = Console(stderr=True)
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)


def _report(cell: Cell, seconds: float, to: Console, nothing: float) -> CellReport:
    with _progress() as progress:
        task = progress.add_task(cell.title, total=seconds)

        def say(what: str) -> None:
            progress.update(task, description=f"{cell.title}: {what}")

        contenders, missing = assemble(cell, lambda peer: say(f"setting up {peer}"))
        contenders = [*limits(cell, with_torch="PyTorch" not in missing), *contenders]
        say("timing")
        found = _entered(contenders)
        try:
            _time(found, seconds, lambda used: progress.update(task, completed=used))
        except KeyboardInterrupt:
            progress.stop()
            if all(len(one.times.times) >= MIN_ROUNDS for one in found):
                terminal.cell(to, _assembled(cell, found, missing, [None] * len(found), 0, None), nothing)
            raise
        say("exact values, and the same bits")
        report = _measured(cell, found, missing)
    terminal.cell(to, report, nothing)
    return report


def _step(batch: int, plan: Plan, to: Console) -> StepReport:
    from normexp.bench import training

    report = training.measure(batch, plan.threads, plan.seconds)
    terminal.step(to, report)
    return report


def _entered(contenders: list[Contender]) -> list[_Entry]:
    found: list[tuple[Contender, Times]] = []
    for one in contenders:
        parts = [times for other, times in found if other.name in one.sum_of]
        found.append((one, Sum(parts) if parts else Series(one.ways, one.scope)))
    ours = _by_output(found, "normexp")
    cheapest = ours.get("out=", ours["fresh"])
    return [_Entry(one, times, ours.get(one.output, cheapest)) for one, times in found]


def _by_output(found: list[tuple[Contender, Times]], name: str) -> dict[Output, Times]:
    return {one.output: times for one, times in found if one.name == name}


def _time(entries: list[_Entry], seconds: float, progress: Callable[[float], None]) -> None:
    series = [one.times for one in entries if isinstance(one.times, Series)]
    interleave(series, [(one.times, one.ours) for one in entries], seconds, progress)


def _measured(cell: Cell, entries: list[_Entry], missing: dict[str, str]) -> CellReport:
    """Report a cell, with its errors and promises."""
    errors: list[float | None] = [None] * len(entries)
    rows, why_not = 0, ""
    try:
        accuracy = Accuracy(cell)
    except MissingError as error:
        why_not = str(error)
        missing = {**missing, "max ULP": why_not}
    else:
        rows = accuracy.rows
        errors = [
            None if one.contender.result is None else accuracy.max_ulp(promises.result_of(one.contender))
            for one in entries
        ]
    ours = [error for one, error in zip(entries, errors, strict=True) if one.contender.name == "normexp"]
    worst = max((error for error in ours if error is not None), default=None)
    return _assembled(cell, entries, missing, errors, rows, promises.check(cell, worst, why_not))


def _assembled(
    cell: Cell,
    entries: list[_Entry],
    missing: dict[str, str],
    errors: Sequence[float | None],
    measured_rows: int,
    kept: promises.Promises | None,
) -> CellReport:
    found = [(one.contender, one.times) for one in entries]
    limit = next(times for one, times in found if one.name == f"a {cell.limit}")
    in_float32 = _by_output(found, IN_FLOAT32)
    per_element = 1e9 / cell.x.size
    rows = []
    for one, error in zip(entries, errors, strict=True):
        contender, times = one.contender, one.times
        low, high = times.quartiles
        same = in_float32.get(contender.output) if contender.name == "normexp" else None
        rows.append(
            Row(
                name=contender.name,
                output=contender.output,
                us_per_call=times.median * 1e6,
                ns_per_element=times.median * per_element,
                ns_quartiles=(low * per_element, high * per_element),
                gb_per_s=contender.moved / times.median / 1e9,
                rounds=len(times.times),
                to_normexp=Ratio.of(times.times, one.ours.times),
                to_limit=Ratio.of(times.times, limit.times),
                to_float32=None if same is None else Ratio.of(times.times, same.times),
                max_ulp=error,
                note=times.fastest,
            )
        )
    return CellReport(
        op=cell.op,
        shape=cell.x.shape,
        dtype=cell.x.dtype.name,
        title=cell.title,
        limit=cell.limit,
        is_small=cell.is_small,
        rounds=max(row.rounds for row in rows),
        rows=rows,
        missing=missing,
        measured_rows=measured_rows,
        promises=kept,
    )
