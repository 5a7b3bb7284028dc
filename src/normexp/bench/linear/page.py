"""Last layers on the page: a table for each shape, and charts of time and memory where there are several N."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normexp._page.frame import items, section
from normexp._page.lines import Axes, lines
from normexp._page.markup import Markup, element, row, table
from normexp.bench import load, promises_page, words
from normexp.bench.linear.promises import MIB
from normexp.bench.timing import Ratio

_Document = Mapping[str, Any]


def problems(found: Sequence[_Document]) -> Markup:
    """Write the section, or nothing where nothing was timed.

    Parameters
    ----------
    found : sequence of mapping
        The document's "linear".
    """
    if not found:
        return Markup()
    said = (
        "Forward and backward of N x H x V. GFLOP/s: of the three products that every way has to make. Peak: resident "
        "memory beside the arguments, each contender in a process of its own; beside the gradients: the peak less what "
        "the gradients take, so that a peak before they exist counts by what it exceeds them. Errors: relative to "
        "float64, of the loss, and of the gradients over some rows and classes, as a whole."
    )
    groups: dict[tuple[str, int, int], list[_Document]] = {}
    for one in found:
        groups.setdefault((one["dtype"], *one["shape"][1:]), []).append(one)
    charts = [_charts(sorted(group, key=lambda one: one["shape"][0])) for group in groups.values() if len(group) > 1]
    return section("linear", "The last layer", element("p", said), *charts, *map(_problem, found))


def _charts(group: Sequence[_Document]) -> Markup:
    """Draw time and memory against the number of rows."""
    first = group[0]
    title = f"H = {first['shape'][1]}, V = {first['shape'][2]}, {first['dtype']}"
    places = [one["shape"][0] for one in group]
    names = list(dict.fromkeys(row["name"] for one in group for row in one["rows"]))
    colors = {name: index for index, name in enumerate(names)}

    def values(key: str, unit: float) -> dict[str, list[float | None]]:
        return {name: [_value(one, name, key, unit) for one in group] for name in names}

    time, memory = values("us_per_call", 1e3), values("peak_bytes", MIB)
    drawn = [("time", lines(f"Time against rows, {title}", Axes("rows", "ms"), places, time, colors, words.duration))]
    if any(value is not None for line in memory.values() for value in line):
        chart = lines(
            f"Peak of memory against rows, {title}",
            Axes("rows", "MiB beside the arguments", least=1.0),
            places,
            memory,
            colors,
            words.duration,
            bound=("the gradients", max(first["gradients_bytes"] / MIB, 1.0)),
        )
        drawn.append(("peak of memory", chart))
    figures = [element("figure", element("figcaption", f"{what}: {title}"), chart) for what, chart in drawn]
    return element("div", *figures, class_="charts")


def _value(problem: _Document, name: str, key: str, unit: float) -> float | None:
    found = [row[key] for row in problem["rows"] if row["name"] == name and row[key] is not None]
    return found[0] / unit if found else None


def _problem(problem: _Document) -> Markup:
    notes = [f"{name}: {reason}" for name, reason in problem["missing"].items()]
    notes += [busy for busy in [load.said(problem["other_cores"])] if busy]
    head = ("", "ms/call", "±", "GFLOP/s", "x normexp", "peak, MiB", "beside the gradients")
    errors = ("error of the loss", "by hidden", "by weight")
    rows = [_row(one) for one in problem["rows"]]
    caption = f"{words.plural(problem['rounds'], 'round')}; all logits: {words.mib(problem['logits_bytes'])} MiB"
    return element(
        "article",
        element("h3", problem["title"], " ", *promises_page.verdict(problem["promises"])),
        promises_page.said(problem["promises"]),
        table(caption, (*head, *errors, "rounds"), rows, "numbers"),
        items(notes, "notes"),
    )


def _row(one: _Document) -> Markup:
    low, high = one["us_quartiles"]
    cells = [
        words.duration(one["us_per_call"] / 1e3),
        words.spread(low, high, one["us_per_call"]),
        f"{one['gflop_per_s']:.1f}",
        words.ratio(Ratio(**one["to_normexp"])),
        words.mib(one["peak_bytes"]),
        words.mib(one["extra_bytes"]),
        *words.errors(one["errors"]),
        str(one["rounds"]),
    ]
    return row(one["name"], cells)
