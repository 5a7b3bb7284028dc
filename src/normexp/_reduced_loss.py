"""The losses' one way to the engine: arguments checked, rows summed, the mean's divisor found before any gradient."""

from __future__ import annotations

import math
from typing import Final, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from normexp import _engine
from normexp._arrays import Array
from normexp._targets import (
    as_ignore_index,
    as_smoothing,
    as_weight,
    check_reduction,
    divided,
    for_engine,
    is_labels,
    mean_divisor,
    rows_shape,
)

# Below this, 1 / divisor may overflow.
_SMALL_DIVISOR: Final = 2.0**-1000


def reduced_loss(
    x: Array,
    target: Array,
    axis: int,
    weight: ArrayLike | None,
    ignore_index: SupportsIndex,
    label_smoothing: float,
    reduction: str,
    *,
    log_probs: bool,
    grad: Array | None = None,
) -> Array:
    """Return the loss of `cross_entropy`, or of `nll_loss`; write its gradient into `grad` if given."""
    check_reduction(reduction)
    weights = as_weight(weight, x.shape[axis])
    asked = as_ignore_index(ignore_index)
    if not is_labels(target) and asked >= 0:
        raise ValueError(f"ignore_index is {asked}, but target holds probabilities: no row has a label to ignore")
    target, ignored = for_engine(target, asked)
    smoothing = as_smoothing(label_smoothing)
    shape = rows_shape(x, axis)
    rows = int(np.prod(shape, dtype=np.int64))
    divisor = mean_divisor(target, x.shape[axis], ignored, weights, rows)
    # The mean is the same for larger weights.
    if weights is not None and 0 < abs(divisor) < _SMALL_DIVISOR and np.abs(weights).max() < 1:
        weights, divisor = weights / _SMALL_DIVISOR, divisor / _SMALL_DIVISOR
    gain = divided(1.0, divisor) if reduction == "mean" else 1.0
    part = None
    if reduction == "mean" and divisor == 0 and smoothing > 0 and is_labels(target):
        # PyTorch divides the labels' part and the smoothed one each, which makes a difference where that is by 0; and
        # its gradient is NaN. Before the gradient may take the logits' place.
        part = (1 - smoothing) * _engine.losses(x, target, axis, weights, ignored, 0.0, False, 1.0, None, None)
        gain = math.nan
    each = np.zeros(shape, x.dtype) if reduction == "none" else None
    total = _engine.losses(x, target, axis, weights, ignored, smoothing, log_probs, gain, each, grad)
    if each is not None:
        return each
    if reduction == "mean":
        total = divided(total, divisor) if part is None else divided(total - part, divisor) + divided(part, divisor)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(total).astype(x.dtype)
