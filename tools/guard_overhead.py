"""What guard costs: training with it beside training without it, by turns in one process.

    python tools/guard_overhead.py

Prints, for a small network of scikit-learn's digits and for a larger one, the ratio of 200 steps under guard (a fresh
one each time, so that the first batches count) to 200 steps alone: the fastest of each, of runs that take turns. (What
else a machine does makes runs slower and never faster.) Exits with 1 if one is 1.03 or more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from sklearn.datasets import load_digits
from torch import nn

import normexp.torch as nxt

STEPS = 200
PAIRS = 30
MOST = 1.03


def trainer(hidden: int, layers: int) -> Callable[[], float]:
    """Return a function that trains for some steps and says how many seconds that took."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    parts: list[nn.Module] = [nn.Linear(64, hidden)]
    for _ in range(layers):
        parts += [nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU()]
    model = nn.Sequential(*parts, nn.ReLU(), nn.Linear(hidden, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def train() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            rows = torch.randint(len(x), (64,))
            optimizer.zero_grad()
            criterion(model(x[rows]), y[rows]).backward()
            optimizer.step()
        return time.perf_counter() - start

    return train


def measured(train: Callable[[], float]) -> tuple[float, float]:
    """Return the ratio, and the seconds of a step alone."""
    train()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(PAIRS):
        for guarded in (pair % 2 == 0, pair % 2 == 1):
            with nxt.guard() if guarded else nullcontext():
                seconds[guarded].append(train())
    return min(seconds[True]) / min(seconds[False]), min(seconds[False]) / STEPS


def main() -> int:
    """Measure and print."""
    torch.set_num_threads(1)
    worst = 0.0
    for name, hidden, layers in (("64-64-10", 64, 0), ("64-256-10, 6 blocks", 256, 6)):
        ratio, step = measured(trainer(hidden, layers))
        print(f"{name:<20} {step * 1e6:7.0f} us a step   {ratio:.3f} times as long under guard")
        worst = max(worst, ratio)
    return int(worst >= MOST)


if __name__ == "__main__":
    sys.exit(main())
