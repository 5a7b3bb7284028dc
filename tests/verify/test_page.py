"""The page: well-formed, self-contained, and everything of the document on it, whatever the document holds."""

import copy
import math

import pytest
from pages import Reader, parsed

from normexp._json_file import _portable
from normexp._page.markup import element
from normexp.verify.heat import error, shade
from normexp.verify.page import page

NAMES = ("normexp", "PyTorch", "a < b & \"c\" > 'd'")
NASTY = "<script>alert('&amp;')</script>"


def document():
    def cell(function, dtype, bound, *errors):
        return {
            "function": function,
            "dtype": dtype,
            "family": "spread x1 <&>",
            "max_ulp": dict(zip(NAMES, errors, strict=True)),
            "worst_of_normexp": f"row 0: {NASTY}",
            "bound": bound,
            "passed": True,
        }

    def score(max_ulp, mean):
        return {"max_ulp": max_ulp, "worst": f"row 342 {NASTY}", "zeros": 579, "mean": mean}

    return {
        "normexp": "0.1.0",
        "config": {"level": "v4", "threads": 2, "machine": "x86_64 <Linux>", "python": "3.11.7", "numpy": "2.4.6"},
        "peers": dict.fromkeys(NAMES[1:], f"1.2 {NASTY}"),
        "missing": {"JAX": f"not installed ({NASTY})"},
        "claims": [
            {
                "id": "A1",
                "claim": "values lie in (0, 1) & sum to 1",
                "verdict": "refined",
                "bound": "",
                "statement": "0 < p < 1",
                "evidence": [{"what": "softmax([1 < 2])", "normexp": "<n>", "torch": "missing", "exact": "<e>"}],
                "notes": [f"a note {NASTY}"],
                "counterexamples": [f"softmax([3]) {NASTY}"],
                "failures": [],
            },
            {
                "id": "B1",
                "claim": "naive code overflows",
                "verdict": "FAILS",
                "bound": "",
                "statement": "",
                "evidence": [],
                "notes": [],
                "counterexamples": [],
                "failures": [f"the trial broke off {NASTY}"],
            },
        ],
        "conformance": [
            cell("softmax", "float32", 1.0, 0.54, 5.5, math.inf),
            cell("logsumexp", "float32", 1.0, 0.47, 5.3e8, None),
            cell("softmax", "float64", 2.0, 0.6, 84.0, math.nan),
        ],
        "special_values": [
            {
                "case": "softmax([-inf, -inf]) <&>",
                "expected": "[nan, nan]",
                "got": dict(zip(NAMES, ("[nan, nan]", "[0.5, 0.5]", "-"), strict=True)),
                "passed": True,
            }
        ],
        "digits": {
            "rows": 1797,
            "accuracy": 1.0,
            "largest_gap": 34.2,
            "exact_mean_loss": 0.000337,
            "smallest_exact_loss": "1.531e-15",
            "scores": {"normexp": score(0.53, 0.000337), "PyTorch": score(1.7e7, math.nan)},
            "passed": True,
        },
        "curves": [
            {
                "function": "<softmax>",
                "dtype": "float32",
                "spread": 5.0,
                "lengths": [16, 256, 4096, 65536],
                "max_ulp": dict(zip(NAMES, ([0.5] * 4, [5.0, 12.0, None, math.inf], [None] * 4), strict=True)),
            }
        ],
        "failures": [f"B1: the trial broke off {NASTY}"],
        "passed": False,
    }


def texts(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def test_all_texts_of_the_document_are_on_the_page_and_none_is_markup():
    text = page(document())
    reader = Reader(text)
    for one in [*texts(document()), *NAMES]:
        assert one in reader.said
    assert {"script", "n", "e", "softmax"}.isdisjoint(tag for tag, _ in reader.tags)
    parsed(text)


def test_it_needs_nothing_else():
    text = page(document())
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text
    tags = Reader(text).tags
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in tags)
    assert not any(key in attributes for _, attributes in tags for key in ("src", "href", "srcset", "style"))


def test_it_is_semantic():
    root = parsed(page(document()))
    assert root.get("lang") == "en"
    assert root.find("head/title").text == "normexp 0.1.0, verify: fail"
    tables = list(root.iter("table"))
    # Evidence; the overview and a heat map for each format; special values; digits.
    assert len(tables) == 1 + (1 + 2) + 1 + 1
    for table in tables:
        assert table.find("caption").text
        assert {header.get("scope") for header in table.iter("th")} <= {"col", "row", "rowgroup"}
        width = {sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter("tr")}
        assert len(width) == 1
    parents = {child: parent for parent in root.iter() for child in parent}
    assert all(parents[table].get("class") == "box" for table in tables)
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids))


def test_the_verdict():
    failing = document()
    assert "normexp fails 1 check:" in Reader(page(failing)).said
    passing = document() | {"passed": True, "failures": []}
    said = Reader(page(passing)).said
    assert "verify: pass" in said
    assert "normexp fails 1 check" not in said


def test_cells_are_shaded_by_their_error():
    (cells,) = [body for body in parsed(page(document())).iter("tbody") if body[0][0].text == "logsumexp"]
    assert [(cell.text, cell.get("class")) for cell in cells[1][1:]] == [
        ("0.47", "within"),
        ("5.3e+08", "over5"),
        ("-", "none"),
    ]
    assert cells[1][1].get("title") == f"row 0: {NASTY}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"),
        (0.0, "within"),
        (0.51, "within"),
        (math.nextafter(0.51, 1), "over0"),
        (10.0, "over0"),
        (10.1, "over1"),
        (1e5, "over4"),
        (1e12, "over5"),
        (math.inf, "wrong"),
        (math.nan, "wrong"),
        ("inf", "wrong"),
        ("nan", "wrong"),
    ],
)
def test_shades(value, expected):
    assert shade(error(value), 0.51) == expected


def test_other_answers_are_marked():
    root = parsed(page(document()))
    (row,) = [row for row in root.iter("tr") if row[0].text == "softmax([-inf, -inf]) <&>"]
    assert [cell.text for cell in row[1:]] == ["[nan, nan]", "≠ [0.5, 0.5]", "-"]
    wrong = document()
    wrong["special_values"][0] |= {"passed": False, "expected": "[0, 1]"}
    assert "[nan, nan], and not [0, 1] in every format" in Reader(page(wrong)).said


def test_the_file_gives_the_same_page():
    """Where the file has "inf" and "nan"."""
    assert page(_portable(document())) == page(document())


def only_normexp():
    alone = copy.deepcopy(document())
    for one in alone["conformance"] + alone["curves"]:
        one["max_ulp"] = {"normexp": one["max_ulp"]["normexp"]}
    for one in alone["special_values"]:
        one["got"] = {"normexp": one["got"]["normexp"]}
    alone["digits"]["scores"] = {"normexp": alone["digits"]["scores"]["normexp"]}
    return alone | {"peers": {}, "missing": {}}


@pytest.mark.parametrize(
    "changed",
    [
        only_normexp(),
        document() | {"claims": [], "conformance": [], "special_values": [], "curves": []},
        {key: value for key, value in document().items() if key != "curves"},
    ],
    ids=["normexp alone", "nothing tried", "no curves"],
)
def test_little_to_show(changed):
    text = page(changed)
    parsed(text)
    assert "None" not in text


def test_elements_escape_what_is_text():
    assert element("td", "<&>", element("b", "'"), class_='"', aria_label=0.5) == (
        '<td class="&quot;" aria-label="0.5">&lt;&amp;&gt;<b>&#x27;</b></td>'
    )
