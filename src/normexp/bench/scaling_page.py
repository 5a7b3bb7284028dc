"""Time against size on the page: a chart for each sweep, a line for each number of threads, a ring at each cliff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from normexp._page.frame import items, section
from normexp._page.lines import Axes, lines
from normexp._page.markup import Markup, element, row, table
from normexp.bench import load, words
from normexp.bench.scaling import CLIFF, Cliff
from normexp.bench.timing import Ratio

# Decades, and of many every second one.
_NAMED: Final = {"classes": (1, 100, 10_000, 1_000_000), "rows": (1, 10, 100, 1000, 10_000)}


def scalings(found: Sequence[Mapping[str, Any]], cliffs: Sequence[str]) -> Markup:
    """Write the section, or nothing where nothing was swept.

    Parameters
    ----------
    found : sequence of mapping
        The document's "scaling".
    cliffs : sequence of str
        The document's "cliffs".
    """
    if not found:
        return Markup()
    said = (
        "Time of an element against the size of rows and of calls, both axes logarithmic. All sizes of a function take "
        f"their turns in the same rounds. A ring marks a cliff: a size that takes more than {CLIFF:g} times as long as "
        "its neighbour, an element, and of which the rest is not explained by what a call costs (measured by the call "
        "of one row) or what a row costs (by rows of one class)."
    )
    listed = items(cliffs, "failures") if cliffs else element("p", "No cliff without a reason.", class_="good")
    return section("scaling", "Scaling", element("p", said), listed, *map(_function, found))


def _function(scaling: Mapping[str, Any]) -> Markup:
    output = f", {scaling['output']}" if scaling["output"] else ""
    title = f"{scaling['op']} {scaling['dtype']}{output}"
    sweeps = list(dict.fromkeys(line["sweep"] for line in scaling["lines"]))
    chosen = {sweep: [line for line in scaling["lines"] if line["sweep"] == sweep] for sweep in sweeps}
    charts = [_chart(title, sweep, group) for sweep, group in chosen.items()]
    tables = [_table(title, sweep, group) for sweep, group in chosen.items()]
    return element(
        "article",
        element("h3", title),
        element("div", *charts, class_="charts"),
        element("p", load.said(scaling["other_cores"]), class_="notes"),
        element("details", element("summary", "The figures"), *tables),
    )


def _chart(title: str, sweep: str, group: Sequence[Mapping[str, Any]]) -> Markup:
    first = group[0]
    # Most threads first: on top.
    named = {words.plural(line["threads"], "thread"): line for line in reversed(group)}
    drawn = lines(
        f"Time of an element against {first['along']}, {title}, {sweep}",
        Axes(first["along"], "ns/element", steps=(1, 2, 5)),
        first["places"],
        {name: line["ns_per_element"] for name, line in named.items()},
        {name: index for index, name in enumerate(named)},
        words.duration,
        named=_NAMED[first["along"]],
        marked={name: [one["slow"] for one in line["cliffs"] if not one["reason"]] for name, line in named.items()},
    )
    return element("figure", element("figcaption", sweep), drawn)


def _table(title: str, sweep: str, group: Sequence[Mapping[str, Any]]) -> Markup:
    head = [group[0]["along"]]
    for line in group:
        head += [f"ns/element, {words.plural(line['threads'], 'thread')}", "±"]
    rows = []
    for index, place in enumerate(group[0]["places"]):
        cells: list[str] = []
        for line in group:
            median = line["ns_per_element"][index]
            low, high = line["ns_quartiles"][index]
            cells += [words.duration(median), words.spread(low, high, median)]
        rows.append(row(f"{place:,}", [*cells, "; ".join(_cliffs(group, place))]))
    return table(f"{title}, {sweep}", [*head, "cliffs"], rows, "numbers")


def _cliffs(group: Sequence[Mapping[str, Any]], place: int) -> list[str]:
    said = (
        Cliff(**{**one, "ratio": Ratio(**one["ratio"])}).words(line["threads"])
        for line in group
        for one in line["cliffs"]
        if one["slow"] == place
    )
    return list(dict.fromkeys(said))
