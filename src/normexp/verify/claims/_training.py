"""A small training run, softmax regression on scikit-learn's digits, with and without a softmax layer at the end."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normexp.verify.digits import load
from normexp.verify.peers import Array, Implementation

# Full-batch gradient descent from zero: nothing is drawn, so that both runs differ in the softmax layer alone.
_STEPS: Final = 60
_RATE: Final = 0.5


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    loss: float
    accuracy: float

    def __str__(self) -> str:
        return f"loss {self.loss:.3f}, {self.accuracy:.1%} right"


def train(implementation: Implementation, twice: bool, *, with_torch: bool) -> Run:
    """Train by this implementation's gradient of the loss, or by PyTorch throughout."""
    images, labels = load()
    return _torch_run(images, labels, twice) if with_torch else _numpy_run(implementation, images, labels, twice)


def gradient(implementation: Implementation, logits: Array, labels: Array, twice: bool) -> Array:
    """Return the gradient of each row's loss, alone or through one more softmax."""
    if not twice:
        return implementation.loss("cross_entropy_grad", logits, labels)
    p = implementation("softmax", logits)
    outer = implementation.loss("cross_entropy_grad", p, labels)
    return np.asarray(p * (outer - (p * outer).sum(axis=1, keepdims=True)))


def _numpy_run(implementation: Implementation, images: Array, labels: Array, twice: bool) -> Run:
    weights = np.zeros((images.shape[1], 10))
    for _ in range(_STEPS):
        weights -= _RATE * images.T @ gradient(implementation, images @ weights, labels, twice) / len(images)
    logits = images @ weights
    output = implementation("softmax", logits) if twice else logits
    losses = implementation.loss("cross_entropy", output, labels)
    return Run(float(losses.mean()), float((logits.argmax(axis=1) == labels).mean()))


def _torch_run(images: Array, labels: Array, twice: bool) -> Run:
    torch: Any = importlib.import_module("torch")
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    layer = torch.nn.Linear(images.shape[1], 10, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    network = torch.nn.Sequential(layer, torch.nn.Softmax(dim=1)) if twice else layer
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=_RATE)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        criterion(network(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        output = network(x)
        return Run(float(criterion(output, y)), float((output.argmax(dim=1) == y).double().mean()))
