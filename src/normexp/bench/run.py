"""The run: each cell, last layer and sweep timed, checked, shown."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import normexp
from normexp._console import console
from normexp.bench import terminal
from normexp.bench.cell import Cell
from normexp.bench.linear import table
from normexp.bench.linear.problem import Problem
from normexp.bench.linear.report import LinearReport
from normexp.bench.linear.timed import TimedProblem
from normexp.bench.plan import Plan, Planned
from normexp.bench.report import CellReport, StepReport, document
from normexp.bench.scaling import SWEEPS, Scaling, Sweeping
from normexp.bench.timed import TimedCell
from normexp.bench.timing import MIN_ROUNDS, empty_call


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
    linear: list[LinearReport] = []
    steps: list[StepReport] = []
    scalings: list[Scaling] = []
    before = normexp.get_num_threads()
    normexp.set_num_threads(plan.threads)
    nothing = empty_call()
    try:
        for planned in plan.cells:
            reports.append(_cell(planned, plan, to, nothing))
        for planned in plan.linear:
            linear.append(_linear(planned, plan, to))
        for batch in plan.batches:
            steps.append(_step(batch, plan, to))
        for op, dtype in plan.sweeps:
            scalings.append(_scaling(op, dtype, plan, to))
    except KeyboardInterrupt:
        terminal.closing(to, [*reports, *linear], scalings)
        raise
    finally:
        normexp.set_num_threads(before)
    terminal.closing(to, [*reports, *linear], scalings)
    return document(reports, linear, steps, scalings, nothing, plan)


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


def _cell(planned: Planned, plan: Plan, to: Console, nothing: float) -> CellReport:
    cell = Cell.make(planned.op, planned.shape, planned.dtype, plan.threads, plan.front)
    with _progress() as progress:
        task = progress.add_task(cell.title, total=plan.seconds)

        def say(what: str) -> None:
            progress.update(task, description=f"{cell.title}: {what}")

        timed = TimedCell(cell, lambda peer: say(f"setting up {peer}"))
        say("timing")
        try:
            timed.time(plan.seconds, lambda used: progress.update(task, completed=used))
        except KeyboardInterrupt:
            progress.stop()
            if timed.rounds >= MIN_ROUNDS:
                terminal.cell(to, timed.report(), nothing)
            raise
        say("exact values, and the same bits")
        report = timed.checked_report()
    terminal.cell(to, report, nothing)
    return report


def _linear(planned: Planned, plan: Plan, to: Console) -> LinearReport:
    problem = Problem.make(planned.shape, planned.dtype, plan.threads, plan.front)
    with _progress() as progress:
        task = progress.add_task(problem.title, total=plan.seconds)

        def say(what: str) -> None:
            progress.update(task, description=f"{problem.title}: {what}")

        timed = TimedProblem(problem, say)
        say("timing")
        try:
            timed.time(plan.seconds, lambda used: progress.update(task, completed=used))
        except KeyboardInterrupt:
            progress.stop()
            if timed.rounds >= MIN_ROUNDS:
                table.problem(to, timed.report())
            raise
        report = timed.checked_report()
    table.problem(to, report)
    return report


def _step(batch: int, plan: Plan, to: Console) -> StepReport:
    from normexp.bench import training

    report = training.measure(batch, plan.threads, plan.seconds)
    terminal.step(to, report)
    return report
