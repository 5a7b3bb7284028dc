"""An explanation in a notebook: tables and sentences, without scripts, in the colours of light and dark."""

from __future__ import annotations

from typing import Final

from normexp._page.markup import Markup, element
from normexp.explain.cells import MARKS, Cell, Line, Stage
from normexp.explain.explanation import Explanation
from normexp.explain.terminal import facts, two_softmaxes, used
from normexp.explain.words import say, ulp

# Everything is under one class; text and background are the notebook's own.
_STYLE: Final = Markup("""
.normexp-explain { --bad: #a3162a; --warn: #8a5300; --small: #0b5d8f; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { .normexp-explain { --bad: #ff8a94; --warn: #f0b35c; --small: #7cc0f0; } }
[data-jp-theme-light="true"] .normexp-explain { --bad: #a3162a; --warn: #8a5300; --small: #0b5d8f; }
[data-jp-theme-light="false"] .normexp-explain { --bad: #ff8a94; --warn: #f0b35c; --small: #7cc0f0; }
.normexp-explain .scroll { overflow-x: auto; }
.normexp-explain table { border-collapse: collapse; margin: 0.8em 0; }
.normexp-explain caption { text-align: left; font-weight: bold; }
.normexp-explain :is(th, td) { text-align: right; padding: 0.1em 0.6em; }
.normexp-explain tbody tr { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.normexp-explain small { padding-left: 0.4em; }
.normexp-explain [class=''] small { opacity: 0.75; }
.normexp-explain :is(.O, .N, .D) { color: var(--bad); font-weight: bold; }
.normexp-explain :is(.L, .U) { color: var(--warn); }
.normexp-explain .S { color: var(--small); }
.normexp-explain dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1em; margin: 0; }
.normexp-explain dd { margin: 0; }
""")


def html(of: Explanation) -> str:
    """Return markup with its style: the facts, a table for each stage, the findings, the legend."""
    terms = [part for name, value in facts(of) for part in (element("dt", name), element("dd", value))]
    if len(of.shown) < of.x.size:
        chosen = "; ".join(f"{i}: {say(float(of.x[i]))} ({why})" for i, why in of.shown.items())
        terms += [element("dt", "classes shown"), element("dd", chosen)]
    stages = of.stages if of.two is None else [*of.stages, of.two.stage]
    said = [element("li", _mark(one.mark), one.text) for one in of.findings]
    said += [element("li", one) for one in two_softmaxes(of)]
    legend = [part for mark in used(of) for part in (element("dt", mark, class_=mark), element("dd", MARKS[mark]))]
    return element(
        "div",
        element("style", _STYLE),
        element("dl", *terms),
        *map(_table, stages),
        element("ul", *said),
        element("dl", *legend),
        class_="normexp-explain",
    )


def _table(stage: Stage) -> Markup:
    heads = [element("th", name, scope="col") for name in ("class", *stage.marked, "exact")]
    rows = [_row(stage, line) for line in stage.lines]
    caption = element("caption", stage.title)
    table = element("table", caption, element("thead", element("tr", *heads)), element("tbody", *rows))
    others = [
        element("p", f"the others, {route}: {', '.join(f'{count:,} {state}' for state, count in counts.items())}")
        for route, counts in stage.others.items()
    ]
    return element("div", table, *others, class_="scroll")


def _row(stage: Stage, line: Line) -> Markup:
    parts = [_cell(line.cells[route]) for route in stage.marked]
    return element("tr", element("th", line.label, scope="row"), *parts, element("td", line.exact))


def _cell(cell: Cell) -> Markup:
    error = element("small", f"{ulp(cell.ulp)} ULP".replace("wrong ULP", "wrong"))
    return element("td", say(cell.value), " ", _mark(cell.mark), error, class_=cell.mark)


def _mark(mark: str) -> Markup:
    return element("abbr", f"{mark} ", title=MARKS[mark], class_=mark) if mark else Markup()
