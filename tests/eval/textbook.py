"""The figures of an evaluation as a textbook has them, in float64; made data to try them on."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax, logsumexp

BINS = 15
# csrc/evaluate.hpp: a row's figures are right to 2^-20 of themselves.
CLOSE = 2.0**-20


def figures(logits, labels, ignore_index=None):
    """The keys of the JSON file, of rows whose logits are finite or -inf."""
    x, t = np.asarray(logits).astype(np.float64), np.asarray(labels).astype(np.int64)
    kept = np.ones(len(t), bool) if ignore_index is None else t != ignore_index
    ignored = int((~kept).sum())
    x, t = x[kept], t[kept]
    rows = np.arange(len(t))
    log_p = log_softmax(x, axis=1)
    p = np.exp(log_p)
    confidence, right = p.max(1), x.argmax(1) == t
    rank = (x > x[rows, t][:, None]).sum(1)
    rank += ((x == x[rows, t][:, None]) & (np.arange(x.shape[1]) < t[:, None])).sum(1)
    which = np.digitize(confidence, np.arange(BINS + 1) / BINS, right=True) - 1
    with np.errstate(invalid="ignore"):
        entropy = -np.where(p > 0, p * log_p, 0).sum(1)
    error = 0.0
    for i in range(BINS):
        if (which == i).any():
            error += (which == i).mean() * abs(right[which == i].mean() - confidence[which == i].mean())
    loss = -log_p[rows, t].mean()
    return {
        "rows": len(t),
        "ignored": ignored,
        "classes": x.shape[1],
        "cross_entropy": loss,
        "perplexity": np.exp(loss),
        "top1_accuracy": right.mean(),
        "top5_accuracy": (rank < 5).mean(),
        "mean_entropy": entropy.mean(),
        "brier_score": ((p - np.eye(x.shape[1])[t]) ** 2).sum(1).mean(),
        "expected_calibration_error": error,
    }


def loss_at(logits, labels, temperature):
    x = np.asarray(logits).astype(np.float64) / temperature
    return float((logsumexp(x, axis=1) - x[np.arange(len(x)), labels]).mean())


def slope_at(logits, labels, inverse):
    """Derivative of the loss by 1 / temperature."""
    x = np.asarray(logits).astype(np.float64)
    x = x - x.max(1, keepdims=True)
    p = np.exp(log_softmax(inverse * x, axis=1))
    with np.errstate(invalid="ignore"):
        return float((np.where(p > 0, p * x, 0).sum(1) - x[np.arange(len(x)), labels]).mean())


def best_temperature(logits, labels):
    """By bisection, to the last digits: the loss is convex in 1 / temperature."""
    log_inverse = brentq(lambda u: slope_at(logits, labels, np.exp(u)), np.log(1e-3), np.log(1e3), xtol=1e-12)
    return float(np.exp(-log_inverse))


def made(rng, kind, rows, classes, size=3.0, truth=1.0):
    """Logits, and labels drawn from their softmax at a temperature of 1 / truth."""
    if kind == "gaussian":
        x = rng.standard_normal((rows, classes)) * size
    elif kind == "gap":  # the hardest to expand: all rows alike, and all but one class
        x = np.zeros((rows, classes))
        x[np.arange(rows), rng.integers(classes, size=rows)] = size
    else:  # a sure class in noise, surer in some rows than in others
        x = rng.standard_normal((rows, classes)) * 1.5
        x[np.arange(rows), rng.integers(classes, size=rows)] += rng.gamma(3, size, rows)
    labels = (truth * x + rng.gumbel(size=x.shape)).argmax(1)
    return x.astype(np.float32), labels
