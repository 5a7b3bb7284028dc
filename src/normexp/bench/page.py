"""The figures as a page: one HTML file that needs nothing else, from the document that ``--json`` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from normexp._page.frame import frame, items, opening, section, sheet
from normexp._page.markup import Markup, element, row, table
from normexp.bench import load, promises_page, words
from normexp.bench.bars import bars
from normexp.bench.linear.page import problems
from normexp.bench.scaling_page import scalings
from normexp.bench.timing import MIN_ROUNDS, SETTLE_SECONDS, STEADY, Ratio

_NOTES: Final = (
    "All times are of one process and one run. In each round every contender has its turn, each round beginning with "
    "another one; a ratio is formed within a round, and its median over the rounds is shown. A slow minute of the "
    "machine slows all contenders of its rounds alike.",
    f"Rounds are added, {MIN_ROUNDS} at least, until each ratio to normexp is known to {STEADY:.0%} (the 95% "
    "confidence interval of the median, by ranks) or the time allowed is used up. ~ marks a ratio that is not known "
    "that well. Whose ratio is known rests, and the slow wait their turn.",
    f"Before its turn, whoever takes less than {10 * SETTLE_SECONDS:g} s runs untimed for {SETTLE_SECONDS * 1000:g} "
    "ms, so that the idle threads of the one before are asleep.",
    "Whiskers, and ±: the middle half of the rounds. Cut bars go on.",
    "x normexp: time over normexp's with the same kind of output, fresh or out=; above 1, normexp is faster. x limit: "
    "time over what memory allows for the same bytes, the fastest of several ways in each round.",
    "ULP: a contender's largest error in units in the last place of the exact value, on the arrays that are timed.",
)


def page(document: Mapping[str, Any]) -> str:
    """Write the page.

    Parameters
    ----------
    document : mapping
        What `normexp.bench.report.document` gathers, or what its JSON file holds: "inf" and "nan" may be strings.

    Returns
    -------
    str
        HTML.
    """
    broken = document["broken_promises"]
    verdict = (
        "promises broken"
        if broken
        else document["kept_promises"]
        if document["cells"] or document["linear"]
        else "times"
    )
    if document["scaling"]:
        verdict = f"{words.plural(len(document['cliffs']), 'cliff')} without a reason"
    sections = [
        _cells(document["cells"]),
        problems(document["linear"]),
        _means(document["geometric_means"]),
        _steps(document["training_steps"]),
        scalings(document["scaling"], document["cliffs"]),
    ]
    notes = items(_NOTES if document["cells"] else _NOTES[:1], "notes")
    return frame(
        f"normexp {document['normexp']}, bench: {verdict}",
        _opening(document, verdict),
        element("main", *sections, section("notes", "Noise, and how to read this", notes)),
        sheet=sheet("normexp.bench", "bench.css"),
    )


def _opening(document: Mapping[str, Any], verdict: str) -> Markup:
    config, broken = document["config"], document["broken_promises"]
    peers = {} if document["scaling"] else document["packages"]  # normexp alone is swept
    facts = {
        "normexp": f"{document['normexp']}, level {config['level']}",
        "machine": f"{document['processor']}, {config['machine']}, Python {config['python']}",
        "threads": f"{document['threads']} for everyone",
        "beside": ", ".join(f"{name} {version}" for name, version in peers.items()),
        "front": "normexp.torch" if document["front"] == "torch" else "",
        "ratios": f"{document['unsteady_ratios']} of {document['ratios']} not known to {STEADY:.0%}" if peers else "",
        "a call": f"of a function that does nothing takes {document['empty_call_us']:.3f} us, part of every time",
    }
    said = element("p", "normexp does not keep what it promises:") if broken else ""
    return opening("normexp bench", verdict, not (broken or document["cliffs"]), facts, said, items(broken, "failures"))


def _cells(cells: Sequence[Mapping[str, Any]]) -> Markup:
    if not cells:
        return Markup()
    said = element("p", "Times (shorter is better), and the largest error of each contender.")
    return section("cells", "Times", said, element("div", *map(_cell, cells), class_="cells"))


def _cell(cell: Mapping[str, Any]) -> Markup:
    title = cell["title"]
    notes = [f"{name}: {reason}" for name, reason in cell["missing"].items()]
    notes += [busy for busy in [load.said(cell["other_cores"])] if busy]
    rows = [_row(one) for one in cell["rows"]]
    head = ("", "ns/element", "±", "us/call", "GB/s", "x normexp", f"x {cell['limit']}", "max ULP", "rounds", "note")
    shown = table(f"{title}: {words.plural(cell['rounds'], 'round')}", head, rows, "numbers")
    return element(
        "article",
        element("h3", title, " ", *promises_page.verdict(cell["promises"])),
        element("figure", bars(cell)),
        promises_page.said(cell["promises"]),
        element("details", element("summary", "The figures"), shown),
        items(notes, "notes"),
    )


def _row(one: Mapping[str, Any]) -> Markup:
    low, high = one["ns_quartiles"]
    cells = [
        words.duration(one["ns_per_element"]),
        words.spread(low, high, one["ns_per_element"]),
        words.duration(one["us_per_call"]),
        f"{one['gb_per_s']:.1f}",
        _ratio(one["to_normexp"]),
        _ratio(one["to_limit"]),
        words.ulp(one["max_ulp"]),
        str(one["rounds"]),
        one["note"] if one["to_float32"] is None else f"{_ratio(one['to_float32'])} x float32",
    ]
    return row(words.who(one), cells)


def _ratio(ratio: Mapping[str, float]) -> str:
    return words.ratio(Ratio(**ratio))


def _means(means: Sequence[Mapping[str, Any]]) -> Markup:
    if not means:
        return Markup()
    names = list(dict.fromkeys(one["name"] for one in means))
    found = {(one["op"], one["dtype"], one["name"]): one for one in means}
    rows = []
    for op, dtype in dict.fromkeys((one["op"], one["dtype"]) for one in means):
        cells = [_mean(found.get((op, dtype, name))) for name in names]
        rows.append(row(f"{op}, {dtype}", cells))
    caption = "Geometric mean of x normexp, fresh with fresh, and over how many shapes"
    return section("means", "Means", table(caption, ("function", *names), rows, "numbers"))


def _mean(mean: Mapping[str, Any] | None) -> Markup:
    if mean is None:
        return element("td", "-")
    return element("td", f"{mean['to_normexp']:.2f}", " ", element("small", f"of {mean['cells']}"))


def _steps(steps: Sequence[Mapping[str, Any]]) -> Markup:
    if not steps:
        return Markup()
    head = ("batch", "PyTorch, us", "enabled, us", "x enabled", "rounds")
    rows = [
        row(
            str(step["batch"]),
            [
                words.duration(step["pytorch_us"]),
                words.duration(step["enabled_us"]),
                _ratio(step["pytorch_to_enabled"]),
                str(step["rounds"]),
            ],
        )
        for step in steps
    ]
    return section("steps", "A training step of the digits", table("Times of a step", head, rows, "numbers"))
