"""What the scripts train: scikit-learn's digits in batches of 64, and a small network."""

import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)
X, Y = load_digits(return_X_y=True)
X, Y = torch.tensor(X, dtype=torch.float32) / 16, torch.tensor(Y)


def batches(count=5):
    for index in range(count):
        rows = torch.arange(64 * index, 64 * index + 64) % len(X)
        yield X[rows], Y[rows]


def network(*last, outputs=10):
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, outputs), *last)


def train(model, loss_of, count=5, rate=0.1):
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for x, y in batches(count):
        optimizer.zero_grad()
        loss_of(x, y).backward()
        optimizer.step()
