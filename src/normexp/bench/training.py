"""A step of training scikit-learn's digits by PyTorch: the network that `normexp.torch.enable` must not slow down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from normexp.bench.cell import Scope
from normexp.bench.peers.pytorch import import_torch
from normexp.bench.report import StepReport
from normexp.bench.timing import Ratio, Series, interleave
from normexp.verify.digits import load

_HIDDEN: Final = 64


def step(torch: Any, batch: int) -> Callable[[], object]:  # noqa: ANN401 - torch is optional, its types with it
    """Return a step as people write it, on the next rows of the digits; the same network and rows in every call."""
    images, labels = load()
    x, y = torch.from_numpy(images).float(), torch.from_numpy(labels)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], _HIDDEN), torch.nn.ReLU(), torch.nn.Linear(_HIDDEN, int(y.max()) + 1)
    )
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    batches = [(x[i : i + batch], y[i : i + batch]) for i in range(0, len(x) - batch + 1, batch)]
    count = 0

    def call() -> object:
        nonlocal count
        rows, target = batches[count % len(batches)]
        count += 1
        optimizer.zero_grad()
        loss = criterion(network(rows), target)
        loss.backward()
        optimizer.step()
        return loss

    return call


def measure(batch: int, threads: int, seconds: float) -> StepReport:
    """Time a step with normexp behind PyTorch's operators and without, side by side."""
    import normexp.torch

    torch = import_torch(threads)
    enabled: Scope = normexp.torch.accelerated
    plain, ours = Series({"": step(torch, batch)}), Series({"": step(torch, batch)}, enabled)
    interleave([plain, ours], [(plain, ours)], seconds)
    ratio = Ratio.of(plain.times, ours.times)
    return StepReport(batch, len(plain.times), plain.median * 1e6, ours.median * 1e6, ratio)
