"""The page: well-formed, self-contained, and everything of the document on it, whatever the document holds."""

import copy
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from normexp._json_file import _portable
from normexp.verify.chart import chart, place
from normexp.verify.heat import error, shade
from normexp.verify.markup import element
from normexp.verify.page import page

NAMES = ("normexp", "PyTorch", "a < b & \"c\" > 'd'")
NASTY = "<script>alert('&amp;')</script>"


def curve(**max_ulp):
    lengths = [16, 256, 4096, 65536]
    return {"function": "softmax", "dtype": "float32", "spread": 5.0, "lengths": lengths, "max_ulp": max_ulp}


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
        "curves": [curve(normexp=[0.5, 0.5, 0.51, 0.5], PyTorch=[5.0, 12.0, None, 120.0]) | {"function": "<softmax>"}],
        "failures": [f"B1: the trial broke off {NASTY}"],
        "passed": False,
    }


class Reader(HTMLParser):
    """Gathers what a browser would: the text, and each tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def said(self):
        tips = (value for _, attributes in self.tags for value in attributes.values() if value)
        return "\n".join([*self.words, *tips])


def parsed(text):
    """Parse the whole page, SVGs and all, as the XML that it is."""
    doctype, _, rest = text.partition("\n")
    assert doctype == "<!DOCTYPE html>"
    return ElementTree.fromstring(rest)


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


def drawn(curve, bound=1.0):
    return ElementTree.fromstring(chart(curve, bound, {name: index for index, name in enumerate(curve["max_ulp"])}))


def series(svg):
    """Return the lines by their names, and for each the data of its paths: the line, then the crosses."""
    groups = [group for group in svg.iter("g") if group.find("title") is not None]
    return {group.find("title").text.partition(":")[0]: group for group in groups}


def line(group):
    return re.findall("[ML]", group.find("path").get("d"))


def test_nulls_break_lines():
    groups = series(drawn(curve(normexp=[0.5] * 4, a=[1.0, None, 2.0, 3.0], b=[None, 1.0, 2.0, None], c=[None] * 4)))
    assert list(map(line, (groups["normexp"], groups["a"], groups["b"]))) == [list("MLLL"), list("MML"), list("ML")]
    assert "c" not in groups


def test_what_is_wrong_is_a_cross_over_the_numbers():
    svg = drawn(curve(normexp=[0.5] * 4, naive=[2.0, 3.0, math.inf, math.nan]))
    group = series(svg)["naive"]
    assert line(group) == list("ML")
    assert len(group.findall("circle")) == 2
    assert len(group.findall("path")) == 1 + 2
    assert [text.text for text in svg.findall("text")].count("wrong") == 1
    assert group.find("title").text == "naive: 2.00 at 16, 3.00 at 256, wrong at 4,096, wrong at 65,536"


@pytest.mark.parametrize(
    "one",
    [
        curve(normexp=[0.0] * 4),
        curve(normexp=[1.0] * 4),
        curve(normexp=[math.inf] * 4),
        curve(normexp=[None] * 4),
        curve(normexp=[1e-300, 1e300, 1.0, 0.5]),
        curve(**{f"implementation {i}": [float(i)] * 4 for i in range(30)}),
        curve(normexp=[0.5]) | {"lengths": [1]},
    ],
    ids=["exact", "at the bound", "wrong", "not offered", "extreme", "many", "one length"],
)
def test_all_is_drawn_inside(one):
    svg = drawn(one)
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in svg.iter("text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height
    for path in svg.iter("path"):
        points = [tuple(map(float, point.split())) for point in re.findall(r"[ML]([-\d.]+ [-\d.]+)", path.get("d"))]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_labels_of_lines_that_meet_do_not_overlap():
    svg = drawn(curve(**{f"implementation {i}": [3.0, 4.0, 5.0, 5.0 + i / 100] for i in range(10)}))
    heights = sorted(float(group.find("text").get("y")) for group in svg.iter("g") if group.find("text") is not None)
    assert len(heights) == 10 + 1
    assert np.diff(heights).min() >= 11  # the size of the font


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], []),
        ([50.0], [50.0]),
        ([10.0, 90.0], [10.0, 90.0]),
        ([90.0, 10.0], [90.0, 10.0]),
        ([50.0, 50.0], [45.0, 55.0]),
        ([50.0, 50.0, 50.0], [40.0, 50.0, 60.0]),
        ([0.0, 0.0], [0.0, 10.0]),
        ([100.0, 100.0, 20.0], [90.0, 100.0, 20.0]),
        ([-30.0, 130.0], [0.0, 100.0]),
        ([50.0, 52.0, 60.0, 95.0], [44.0, 54.0, 64.0, 95.0]),
    ],
)
def test_labels_are_placed(wanted, expected):
    assert place(wanted, 10.0, 0.0, 100.0) == pytest.approx(expected)


def test_labels_never_overlap_nor_leave_their_room():
    rng = np.random.default_rng(3)
    for _ in range(300):
        wanted = rng.uniform(-20, 120, size=rng.integers(1, 12)).tolist()
        placed = np.array(place(wanted, 10.0, 0.0, 110.0))
        assert np.diff(np.sort(placed)).min(initial=10) >= 10 - 1e-9
        assert placed.min() >= -1e-9
        assert placed.max() <= 110 + 1e-9
        # In the order in which they were wanted.
        assert (np.argsort(wanted) == np.argsort(placed)).all()


def test_elements_escape_what_is_text():
    assert element("td", "<&>", element("b", "'"), class_='"', aria_label=0.5) == (
        '<td class="&quot;" aria-label="0.5">&lt;&amp;&gt;<b>&#x27;</b></td>'
    )
