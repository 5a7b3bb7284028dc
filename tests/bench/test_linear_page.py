"""Last layers on the page of `normexp bench`."""

import pytest

pytest.importorskip("rich")

from pages import Reader
from test_bench_page import NASTY, document, ratio

from normexp.bench.page import page


def layer(rows, peak=100 << 20, broken=()):
    """A last layer, whose peer has no figures of memory and errors."""
    ours = {
        "name": "normexp",
        "output": "fresh",
        "us_per_call": 12_500.0,
        "us_quartiles": (12_000.0, 13_000.0),
        "gflop_per_s": 321.0,
        "rounds": 8,
        "to_normexp": ratio(1.0),
        "peak_bytes": peak,
        "extra_bytes": peak and 30 << 20,
        "errors": {"loss": 1.25e-8, "hidden": 2e-7, "weight": "nan"},
    }
    nothing = {"peak_bytes": None, "extra_bytes": None, "errors": None}
    return {
        "op": "linear_cross_entropy",
        "shape": [rows, 16, 500],
        "dtype": "float32",
        "title": f"linear_cross_entropy, {rows} x 16 x 500 float32",
        "rounds": 8,
        "rows": [ours, {**ours, "name": NASTY, "to_normexp": ratio(1.75, width=1.0), **nothing}],
        "missing": {"JAX": f"not installed {NASTY}"},
        "logits_bytes": 7 << 20,
        "gradients_bytes": 70 << 20,
        "memory_bound_bytes": 64 << 20,
        "measured": None,
        "other_cores": 1.5,
        "steady": False,
        "promises": {"kept": [], "broken": list(broken), "unchecked": {}, "line": f"a line {NASTY}"},
    }


def test_last_layers():
    layers = [layer(64), layer(32, peak=None, broken=["memory 65 MiB of 64 promised"])]
    text = page(document(cells=[], linear=layers, kept_promises="promises kept in 1"))
    said = "\n".join(Reader(text).words)
    assert NASTY not in text
    for one in (NASTY, "promises kept in 1", "linear_cross_entropy, 64 x 16 x 500 float32", "12.500", "321.0",
                "100", "30", "1.2e-08", "nan", "~1.75", f"a line {NASTY}", "broken", "1.5 cores busy",
                "all logits: 7 MiB", "time: H = 16, V = 500, float32", "peak of memory: H = 16, V = 500, float32",
                "the gradients"):  # fmt: skip
        assert one in said, one
    assert said.count("not installed") == 2
    alone = page(document(linear=[layer(64)]))
    assert "peak of memory: " not in alone  # one point is no line
    unknown = page(document(linear=[layer(64, peak=None), layer(32, peak=None)]))
    assert "time: H = 16" in unknown
    assert "peak of memory: " not in unknown
