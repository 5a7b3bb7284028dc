"""The run: each cell assembled, timed, measured, shown."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import normexp
from normexp._console import console
from normexp._json_file import JsonFile
from normexp.bench import Plan
from normexp.bench.accuracy import Accuracy
from normexp.bench.cell import Cell, Contender, MissingError
from normexp.bench.limits import limits
from normexp.bench.peers import assemble
from normexp.bench.report import (
    CellReport,
    Row,
    StepReport,
    document,
    means,
    packages,
    processor,
    step_line,
    summary,
    table,
)
from normexp.bench.timing import Ratio, Series, Sum, Times, interleave


def run(plan: Plan, file: JsonFile | None) -> None:
    """Time all cells of a plan, print a table for each, and write the figures to the file, entered already."""
    to = console()
    config = normexp.show_config()
    to.print(f"normexp {config['version']}: level {config['level']}, threads {plan.threads}, {processor()}")
    to.print("beside " + ", ".join(f"{name} {version}" for name, version in packages().items()))
    reports = []
    before = normexp.get_num_threads()
    normexp.set_num_threads(plan.threads)
    try:
        for op, shape in plan.cells:
            cell = Cell.make(op, shape, plan.dtype, plan.threads, plan.front)
            reports.append(_report(cell, plan.seconds, to))
        steps = [_step(batch, plan, to) for batch in plan.batches]
    finally:
        normexp.set_num_threads(before)
    for line in summary(means(reports)):
        to.print(line, markup=False)
    if file is not None:
        file.write(document(reports, steps, plan))


def _report(cell: Cell, seconds: float, to: Console) -> CellReport:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(cell.title, total=seconds)
        contenders, missing = assemble(
            cell, lambda peer: progress.update(task, description=f"{cell.title}: setting up {peer}")
        )
        progress.update(task, description=cell.title)
        contenders = [*limits(cell, with_torch="PyTorch" not in missing), *contenders]
        report = _measure(cell, contenders, missing, seconds, lambda used: progress.update(task, completed=used))
    to.print()
    to.print(table(cell.title, report))
    for name, reason in report.missing.items():
        to.print(f"{name}: {reason}", markup=False)
    return report


def _step(batch: int, plan: Plan, to: Console) -> StepReport:
    from normexp.bench import training

    report = training.measure(batch, plan.threads, plan.seconds)
    to.print()
    to.print(step_line(report), markup=False)
    return report


def _measure(
    cell: Cell, contenders: list[Contender], missing: dict[str, str], seconds: float, progress: Callable[[float], None]
) -> CellReport:
    found: list[tuple[Contender, Times]] = []
    for one in contenders:
        parts = [times for other, times in found if other.name in one.sum_of]
        found.append((one, Sum(parts) if parts else Series(one.ways, one.scope)))
    ours = {one.output: times for one, times in found if one.name == "normexp"}
    cheapest = ours.get("out=", ours["fresh"])
    beside = [ours.get(one.output, cheapest) for one in contenders]
    limit = next(times for one, times in found if one.name == f"a {cell.limit}")
    series = [times for _, times in found if isinstance(times, Series)]
    interleave(series, [(times, other) for (_, times), other in zip(found, beside, strict=True)], seconds, progress)
    try:
        accuracy = Accuracy(cell)
    except MissingError as error:
        accuracy = None
        missing = {**missing, "max ULP": str(error)}
    rows = [
        Row(
            name=contender.name,
            output=contender.output,
            ns_per_element=times.median / cell.x.size * 1e9,
            gb_per_s=contender.moved / times.median / 1e9,
            to_normexp=Ratio.of(times.times, other.times),
            to_limit=Ratio.of(times.times, limit.times),
            max_ulp=None if accuracy is None else _max_ulp(accuracy, contender),
            note=times.fastest,
        )
        for (contender, times), other in zip(found, beside, strict=True)
    ]
    return CellReport(
        op=cell.op,
        shape=cell.x.shape,
        dtype=cell.x.dtype.name,
        limit=cell.limit,
        rounds=len(limit.times),
        rows=rows,
        missing=missing,
        measured_rows=0 if accuracy is None else len(accuracy.rows),
    )


def _max_ulp(accuracy: Accuracy, contender: Contender) -> float | None:
    if contender.result is None:
        return None
    with contender.scope():
        return accuracy.max_ulp(contender.result())
