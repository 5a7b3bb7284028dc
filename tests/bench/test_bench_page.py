"""The page of `normexp bench`: well-formed, self-contained, everything on it, whatever the document holds."""

import copy
import math
import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("rich")

from pages import Reader, parsed

from normexp._json_file import _portable
from normexp.bench.bars import bars
from normexp.bench.page import page

NASTY = "<script>alert('&amp;')</script>"


def ratio(median, width=0.0):
    return {"median": median, "low": median - width, "high": median + width}


def row(name, output, ns, ulp=None, **changed):
    return {
        "name": name,
        "output": output,
        "us_per_call": ns * 20,
        "ns_per_element": ns,
        "ns_quartiles": (0.9 * ns, 1.2 * ns),
        "gb_per_s": 8 / ns,
        "rounds": 7,
        "to_normexp": ratio(ns / 0.3),
        "to_limit": ratio(ns / 0.1, width=1.0),
        "to_float32": None,
        "max_ulp": ulp,
        "note": "",
        **changed,
    }


def cell(**changed):
    return {
        "op": "softmax",
        "shape": (200, 100),
        "dtype": "bfloat16",
        "title": "softmax, 200 x 100 bfloat16",
        "limit": "copy",
        "is_small": False,
        "rounds": 7,
        "rows": [
            row("a copy", "out=", 0.1, note=f"torch {NASTY}"),
            row("a max", "", 0.05),
            row("normexp", "fresh", 0.3, 0.501, to_float32=ratio(0.75)),
            row("normexp", "out=", 0.25, 0.501, to_float32=ratio(0.8)),
            row("normexp in float32", "fresh", 0.4),
            row(NASTY, "fresh", 9.0, math.inf),
            row("NumPy, by hand", "fresh", 1.0, 12345.0),
        ],
        "missing": {"JAX": f"not installed {NASTY}"},
        "measured_rows": 200,
        "other_cores": 0.04,
        "steady": True,
        "promises": {
            "max_ulp": 0.501,
            "bound": 0.51,
            "same_bits": ["fresh", "out="],
            "broken": [],
            "unchecked": {},
            "line": f"accuracy 0.50 ULP of 0.51 promised; same bits: fresh, out= {NASTY}",
        },
        **changed,
    }


def document(**changed):
    return {
        "normexp": "0.1.0",
        "config": {"level": "v4", "machine": "x86_64 <Linux>", "python": "3.11.7"},
        "processor": f"a processor {NASTY}",
        "front": "numpy",
        "threads": 2,
        "packages": {"numpy": "2.4.6", "torch": f"2.13 {NASTY}"},
        "empty_call_us": 0.035,
        "cells": [cell()],
        "geometric_means": [
            {"op": "softmax", "dtype": "bfloat16", "name": NASTY, "cells": 2, "to_normexp": 7.25},
            {"op": "logsumexp", "dtype": "float32", "name": "SciPy", "cells": 3, "to_normexp": 9.5},
        ],
        "linear": [],
        "training_steps": [
            {"batch": 64, "rounds": 9, "pytorch_us": 150.0, "enabled_us": 120.0, "pytorch_to_enabled": ratio(1.25)}
        ],
        "scaling": [],
        "cliffs": [],
        "ratios": 7,
        "unsteady_ratios": 3,
        "broken_promises": [],
        "kept_promises": "promises kept in 1",
        **changed,
    }


def scaling():
    def line(sweep, along, threads, places, cliffs):
        return {
            "sweep": f"{sweep} {NASTY}",
            "along": along,
            "threads": threads,
            "shapes": [(4, place) for place in places],
            "places": places,
            "ns_per_element": [2.0 / place for place in places],
            "ns_quartiles": [(1.9 / place, 2.2 / place) for place in places],
            "rounds": [6 for place in places],
            "cliffs": cliffs,
        }

    cliff = {"slow": 32, "quick": 33, "ratio": ratio(1.75), "reason": ""}
    explained = {"slow": 1, "quick": 32, "ratio": ratio(31.0), "reason": "what a row costs"}
    lines = [line("classes", "classes", n, [1, 32, 33, 4194304], [explained, cliff]) for n in (1, 2)]
    lines += [line("rows", "rows", n, [1, 2], []) for n in (1, 2)]
    return {"op": "softmax", "dtype": "float32", "output": "out=", "other_cores": None, "lines": lines}


