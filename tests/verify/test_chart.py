"""The curves: broken where nothing is offered, crosses where it is wrong, names that do not overlap."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from normexp._page.lines import place
from normexp.verify.chart import chart


def curve(**max_ulp):
    lengths = [16, 256, 4096, 65536]
    return {"function": "softmax", "dtype": "float32", "spread": 5.0, "lengths": lengths, "max_ulp": max_ulp}


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
