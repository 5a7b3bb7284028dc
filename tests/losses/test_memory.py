"""What a forward pass takes beside its arguments: next to nothing.

Python's own accounts (tracemalloc) do not see what the engine allocates, so the operating system is asked for the
largest resident size a process has had. The kernel rounds that by some hundred KB (each thread has a counter), and a
first call brings in code, thread stacks and pools. So a small part is computed first, and the arrays are so large that
their hundredth is far above the rounding. Of 4096 x 1000 and 65536 x 10 floats it is 164 and 26 KB, too little to be
told from nothing this way; but what grew with the rows, or with the logits, would show in the larger arrays.
"""

from __future__ import annotations

import sys

import pytest
from support import python

if not sys.platform.startswith("linux"):
    pytest.skip("the system's account is that of /proc", allow_module_level=True)

MEASURE = """
import re, sys, tracemalloc
import numpy as np, normexp

rows, classes, kind, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
normexp.set_num_threads(2)
shape = (rows, classes) if what != "channels" else (rows // 1000, classes, 1000)
axis = 1
x = np.empty(shape, dtype=kind)
x[...] = 1
x[..., 0] = 2
target = np.empty(rows if what != "channels" else (shape[0], shape[2]), dtype=np.int32)
target[...] = 1
if what == "soft":
    target = np.empty(shape, dtype=kind)
    target[...] = 1 / classes
calls = {
    "mean": lambda x, t: normexp.cross_entropy(x, t, axis=axis),
    "smoothed": lambda x, t: normexp.cross_entropy(x, t, axis=axis, label_smoothing=0.1),
    "weighted": lambda x, t: normexp.cross_entropy(x, t, axis=axis, weight=np.ones(classes)),
    "nll": lambda x, t: normexp.nll_loss(x, t, axis=axis),
    "in place": lambda x, t: normexp.cross_entropy_and_grad(x, t, axis=axis, out=x).loss,
}
call = calls.get(what, calls["mean"])

def peak():
    # Not getrusage: its figure is never below what the parent had when it started this process.
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])

few = max(1, shape[0] // 16)
call(x[:few], target[:few])
before = peak()
tracemalloc.start()
call(x, target)
seen_by_python = tracemalloc.get_traced_memory()[1]
print((peak() - before) / x.nbytes, seen_by_python / x.nbytes)
"""


def extra(*arguments: object) -> tuple[float, float]:
    """The extra memory of a call, as a share of the logits: by the system's account and by Python's."""
    # Large blocks go back to the system at once (glibc), so that what the first call took and freed is counted again.
    result = python("-c", MEASURE, *map(str, arguments), MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="0")
    assert result.returncode == 0, result.stderr
    system, seen = map(float, result.stdout.split())
    return system, seen


@pytest.mark.parametrize(
    ("rows", "classes", "kind", "what"),
    [
        (65_536, 1000, "float32", "mean"),
        (4_000_000, 10, "float32", "mean"),
        (4_000_000, 10, "float32", "weighted"),
        (4_000_000, 10, "float32", "smoothed"),
        (4_000_000, 10, "float32", "nll"),
        (4_000_000, 10, "float16", "mean"),
        (2_000_000, 21, "float32", "channels"),
        (2_000, 32_000, "float32", "mean"),
        (2_000, 32_000, "float32", "smoothed"),
        (2_000, 32_000, "float32", "soft"),
        (2, 20_000_000, "float32", "mean"),
        (2, 20_000_000, "float32", "smoothed"),
        (4_000_000, 10, "float32", "soft"),
        (4_000_000, 10, "float32", "in place"),
        (2_000, 32_000, "float32", "in place"),
    ],
)
def test_forward_takes_less_than_a_hundredth_of_the_logits(rows: int, classes: int, kind: str, what: str) -> None:
    system, seen = extra(rows, classes, kind, what)
    assert system < 0.01
    assert seen < 0.01


def test_that_the_measure_sees_a_copy() -> None:
    """Labels of another byte order are copied, which is 4 bytes a row: a tenth of ten float32 classes."""
    script = MEASURE.replace("dtype=np.int32)", "dtype='>i4')")
    assert script != MEASURE
    result = python("-c", script, "4000000", "10", "float32", "mean")
    system, seen = map(float, result.stdout.split())
    assert system > 0.08
    assert seen > 0.08