def test_figures_and_texts_are_on_the_page_and_none_is_markup():
    text = page(document())
    reader = Reader(text)
    said = "\n".join(reader.words)
    for one in (NASTY, "x86_64 <Linux>", "3 of 7 not known to 3%", "softmax, 200 x 100 bfloat16", "0.250 · 0.501 ULP",
                "9.000 · wrong", "1.000 · 1.23e+04 ULP", "a copy: 0.100", "0.75 x float32", "7.25", "9.50", "~3.00",
                "1.25", "150.0", "0.035 us", "accuracy 0.50 ULP of 0.51 promised", "promises kept"):  # fmt: skip
        assert one in said, one
    assert "script" not in {tag for tag, _ in reader.tags}
    parsed(text)


def test_it_needs_nothing_else():
    text = page(document())
    for word in ("http:", "https:", "url(", "@import"):
        assert word not in text
    tags = Reader(text).tags
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in tags)
    assert not any(key in attributes for _, attributes in tags for key in ("src", "href", "srcset", "style"))


def test_it_is_semantic():
    root = parsed(page(document()))
    assert root.get("lang") == "en"
    assert root.find("head/title").text == "normexp 0.1.0, bench: promises kept in 1"
    for table in root.iter("table"):
        assert table.find("caption").text
        width = {len(one) for one in table.iter("tr")}
        assert len(width) == 1
    boxes = [one for one in root.iter("div") if one.get("class") == "box"]
    assert len(boxes) == len(list(root.iter("table"))) == 3
    assert all((one.get("tabindex"), one.get("role")) == ("0", "region") and one.get("aria-label") for one in boxes)
    for svg in root.iter("svg"):
        assert svg.get("role") == "img"
        # All that the picture shows, for those who do not see it.
        assert "softmax, 200 x 100 bfloat16, ns an element: a copy, out= 0.100; normexp, fresh 0.300" in (
            svg.get("aria-label")
        )
        assert f"{NASTY}, fresh 9.000, half of the rounds 8.100 to 10.800, largest error in ULP: wrong" in (
            svg.get("aria-label")
        )


def test_a_broken_promise_is_the_first_thing_said():
    promises = cell()["promises"] | {"broken": [f"an error {NASTY}"], "line": f"BROKEN: an error {NASTY}"}
    text = page(document(cells=[cell(promises=promises)], broken_promises=[f"softmax: an error {NASTY}"]))
    root = parsed(text)
    assert root.find("head/title").text == "normexp 0.1.0, bench: promises broken"
    header = "".join(root.find("body/header").itertext())
    assert "normexp does not keep what it promises" in header
    assert f"softmax: an error {NASTY}" in header
    (badge,) = [one for one in root.find("body/main").iter("span") if "badge" in one.get("class")]
    assert badge.text == "broken"


def test_the_file_gives_the_same_page():
    """Where the file has "inf" and "nan"."""
    assert page(_portable(document())) == page(document())


@pytest.mark.parametrize(
    "changed",
    [
        document(cells=[], geometric_means=[], training_steps=[]),
        document(cells=[cell(promises=None, missing={})]),
        document(front="torch", packages={"numpy": "2.4.6"}),
        document(cells=[], geometric_means=[], training_steps=[], scaling=[scaling()]),
    ],
)
def test_little_to_show(changed):
    text = page(changed)
    parsed(text)
    assert "None" not in text


def test_scaling():
    text = page(document(cells=[], scaling=[scaling()], cliffs=[f"32 classes {NASTY}"]))
    root = parsed(text)
    assert root.find("head/title").text == "normexp 0.1.0, bench: 1 cliff without a reason"
    said = "".join(root.itertext())
    assert f"32 classes {NASTY}" in said
    svgs = list(root.iter("svg"))
    assert [svg.get("aria-label") for svg in svgs] == [
        f"Time of an element against {along}, softmax float32, out=, {along} {NASTY}" for along in ("classes", "rows")
    ]
    for svg in svgs:
        groups = [one for one in svg.iter("g") if one.find("title") is not None]
        assert sorted(one.find("title").text.partition(":")[0] for one in groups) == ["1 thread", "2 threads"]
        # A ring at the cliff, none where there is a reason.
        rings = [circle for circle in svg.iter("circle") if circle.get("class") == "ring"]
        assert len(rings) == (2 if "classes" in svg.get("aria-label") else 0)
    cells = {one[0].text: one[-1].text for one in root.iter("tr")}
    assert cells["1"] in ("what a row costs", None)
    assert cells["32"] == "1.75 x 33 on 1 thread; 1.75 x 33 on 2 threads"


