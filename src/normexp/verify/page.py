"""The proof as a page: one HTML file that needs nothing else, from the document that ``--json`` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from normexp.verify import heat
from normexp.verify.chart import chart
from normexp.verify.claims import Verdict
from normexp.verify.contract import BOUNDS
from normexp.verify.markup import Markup, element, row, table
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
        HTML that is well-formed XML as well, with no scripts and nothing to load.
    """
    sections = [
        _claims(document["claims"]),
        _accuracy(document["conformance"]),
        _curves(document.get("curves", ())),
        _specials(document["special_values"]),
        _digits(document["digits"]),
    ]
    verdict = "pass" if document["passed"] else "fail"
    # The sheet is ours, and has nothing in it to escape.
    sheet = Markup(resources.files("normexp.verify").joinpath("page.css").read_text(encoding="utf-8"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"normexp {document['normexp']}, verify: {verdict}"),
        element("style", sheet),
    )
    body = element("body", _opening(document, verdict), element("main", *sections))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


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
    terms = [part for term, fact in facts.items() if fact for part in (element("dt", term), element("dd", fact))]
    failures = document["failures"]
    said = element("p", f"normexp fails {plural(len(failures), 'check')}:") if failures else ""
    title = element("h1", "normexp verify ", _badge(verdict, "good" if document["passed"] else "bad"))
    return element("header", title, element("dl", *terms), said, _list(failures, "failures"))


def _badge(text: str, class_: str) -> Markup:
    return element("span", text, class_=f"badge {class_}")


def _list(items: Sequence[str], class_: str) -> Markup:
    return element("ul", *(element("li", item) for item in items), class_=class_) if items else Markup()


def _section(id_: str, title: str, *parts: str) -> Markup:
    return element("section", element("h2", title), *parts, id=id_)


def _claims(claims: Sequence[Mapping[str, Any]]) -> Markup:
    if not claims:
        return Markup()
    counts = Counter(one["verdict"] for one in claims)
    counted = ", ".join(f"{counts[v]} {v.replace('holds', 'hold')}" for v in Verdict if counts[v])
    said = f"{plural(len(claims), 'claim')}, each computed by normexp, by PyTorch and exactly: {counted}."
    return _section("claims", "The article's claims", element("p", said), *map(_claim, claims))


def _claim(claim: Mapping[str, Any]) -> Markup:
    verdict = claim["verdict"]
    badge = _badge(f"{verdict} {claim['bound']}".strip(), _VERDICT_CLASSES[verdict])
    parts = [element("h3", claim["id"], " ", badge, " ", element("q", claim["claim"]))]
    if claim["statement"]:
        parts.append(element("p", element("b", "Exactly: "), claim["statement"]))
    parts += [element("p", element("b", "But: "), one) for one in claim["counterexamples"]]
    parts += [element("p", element("b", "normexp fails: "), one, class_="failure") for one in claim["failures"]]
    if claim["evidence"]:
        rows = [row(one["what"], [one[who] for who in ("normexp", "torch", "exact")]) for one in claim["evidence"]]
        head = ("computed", "normexp", "PyTorch", "exact")
        parts.append(table(f"Evidence on {claim['id']}", head, rows, "evidence"))
    return element("article", *parts, _list(claim["notes"], "notes"), id=claim["id"])


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
    return _section("accuracy", "Accuracy", element("p", said), heat.legend(), heat.overview(cells), *maps)


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
    return _section("curves", "Error and row length", element("p", said), element("div", *figures, class_="charts"))


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
    return _section("specials", "Special values", element("p", said), shown)


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
    worst = _list([f"worst of {name}: {score['worst']}" for name, score in case["scores"].items()], "notes")
    return _section("digits", "A real case", element("p", said), shown, worst)
