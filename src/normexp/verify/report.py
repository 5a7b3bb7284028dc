"""What is said on the terminal: a section for each part of the proof, then one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from normexp.verify.claims import Evidence, Result, Verdict
from normexp.verify.conformance import Cell
from normexp.verify.contract import BOUNDS, SpecialResult
from normexp.verify.digits import Digits
from normexp.verify.peers import FUNCTIONS, LOSSES, Implementation
from normexp.verify.words import number, plural, ulp

_VERDICT_STYLES: Final[Mapping[Verdict, str]] = {
    Verdict.HOLDS: "green",
    Verdict.WITHIN: "green",
    Verdict.REFINED: "yellow",
    Verdict.UNCHECKED: "dim",
    Verdict.FAILS: "bold red",
}

# Four columns of numbers need this much; narrower terminals get them under each other.
_SIDE_BY_SIDE: Final = 110


def heading(to: Console, text: str) -> None:
    """Start a section."""
    to.print()
    to.print(Text(text, style="bold"))


def opening(to: Console, implementations: Sequence[Implementation], missing: Mapping[str, str], config: str) -> None:
    """Say who takes part, and who is missing."""
    ours, *peers = implementations
    to.print(Text(f"normexp {ours.version}: {config}"))
    to.print(Text("beside " + ", ".join(f"{peer.name} {peer.version}" for peer in peers)))
    for name, reason in missing.items():
        to.print(Text(f"{name} is missing: {reason}", style="yellow"))


def claim(to: Console, result: Result) -> None:
    """Print one claim: its verdict, what was computed, what refutes its wording, and what is exactly true."""
    verdict = f"{result.verdict} {result.bound}".strip()
    to.print()
    to.print(Text.assemble((result.id, "bold"), " ", (verdict, _VERDICT_STYLES[result.verdict]), f": {result.claim}"))
    lines = [("", "dim", note) for note in result.notes]
    lines += [("but ", "yellow", one) for one in result.counterexamples]
    lines += [("exactly: ", "bold", result.statement)] if result.statement else []
    lines += [("normexp fails: ", "bold red", failure) for failure in result.failures]
    said = [Text.assemble((lead, style), (text, "dim" if style == "dim" else "")) for lead, style, text in lines]
    to.print(Padding(Group(_evidence(result.evidence, to.width), *said), (0, 0, 0, 4), expand=False))


def _evidence(evidence: Sequence[Evidence], width: int) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), show_header=width >= _SIDE_BY_SIDE, header_style="dim")
    if width >= _SIDE_BY_SIDE:
        for title in ("", "normexp", "PyTorch", "exact"):
            grid.add_column(title, overflow="fold")
        for one in evidence:
            grid.add_row(*map(Text, (one.what, one.normexp, one.torch, one.exact)))
        return grid
    grid.add_column()
    grid.add_column(overflow="fold")
    for one in evidence:
        grid.add_row(Text("computed", style="dim"), Text(one.what))
        for name, text in (("normexp", one.normexp), ("PyTorch", one.torch), ("exact", one.exact)):
            grid.add_row(Text(name, style="dim"), Text(text))
    return grid


def conformance(to: Console, cells: Sequence[Cell]) -> None:
    """Print the largest errors, a table for each format."""
    for dtype, bound in BOUNDS.items():
        chosen = [cell for cell in cells if cell.dtype == dtype]
        if not chosen:
            continue
        table = Table(title=f"{dtype}: largest error in ULP (normexp's bound: {bound})", title_justify="left")
        table.add_column("function")
        table.add_column("inputs")
        for name in chosen[0].worst:
            table.add_column(name, justify="right")
        previous = ""
        for cell in sorted(chosen, key=lambda one: list(_ORDER).index(one.function)):
            if cell.function != previous and previous:
                table.add_section()
            errors = [Text(ulp(one.ulp), style=_style(one.ulp, bound)) for one in cell.worst.values()]
            table.add_row("" if cell.function == previous else cell.function, cell.family, *errors)
            previous = cell.function
        to.print()
        to.print(table)


_ORDER: Final = (*FUNCTIONS, *LOSSES)


def _style(error: float | None, bound: float) -> str:
    if error is None:
        return "dim"
    return "green" if error <= bound else "red"


def specials(to: Console, results: Sequence[SpecialResult]) -> None:
    """Print who makes what of special values."""
    table = Table(title="Special values (float32; normexp is checked in all formats)", title_justify="left")
    table.add_column("case", overflow="fold")
    for name in results[0].got:
        table.add_column(name, overflow="fold")
    for result in results:
        expected = result.got[next(iter(result.got))]
        texts = [Text(got, style="dim" if got == expected else "yellow") for got in result.got.values()]
        texts[0].style = "green" if result.passed else "bold red"
        table.add_row(Text(result.title), *texts)
    to.print()
    to.print(table)


def digits(to: Console, case: Digits) -> None:
    """Print the real case."""
    heading(to, f"A real case: the losses of a small network on scikit-learn's digits ({case.rows:,} rows, float32)")
    to.print(
        Text(
            f"{case.accuracy:.1%} right, gaps between the first two logits up to {number(case.largest_gap, 3)}; "
            f"no loss is 0: the smallest is {case.smallest}"
        )
    )
    table = Table()
    for title in ("", "max ULP", "losses that are exactly 0", "mean loss"):
        table.add_column(title, justify="right" if title else "left")
    for name, score in case.scores.items():
        style = _style(score.max_ulp, BOUNDS["float32"])
        error = Text(ulp(score.max_ulp), style=style)
        table.add_row(name, error, f"{score.zeros:,}", number(score.mean, 9))
    table.add_row("exact", "0", "0", number(case.exact_mean, 9))
    to.print(table)
    for name, score in case.scores.items():
        to.print(Text(f"worst of {name}: {score.worst}", style="dim"))


def closing(to: Console, summary: str, failures: Sequence[str]) -> None:
    """Print what normexp fails, and the one line that says it all."""
    if failures:
        heading(to, f"normexp fails {plural(len(failures), 'check')}")
        for failure in failures:
            to.print(Text(f"- {failure}", style="red"))
    to.print()
    # One line even where it is wider than the terminal: it is what scripts look for.
    to.print(Text(f"normexp verify: {summary}", style="bold red" if failures else "bold green"), soft_wrap=True)
