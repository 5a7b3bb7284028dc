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
from normexp.bench.report import CellReport, Row, document, packages, processor, table
from normexp.bench.timing import Ratio, Series, interleave


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
        for op in plan.ops:
            for shape in plan.shapes:
                reports.append(_report(Cell.make(op, shape, plan.dtype, plan.threads), plan.seconds, to))
    finally:
        normexp.set_num_threads(before)
    if file is not None:
        file.write(document(reports, plan.threads))


def _report(cell: Cell, seconds: float, to: Console) -> CellReport:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(f"{cell.title}", total=seconds)
        contenders, missing = assemble(cell)
        contenders = [*limits(cell, with_torch="PyTorch" not in missing), *contenders]
        report = _measure(cell, contenders, missing, seconds, lambda used: progress.update(task, completed=used))
    to.print()
    to.print(table(cell.title, report))
    for name, reason in report.missing.items():
        to.print(f"{name}: {reason}", markup=False)
    return report


def _measure(
    cell: Cell, contenders: list[Contender], missing: dict[str, str], seconds: float, progress: Callable[[float], None]
) -> CellReport:
    series = [Series(contender.ways) for contender in contenders]
    found = list(zip(contenders, series, strict=True))
    ours = {contender.output: one for contender, one in found if contender.name == "normexp"}
    ours[""] = ours["out="]
    limit = "max" if cell.reads_only else "copy"
    floor = next(one for contender, one in found if contender.name == f"a {limit}")
    interleave(series, [(one, ours[contender.output]) for contender, one in found], seconds, progress)
    try:
        accuracy = Accuracy(cell)
    except MissingError as error:
        accuracy = None
        missing = {**missing, "max ULP": str(error)}
    rows = [
        Row(
            name=contender.name,
            output=contender.output,
            ns_per_element=one.median / cell.x.size * 1e9,
            gb_per_s=contender.moved / one.median / 1e9,
            to_normexp=Ratio.of(one.times, ours[contender.output].times),
            to_limit=Ratio.of(one.times, floor.times),
            max_ulp=None if accuracy is None or contender.result is None else accuracy.max_ulp(contender.result()),
            note=one.fastest,
        )
        for contender, one in found
    ]
    return CellReport(
        op=cell.op,
        shape=cell.x.shape,
        dtype=cell.x.dtype.name,
        limit=limit,
        rounds=len(floor.times),
        rows=rows,
        missing=missing,
        measured_rows=0 if accuracy is None else len(accuracy.rows),
    )