def test_scaling_without_cliffs():
    root = parsed(page(document(cells=[], scaling=[scaling()])))
    assert "No cliff without a reason." in "".join(root.itertext())
    assert root.find("head/title").text == "normexp 0.1.0, bench: 0 cliffs without a reason"


def drawn(one):
    svg = ElementTree.fromstring(bars(one))
    return svg, [group for group in svg.iter("g") if group.get("class") != "limit"]


def test_normexp_comes_first_and_the_limit_is_no_bar():
    _, groups = drawn(cell())
    names = [group.findall("text")[0].text for group in groups]
    assert names == [
        "normexp, fresh",
        "normexp, out=",
        "normexp in float32, fresh",
        f"{NASTY}, fresh",
        "NumPy, by hand, fresh",
    ]
    assert [group.get("class") for group in groups] == ["ours"] * 3 + ["peer"] * 2


def test_bars_are_to_scale_and_long_ones_are_cut():
    svg, groups = drawn(cell())
    widths = {group.find("text").text: float(group.find("rect").get("width")) for group in groups}
    assert widths["normexp, fresh"] / widths["normexp, out="] == pytest.approx(0.3 / 0.25, rel=1e-3)
    assert widths["NumPy, by hand, fresh"] / widths["normexp, out="] == pytest.approx(1.0 / 0.25, rel=1e-3)
    # Of 9 ns, six times 0.25 are shown, and two strokes say so.
    assert widths[f"{NASTY}, fresh"] / widths["normexp, out="] == pytest.approx(6, rel=1e-3)
    assert [group.find("path").get("class") for group in groups] == ["whisker"] * 3 + ["cut", "whisker"]
    (limit,) = [group for group in svg.iter("g") if group.get("class") == "limit"]
    at = float(re.match(r"M([\d.]+) ", limit.find("path").get("d"))[1])
    assert at / widths["normexp, out="] == pytest.approx(0.1 / 0.25, rel=1e-2)
    whisker = groups[0].find("path").get("d")
    low, high = float(re.match(r"M([\d.]+) ", whisker)[1]), float(re.search(r"H([\d.]+)", whisker)[1])
    assert low / widths["normexp, fresh"] == pytest.approx(0.9, rel=1e-2)
    assert high / widths["normexp, fresh"] == pytest.approx(1.2, rel=1e-2)


def test_of_small_cells_calls_are_shown():
    svg, groups = drawn(cell(is_small=True, shape=(2, 10)))
    assert groups[0].findall("text")[1].text == "0.006 · 0.501 ULP"  # 20 elements of 0.3 ns
    assert "us a call" in svg.get("aria-label")


@pytest.mark.parametrize("factor", [1e-4, 1.0, 30.0, 1e4])
def test_all_is_drawn_inside(factor):
    one = copy.deepcopy(cell())
    for each in one["rows"][:2]:  # the limits, anywhere beside the others
        each["ns_per_element"] *= factor
        each["ns_quartiles"] = (each["ns_per_element"], each["ns_per_element"])
    svg, _ = drawn(one)
    _, _, width, height = map(float, svg.get("viewBox").split())
    for rect in svg.iter("rect"):
        assert 1 <= float(rect.get("width")) <= width
        assert float(rect.get("y")) + float(rect.get("height")) <= height
    for text in svg.iter("text"):
        assert 0 <= float(text.get("x")) <= width
    for path in svg.iter("path"):
        assert all(0 <= float(x) <= width for x in re.findall(r"[MH](-?[\d.]+)", path.get("d")))


@pytest.mark.parametrize(("unchecked", "word"), [({}, "kept"), ({"v3": "no process"}, "checked in part")])
def test_what_was_not_checked_is_not_kept(unchecked, word):
    root = parsed(page(document(cells=[cell(promises=cell()["promises"] | {"unchecked": unchecked})])))
    assert [one.text for one in root.find("body/main").iter("span") if "badge" in one.get("class")] == [word]
