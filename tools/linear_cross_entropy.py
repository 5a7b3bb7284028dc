"""Measure linear_cross_entropy beside its peers, and draw what docs/linear_cross_entropy.md shows.

    python tools/linear_cross_entropy.py measure float32 1024,512,32000 docs/linear_cross_entropy.json
    python tools/linear_cross_entropy.py draw docs/linear_cross_entropy.json docs

`measure` adds one shape (N,H,V) to the file: the least time of forward and backward over rounds in which all peers take
turns, two threads, and the peak of memory beside arguments and gradients, each peer in a process of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import normexp
import normexp.torch as nxt

THREADS = 2
ROUNDS = 5
Step = Callable[[Tensor, Tensor, Tensor], Tensor]


def unfused(x: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """PyTorch's loss of all logits."""
    return F.cross_entropy(F.linear(x, weight), target)


def chunked(x: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """PyTorch's function with its own choice of chunks."""
    return F.linear_cross_entropy(x, weight, target, options=torch.nn.LinearCrossEntropyOptions())


PEERS: dict[str, Step] = {
    "normexp": nxt.linear_cross_entropy,
    "PyTorch, eager": unfused,
    "PyTorch, compiled": torch.compile(unfused),
    "PyTorch, chunked": chunked,
}


def arguments(dtype: str, shape: str) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states and weights that give logits of size 1, and labels."""
    rows, features, classes = map(int, shape.split(","))
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    x = torch.randn(rows, features).to(kind).requires_grad_()
    weight = torch.randn(classes, features).div_(features**0.5).to(kind).requires_grad_()
    return x, weight, torch.randint(classes, (rows,))


def step(peer: Step, x: Tensor, weight: Tensor, target: Tensor) -> float:
    """Forward and backward, in seconds."""
    x.grad = weight.grad = None
    start = time.perf_counter()
    peer(x, weight, target).backward()
    return time.perf_counter() - start


def status(what: str) -> int:
    """A field of the system's account of this process, in bytes."""
    found = re.search(what + r":\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def memory(peer: str, dtype: str, shape: str) -> None:
    """Print the peak beside arguments and gradients, in MiB."""
    x, weight, target = arguments(dtype, shape)
    rows = max(2, len(x) // 16)  # compiles, and brings in code, thread stacks and pools
    torch._dynamo.mark_dynamic(x, 0)
    step(PEERS[peer], x.detach()[:rows].requires_grad_(), weight, target[:rows])
    x.grad = weight.grad = None
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the compiler
    step(PEERS[peer], x, weight, target)
    gradients = sum(t.numel() * t.element_size() for t in (x, weight))
    print((status("VmHWM") - before - gradients) / 2**20)


def memory_of(peer: str, dtype: str, shape: str) -> float:
    """Run `memory` in a process that gives freed memory back at once."""
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, __file__, "memory", peer, dtype, shape]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def measure(dtype: str, shape: str, file: str) -> None:
    """Add a shape to the file."""
    given = arguments(dtype, shape)
    times: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for _ in range(1 + ROUNDS):
        for peer, taken in times.items():
            taken.append(step(PEERS[peer], *given))
    seconds = {peer: min(taken[1:]) for peer, taken in times.items()}
    del given
    extra = {peer: memory_of(peer, dtype, shape) for peer in PEERS}
    path = Path(file)
    known = json.loads(path.read_text()) if path.exists() else []
    row = {"dtype": dtype, "shape": list(map(int, shape.split(","))), "seconds": seconds, "MiB": extra}
    known = [old for old in known if (old["dtype"], old["shape"]) != (dtype, row["shape"])]
    path.write_text(json.dumps([*known, row], indent=1) + "\n")
    for peer in PEERS:
        print(f"{dtype} {shape} {peer}: {seconds[peer]:.3f} s, {extra[peer]:.0f} MiB")


def draw(file: str, folder: str) -> None:
    """Write time and memory against the number of rows, for the features and classes that have several."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "normexp"  # the same file for the same data
    from matplotlib import pyplot

    rows = json.loads(Path(file).read_text())
    for quantity, label in (
        ("seconds", "seconds, forward and backward"),
        ("MiB", "MiB beside arguments and gradients"),
    ):
        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
        for axis, dtype in zip(axes, ("float32", "bfloat16"), strict=True):
            line = sorted((r["shape"][0], r[quantity]) for r in rows if r["dtype"] == dtype and r["shape"][1] == 512)
            for peer in PEERS:
                axis.plot([n for n, _ in line], [values[peer] for _, values in line], "o-", label=peer)
            axis.set(title=f"{dtype}, H = 512, V = 32000", xlabel="rows", xscale="log", yscale="log")
            axis.grid(alpha=0.3)
        axes[0].set_ylabel(label)
        axes[0].legend(frameon=False)
        name = {"seconds": "time", "MiB": "memory"}[quantity]
        figure.savefig(Path(folder) / f"linear_cross_entropy_{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    normexp.set_num_threads(THREADS)
    {"measure": measure, "memory": memory, "draw": draw}[sys.argv[1]](*sys.argv[2:])
