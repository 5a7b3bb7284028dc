"""An explanation as tables of text, as wide as the terminal allows, down to 40 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Final

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from normexp.explain.cells import MARKS, Stage
from normexp.explain.explanation import Explanation
from normexp.explain.words import say, ulp

_STYLES: Final = {"O": "bold red", "N": "bold red", "D": "bold red", "L": "yellow", "U": "yellow", "S": "cyan", "": ""}
_PRINTED: Final = 80  # columns, where nothing says how many there are


def text(of: Explanation) -> str:
    """Return what `show` prints, without colour."""
    out = StringIO()
    show(of, Console(file=out, width=_PRINTED, color_system=None, highlight=False))
    return out.getvalue().rstrip("\n")


def show(of: Explanation, console: Console) -> None:
    """Print all of it."""
    _pairs(console, facts(of))
    if len(of.shown) < of.x.size:
        _heading(console, f"classes shown, of {of.x.size:,}")
        _pairs(console, ((str(i), f"{say(float(of.x[i]))}  {why}") for i, why in of.shown.items()))
    for stage in of.stages:
        _stage(console, stage)
    if of.two is not None:
        _stage(console, of.two.stage)
        for one in two_softmaxes(of):
            _paragraph(console, one)
    _heading(console, "what happens here")
    for finding in of.findings:
        _paragraph(console, finding.text, finding.mark)
    _heading(console, "marks")
    for mark in used(of):
        _paragraph(console, MARKS[mark], mark)
    _paragraph(
        console,
        f"ULP: the distance from the exact value, in units of its last place in {of.form.name}. Each operation is "
        f"rounded to {of.form.name}, exp and log correctly; sums are taken from left to right.",
    )


def facts(of: Explanation) -> Iterator[tuple[str, str]]:
    """Yield what is said of the row as a whole."""
    known, size = of.facts, of.x.size
    if len(of.shown) == size:
        yield "logits", f"[{', '.join(say(float(v)) for v in of.x)}]"
    yield "format", of.form.name
    yield "classes", f"{size:,}"
    yield "temperature", say(of.temperature)
    yield "logsumexp", say(known.logsumexp)
    if not known.entropy.is_finite():
        return
    yield "largest", f"class {known.largest}: {say(float(of.x[known.largest]))}"
    if size > 1:
        over = "" if of.temperature == 1 else ", over T"
        yield "gap", f"{say(known.gap)} to the next, {say(known.span)} to the smallest{over}"
    yield "entropy", f"{say(known.entropy)} nats"
    yield "effective classes", f"{say(known.effective)} (exp of the entropy)"
    if of.target is not None:
        yield "target", f"class {of.target}: loss {of.stage('log_p').lines[-1].exact}"


def two_softmaxes(of: Explanation) -> Iterator[str]:
    """Yield what a softmax layer before CrossEntropyLoss does, in sentences."""
    if of.two is None:
        return
    loss = of.two.stage.lines[-1]
    yield (
        f"CrossEntropyLoss has a softmax inside. With a layer of it before, the loss is {loss.exact} instead of "
        f"{of.stage('log_p').lines[-1].exact}, and never less than {say(of.two.floor)} = ln(1 + {of.x.size - 1}/e)."
    )
    if of.two.times_smaller is not None:
        cell = next(iter(of.two.stage.line(of.target or 0).cells.values()))
        reads = f", and reads 0 in {of.form.name}" if cell.state == "zero" else ""
        yield f"The gradient at the target is {say(of.two.times_smaller)} times smaller than without the layer{reads}."


def used(of: Explanation) -> list[str]:
    """Return the marks that occur, in the order of the legend."""
    stages = of.stages if of.two is None else [*of.stages, of.two.stage]
    found = {cell.mark for stage in stages for line in stage.lines for cell in line.cells.values()}
    found |= {finding.mark for finding in of.findings}
    return [mark for mark in MARKS if mark in found]


def _stage(console: Console, stage: Stage) -> None:
    _heading(console, stage.title)
    width = console.width
    for routes in _groups(stage, width):
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style=Style(bold=True))
        table.add_column("", overflow="fold")
        for route in routes:
            table.add_column(route, justify="right", no_wrap=True)
            table.add_column("", no_wrap=True, min_width=1)
            table.add_column("ULP", justify="right", no_wrap=True)
        table.add_column("exact", justify="right", overflow="fold")
        for line in stage.lines:
            cells = [line.cells[route] for route in routes]
            parts = [
                Text(part, _STYLES[cell.mark]) for cell in cells for part in (say(cell.value), cell.mark, ulp(cell.ulp))
            ]
            table.add_row(line.label, *parts, line.exact)
        console.print(table)
    for route, counts in stage.others.items():
        said = ", ".join(f"{count:,} {state}" for state, count in counts.items())
        _paragraph(console, f"the others, {route}: {said}")


def _groups(stage: Stage, width: int) -> Iterable[Sequence[str]]:
    """Divide the routes so that each table is narrow enough, the exact values in all of them."""
    label = max(len(line.label) for line in stage.lines) + 1
    exact = max(len("exact"), *(len(line.exact) for line in stage.lines))
    groups: list[list[str]] = [[]]
    left = width - label - exact
    for route in stage.marked:
        cells = [line.cells[route] for line in stage.lines if route in line.cells]
        needed = max(len(route), *(len(say(cell.value)) for cell in cells)) + 1 + 2
        needed += max(len("ULP"), *(len(ulp(cell.ulp)) for cell in cells)) + 1
        if groups[-1] and needed > left:
            groups.append([])
            left = width - label - exact
        groups[-1].append(route)
        left -= needed
    return groups


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, "bold"))


def _pairs(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    known = list(pairs)
    width = max(len(name) for name, _ in known) + 2
    for name, value in known:
        for i, line in enumerate(textwrap.wrap(value, console.width - width)):
            console.print(Text(f"{name if i == 0 else '':{width}}{line}"), soft_wrap=True)


def _paragraph(console: Console, said: str, mark: str = "") -> None:
    lines = textwrap.wrap(said, console.width - 2, break_long_words=True)
    for i, line in enumerate(lines):
        console.print(Text.assemble((f"{mark if i == 0 else '':2}", _STYLES[mark]), line), soft_wrap=True)
