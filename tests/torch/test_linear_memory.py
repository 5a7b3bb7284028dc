"""What linear_cross_entropy takes beside its arguments and gradients: 64 MiB, or a sixteenth of the logits.

The operating system is asked for the largest resident size since a first small call; see tests/losses/test_memory.py.
"""

from __future__ import annotations

import re
import sys

import pytest
from support import python

pytest.importorskip("torch")
if not sys.platform.startswith("linux"):
    pytest.skip("the system's account is that of /proc", allow_module_level=True)

MEASURE = """
import re, sys, torch, torch.nn.functional as F, normexp, normexp.torch as nxt
from pathlib import Path

rows, features, classes = map(int, sys.argv[1:4])
dtype, what = getattr(torch, sys.argv[4]), sys.argv[5]
torch.set_num_threads(2), normexp.set_num_threads(2)
x = torch.full((rows, features), 0.01, dtype=dtype, requires_grad=what != "frozen trunk")
weight = torch.full((classes, features), 0.01, dtype=dtype, requires_grad=what != "frozen head")
target = torch.ones(rows, dtype=torch.int64)
if what == "ignored":
    target[::3] = -100
options = {"reduction": "none"} if what == "none" else {"softcap": 30.0, "z_loss": 1e-4} if what == "shaped" else {}

def status(what):
    return 1024 * int(re.search(what + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

def step(x, weight, target):
    if what == "unfused":
        loss = F.cross_entropy(F.linear(x, weight), target)
    elif what == "forward":
        with torch.no_grad():
            return nxt.linear_cross_entropy(x, weight, target)
    else:
        loss = nxt.linear_cross_entropy(x, weight, target, **options)
    loss.sum().backward()

step(x[:64], weight[:1000], target[:64])
x.grad = weight.grad = None
before = status("VmRSS")
step(x, weight, target)
gradients = sum(t.numel() * t.element_size() for t in (x.grad, weight.grad) if t is not None)
print((status("VmHWM") - before - gradients) / 2**20)
"""

MORE_THAN_A_GIB = (16_384, 64, 50_257)


def extra(shape: tuple[int, int, int], kind: str, what: str) -> float:
    """MiB beside the arguments and gradients."""
    # Large blocks go back to the system at once (glibc), so that what a call took and freed is counted again.
    arguments = (*map(str, shape), kind, what)
    result = python("-c", MEASURE, *arguments, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="0")
    assert result.returncode == 0, result.stderr
    return float(re.findall(r"-?[\d.]+", result.stdout)[-1])


@pytest.mark.parametrize(
    ("shape", "kind", "what"),
    [
        ((1024, 512, 32_000), "float32", "mean"),
        ((1024, 512, 32_000), "bfloat16", "mean"),
        ((4096, 64, 50_257), "float32", "mean"),
        ((4096, 64, 50_257), "bfloat16", "mean"),
        ((2048, 16, 128_256), "float32", "mean"),
        ((2048, 16, 32_000), "float16", "mean"),
        ((2048, 16, 32_000), "float64", "mean"),
        (MORE_THAN_A_GIB, "float32", "mean"),
        ((4096, 64, 32_000), "float32", "none"),
        ((4096, 64, 32_000), "float32", "shaped"),
        ((4096, 64, 32_000), "bfloat16", "shaped"),
        ((4096, 64, 32_000), "float32", "ignored"),
        ((4096, 64, 32_000), "float32", "forward"),
        ((4096, 64, 32_000), "float32", "frozen trunk"),
        ((4096, 64, 32_000), "bfloat16", "frozen head"),
    ],
)
def test_memory(shape: tuple[int, int, int], kind: str, what: str) -> None:
    rows, _, classes = shape
    itemsize = {"float64": 8, "float32": 4}.get(kind, 2)
    assert extra(shape, kind, what) <= max(64, rows * classes * itemsize / 16 / 2**20)


def test_that_the_measure_sees_logits() -> None:
    assert extra((1024, 64, 32_000), "float32", "unfused") > 125
