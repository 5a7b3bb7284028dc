"""The proof as a page: one HTML file that needs nothing else, from the document that ``--json`` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from normexp._page.frame import badge, frame, items, opening, section, sheet
from normexp._page.markup import Markup, element, row, table
from normexp.verify import heat
from normexp.verify.chart import chart
from normexp.verify.claims import Verdict
from normexp.verify.contract import BOUNDS
from normexp.verify.words import number, plural

_VERDICT_CLASSES: Final[Mapping[str, str]] = {
    Verdict.HOLDS: "good",
    Verdict.WITHIN: "good",
    Verdict.REFINED: "refined",
    Verdict.UNCHECKED: "quiet",
    Verdict.FAILS: "bad",
}

# As many as the sheet has; a label at each line says whose it is when they come round again.
_COLORS: Final = 10


def page(document: Mapping[str, Any]) -> str:
    """Write the page.

    Parameters
    ----------
    document : mapping
        What `normexp.verify.run` gathers, or what its JSON file holds: "inf" and "nan" may be strings.

    Returns
    -------
    str
        HTML.
    """
    sections = [
        _claims(document["claims"]),
        _accuracy(document["conformance"]),
        _curves(document.get("curves", ())),
        _specials(document["special_values"]),
        _digits(document["digits"]),
    ]
    verdict = "pass" if document["passed"] else "fail"
    return frame(
        f"normexp {document['normexp']}, verify: {verdict}",
        _opening(document, verdict),
        element("main", *sections),
        sheet=sheet("normexp.verify", "heat.css"),
    )


def _opening(document: Mapping[str, Any], verdict: str) -> Markup:
    config = document["config"]
    peers = document["peers"]
    facts = {
        "normexp": document["normexp"],
        "engine": f"level {config['level']}, {plural(config['threads'], 'thread')}",
        "machine": f"{config['machine']}, Python {config['python']}, NumPy {config['numpy']}",
        "beside": ", ".join(f"{name} {version}" for name, version in peers.items()) or "none",
        "missing": "; ".join(f"{name}: {reason}" for name, reason in document["missing"].items()),
    }
    failures = document["failures"]
    said = element("p", f"normexp fails {plural(len(failures), 'check')}:") if failures else ""
    return opening("normexp verify", verdict, document["passed"], facts, said, items(failures, "failures"))


def _claims(claims: Sequence[Mapping[str, Any]]) -> Markup:
    if not claims:
        return Markup()
    counts = Counter(one["verdict"] for one in claims)
    counted = ", ".join(f"{counts[v]} {v.replace('holds', 'hold')}" for v in Verdict if counts[v])
    said = f"{plural(len(claims), 'claim')}, each computed by normexp, by PyTorch and exactly: {counted}."
    return section("claims", "The article's claims", element("p", said), *map(_claim, claims))


def _claim(claim: Mapping[str, Any]) -> Markup:
    verdict = claim["verdict"]
    verdict_badge = badge(f"{verdict} {claim['bound']}".strip(), _VERDICT_CLASSES[verdict])
    parts = [element("h3", claim["id"], " ", verdict_badge, " ", element("q", claim["claim"]))]
    if claim["statement"]:
        parts.append(element("p", element("b", "Exactly: "), claim["statement"]))
    parts += [element("p", element("b", "But: "), one) for one in claim["counterexamples"]]
    parts += [element("p", element("b", "normexp fails: "), one, class_="failure") for one in claim["failures"]]
    if claim["evidence"]:
        rows = [row(one["what"], [one[who] for who in ("normexp", "torch", "exact")]) for one in claim["evidence"]]
        head = ("computed", "normexp", "PyTorch", "exact")
        parts.append(table(f"Evidence on {claim['id']}", head, rows, "evidence"))
    return element("article", *parts, items(claim["notes"], "notes"), id=claim["id"])


def _accuracy(cells: Sequence[Mapping[str, Any]]) -> Markup:
    if not cells:
        return Markup()
    maps: list[Markup] = []
    for dtype, chosen in heat.by(cells, "dtype").items():
        # The first is shown, to say what is in the others.
        shown = {} if maps else {"open": ""}
        maps.append(element("details", element("summary", dtype), heat.heat_map(dtype, chosen), **shown))
    said = (
        f"The largest error of each implementation on hard inputs, in ULP of the exact value: "
        f"{plural(len(cells), 'row')}. Point at a number of normexp for its worst input."
    )
    return section("accuracy", "Accuracy", element("p", said), heat.legend(), heat.overview(cells), *maps)


def _curves(curves: Sequence[Mapping[str, Any]]) -> Markup:
    if not curves:
        return Markup()
    names = dict.fromkeys(name for curve in curves for name in curve["max_ulp"])
    colors = {name: index % _COLORS for index, name in enumerate(names)}
    figures = []
    for curve in curves:
        caption = f"{curve['function']}, {curve['dtype']}, spread {curve['spread']:g}"
        drawn = chart(curve, BOUNDS[curve["dtype"]], colors)
        figures.append(element("figure", element("figcaption", caption), drawn))
    said = "The largest error as rows grow longer, both axes logarithmic; a gap in a line: not offered."
    return section("curves", "Error and row length", element("p", said), element("div", *figures, class_="charts"))


def _specials(results: Sequence[Mapping[str, Any]]) -> Markup:
    if not results:
        return Markup()
    names = list(results[0]["got"])
    rows = []
    differing: Counter[str] = Counter()
    for result in results:
        got = [result["got"][name] for name in names]
        ours = got[0] if result["passed"] else f"{got[0]}, and not {result['expected']} in every format"
        cells = [element("td", ours, class_="right" if result["passed"] else "failure")]
        for name, answer in zip(names[1:], got[1:], strict=True):
            # What is not offered is no other answer.
            differs = answer not in (got[0], "-")
            differing[name] += differs
            cells.append(element("td", "≠ ", answer, class_="differs") if differs else element("td", answer))
        rows.append(row(result["case"], cells))
    counted = ", ".join(f"{name} {count}" for name, count in differing.items())
    said = f"{plural(len(results), 'case')}, float32 where no format is named; normexp is checked in all formats."
    said += f" ≠ marks another answer than that of normexp: {counted}." if counted else ""
    shown = table("Who returns what (-: not offered)", ["case", *names], rows, "evidence")
    return section("specials", "Special values", element("p", said), shown)


def _digits(case: Mapping[str, Any]) -> Markup:
    said = (
        f"The losses of a small network on scikit-learn's digits: {case['rows']:,} rows, float32, "
        f"{case['accuracy']:.1%} right, gaps between the first two logits up to {number(case['largest_gap'], 3)}. "
        f"No loss is 0: the smallest is {case['smallest_exact_loss']}."
    )
    rows = []
    for name, score in case["scores"].items():
        error = heat.cell(score["max_ulp"], BOUNDS["float32"])
        rows.append(row(name, [error, f"{score['zeros']:,}", number(score["mean"], 9)]))
    rows.append(row("exact", ["0", "0", number(case["exact_mean_loss"], 9)]))
    shown = table(
        "Cross-entropy of the digits", ("implementation", "max ULP", "losses of 0", "mean loss"), rows, "numbers"
    )
    worst = items([f"worst of {name}: {score['worst']}" for name, score in case["scores"].items()], "notes")
    return section("digits", "A real case", element("p", said), shown, worst)
