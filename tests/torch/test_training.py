"""A small classifier of digits, trained end to end with normexp behind PyTorch's operators and without."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")
import torch
from torch import nn

import normexp.torch as nxt
from normexp.verify.digits import load

STEPS = 200
BATCH = 256


def train(dtype: torch.dtype, attention: bool = False) -> tuple[list[float], nn.Module]:
    """The losses of all steps, and the model: always the same start and the same batches."""
    torch.manual_seed(0)
    images, labels = load()
    x, y = torch.from_numpy(images).to(dtype), torch.from_numpy(labels)
    # Drawn in float32, so that every dtype starts at the same numbers.
    model = Attentive() if attention else nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    model = model.to(dtype)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    order = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(STEPS):
        batch = torch.randint(len(x), (BATCH,), generator=order)
        optimizer.zero_grad()
        loss = criterion(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, model


class Attentive(nn.Module):
    """The rows of an image attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
        self.decide = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.embed(x.unflatten(1, (8, 8)))
        mixed, _ = self.attend(rows, rows, rows)
        return self.decide((rows + mixed).flatten(1))


def furthest(losses: list[float], others: list[float]) -> float:
    """The largest distance of two curves."""
    return max(abs(a - b) for a, b in zip(losses, others, strict=True))


@pytest.mark.parametrize("attention", [False, True])
def test_the_same_learning_curve(attention: bool) -> None:
    """As near the curve of float64 as PyTorch's float32 is, so that what differs is the rounding of float32."""
    exact, _ = train(torch.float64, attention)
    plain, model = train(torch.float32, attention)
    with nxt.accelerated():
        ours, other = train(torch.float32, attention)
    assert ours[-1] < ours[0] / 10, "it has learned"
    assert ours != plain, "and on our kernels"
    # Both are one draw each of what 200 steps make of their roundings.
    assert furthest(ours, exact) <= 4 * furthest(plain, exact)
    assert furthest(ours, plain) <= 4 * furthest(plain, exact)
    x = torch.from_numpy(load()[0]).float()
    with torch.no_grad():
        same = (model(x).argmax(1) == other(x).argmax(1)).double().mean()
    assert same > 0.99
    assert train(torch.float32, attention)[0] == plain, "undone, to the last bit"
