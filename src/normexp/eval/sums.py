"""What rows of logits with labels come to: the engine's sums over rows, and the figures that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np

from normexp import _engine
from normexp._arrays import Array


class Sums(NamedTuple):
    """Sums over rows, as csrc/job.hpp lists them.

    Parameters
    ----------
    rows : float
        How many rows count.
    loss, entropy, brier : float
        In nats, in nats; squared distance between the probabilities and the label's.
    top1, top5 : float
        Rows whose label is the largest logit, or among the five largest.
    log_sum, label_distance : float
        At the temperature that was asked for; see `temperature.Expansion`.
    cumulants : ndarray
        Likewise.
    bin_rows, bin_confidence, bin_right : ndarray
        By bins of confidence, the largest probability: rows, the sum of their confidences, those that are right.
    """

    rows: float
    loss: float
    entropy: float
    brier: float
    top1: float
    top5: float
    log_sum: float
    label_distance: float
    cumulants: Array
    bin_rows: Array
    bin_confidence: Array
    bin_right: Array

    @classmethod
    def total(cls, parts: Iterable[Self]) -> Self:
        """Add up, in order."""
        total: list[Any] | None = None
        for part in parts:
            total = list(part) if total is None else [a + b for a, b in zip(total, part, strict=True)]
        if total is None:
            raise ValueError("nothing to add up")
        return cls(*total)

    @property
    def cross_entropy(self) -> float:
        """Mean loss of a row, in nats."""
        return self.loss / self.rows

    @property
    def perplexity(self) -> float:
        """Of the mean loss."""
        try:
            return math.exp(self.cross_entropy)
        except OverflowError:
            return math.inf

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy, bin by bin."""
        return float(np.abs(self.bin_right - self.bin_confidence).sum()) / self.rows


def evaluate(logits: Array, labels: Array, ignore_index: int | None, temperature: float) -> tuple[int, Sums]:
    """Return the first row that is no logits, or -1, and the sums over the rows."""
    bad_row, *sums = _engine.evaluate(logits, labels, ignore_index, temperature)
    return bad_row, Sums._make(np.asarray(item) if isinstance(item, list) else item for item in sums)
