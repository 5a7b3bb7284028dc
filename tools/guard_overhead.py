"""What guard costs: training with it beside training without it, by turns in one process.

    python tools/guard_overhead.py

Prints, for a small network of scikit-learn's digits and for a larger one, the ratio of 200 steps under guard (a fresh
one each time, so that the first batches count) to 200 steps alone, in seconds of the processor, which other processes
disturb less than those of the clock: the median ratio of runs that take turns, and the ratio of the fastest of each.
Exits with 1 if a median is 1.03 or more.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import torch
from sklearn.datasets import load_digits
from torch import nn

import normexp.torch as nxt

STEPS = 200
MOST = 1.03


def trainer(hidden: int, layers: int) -> Callable[[], float]:
    """Return a function that trains for some steps and says how many seconds of the processor that took."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    parts: list[nn.Module] = [nn.Linear(64, hidden)]
    for _ in range(layers):
        parts += [nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU()]
    model = nn.Sequential(*parts, nn.ReLU(), nn.Linear(hidden, 10))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    start_from = copy.deepcopy(model.state_dict())

    def train() -> float:
        model.load_state_dict(start_from)  # trained on and on it would come to losses of 0, which are looked into
        start = time.process_time()
        for _ in range(STEPS):
            rows = torch.randint(len(x), (64,))
            optimizer.zero_grad()
            criterion(model(x[rows]), y[rows]).backward()
            optimizer.step()
        return time.process_time() - start

    return train


def measured(train: Callable[[], float], pairs: int) -> tuple[float, float, float]:
    """Return the median ratio, the ratio of the fastest, and the seconds of a step alone."""
    train()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for pair in range(pairs):
        for guarded in (pair % 2 == 0, pair % 2 == 1):
            with nxt.guard(tell=lambda finding: None) if guarded else nullcontext():
                seconds[guarded].append(train())
    alone, under = seconds[False], seconds[True]
    ratio = median(b / a for a, b in zip(alone, under, strict=True))
    return ratio, min(under) / min(alone), min(alone) / STEPS


def main() -> int:
    """Measure and print."""
    torch.set_num_threads(1)
    worst = 0.0
    for name, hidden, layers, pairs in (("64-64-10", 64, 0, 200), ("64-256-10, 6 blocks", 256, 6, 25)):
        ratio, fastest, step = measured(trainer(hidden, layers), pairs)
        print(f"{name:<20} {step * 1e6:7.0f} us a step   {ratio:.3f} times as long under guard (fastest {fastest:.3f})")
        worst = max(worst, ratio)
    return int(worst >= MOST)


if __name__ == "__main__":
    sys.exit(main())
