"""What a loss is taken against: class indices or class probabilities, weights, and how rows are put together."""

from __future__ import annotations

import math
from typing import Final, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from normexp import _engine
from normexp._arrays import Array, as_array, as_integer, as_native, as_number, is_float, one_axis

REDUCTIONS: Final = ("none", "mean", "sum")


def class_axis(axis: SupportsIndex, logits: Array, name: str = "logits") -> int:
    """Return the class axis, in 0 .. ndim - 1."""
    if logits.ndim == 0:
        raise ValueError(f"{name} has no axis of classes: it is 0-dimensional")
    if axis is None or isinstance(axis, (tuple, list)):
        raise TypeError(f"axis must be one integer, the axis of the classes, not {axis!r}")
    return one_axis(axis, logits.ndim)


def rows_shape(logits: Array, axis: int) -> tuple[int, ...]:
    """Return the shape of what comes one to a row."""
    return logits.shape[:axis] + logits.shape[axis + 1 :]


def as_labels(target: ArrayLike, shape: tuple[int, ...], logits_shape: tuple[int, ...]) -> Array:
    """Return class indices, one a row, of any integer dtype."""
    array = as_array(target, "target")
    if array.dtype.kind == "b":
        raise TypeError("target is bool; pass target.astype(int) for class indices, .astype(float) for probabilities")
    if array.dtype.kind not in "iu":
        if array.size or array.shape != shape or isinstance(target, np.ndarray):
            raise TypeError(f"target has dtype {array.dtype}; expected integers, the class indices")
        array = array.astype(np.int64)  # an empty list
    if array.shape != shape:
        hint = "; if they are one-hot, pass target.astype(float)" if array.shape == logits_shape else ""
        raise ValueError(
            f"target has shape {array.shape}; expected {shape}, one class index for each row of logits of shape "
            f"{logits_shape}{hint}"
        )
    return as_native(array)


def as_target(target: ArrayLike, shape: tuple[int, ...], logits_shape: tuple[int, ...]) -> Array:
    """Return class indices, or class probabilities of the logits' shape."""
    array = as_array(target, "target")
    if array.dtype.kind in "biu" or (not array.size and array.shape == shape and shape != logits_shape):
        return as_labels(target, shape, logits_shape)
    if not is_float(array.dtype):
        raise TypeError(f"target has dtype {array.dtype}; expected integers (class indices) or floats (probabilities)")
    if array.shape != logits_shape:
        hint = "; class indices must be integers" if array.shape == shape else ""
        raise ValueError(
            f"target has shape {array.shape}; expected class probabilities of the logits' shape, {logits_shape}, or "
            f"class indices of shape {shape}{hint}"
        )
    return as_native(array)


def is_labels(target: Array) -> bool:
    """Whether a target holds class indices."""
    return target.dtype.kind in "iu"


def as_weight(weight: ArrayLike | None, classes: int) -> Array | None:
    """Return the class weights as contiguous float64, or None."""
    if weight is None:
        return None
    array = as_array(weight, "weight")
    if array.dtype.kind not in "iu" and not is_float(array.dtype):
        raise TypeError(f"weight has dtype {array.dtype}; expected real numbers")
    if array.shape != (classes,):
        raise ValueError(f"weight has shape {array.shape}; expected ({classes},), one weight for each class")
    return np.ascontiguousarray(array, dtype=np.float64)


def as_ignore_index(ignore_index: SupportsIndex) -> int:
    """Return the ignored label as an integer."""
    return as_integer(ignore_index, "ignore_index must be an integer")


def for_engine(target: Array, ignore_index: int) -> tuple[Array, int | None]:
    """Return labels and the ignored one as the engine takes them: the latter within 64 bits, or None."""
    if -(2**63) <= ignore_index < 2**63:
        return target, ignore_index
    if target.dtype != np.uint64:
        return target, None
    # Labels that large are no classes either: they stay beyond all classes.
    return np.where(target == ignore_index, -1, np.minimum(target, 2**63 - 1).astype(np.int64)), -1


def as_smoothing(label_smoothing: float) -> float:
    """Return the label smoothing as a float in [0, 1]."""
    value = as_number(label_smoothing, "label_smoothing")
    if not 0 <= value <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, not {label_smoothing!r}")
    return value


def check_reduction(reduction: str) -> None:
    """Refuse what is no reduction."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}, not {reduction!r}")


def check_labels(target: Array, classes: int, ignore_index: int | None, weight: Array | None) -> tuple[int, float]:
    """Return how many labels count, and the sum of their weights.

    Raises
    ------
    IndexError
        If a label is no class and not the ignored one.
    """
    bad, kept, total = _engine.count_labels(target, classes, ignore_index, weight)
    if bad >= 0:
        at = np.unravel_index(bad, target.shape)
        place = f"target[{', '.join(map(str, at))}]" if at else "target"
        allowed = f"0 to {classes - 1}" if classes else "none, as there are no classes"
        also = "" if ignore_index is None else f", or ignore_index, {ignore_index}"
        raise IndexError(f"{place} is {target[at]}, which is no class: expected {allowed}{also}")
    return kept, total


def mean_divisor(target: Array, classes: int, ignore_index: int | None, weight: Array | None, rows: int) -> float:
    """Check the labels, and return what the mean over rows divides by.

    That is the sum of the weights of the labels that count, their number without weights; for probabilities, the number
    of rows, which PyTorch counts by elements a class: without classes there is no number of them.
    """
    if not is_labels(target):
        return float(rows) if classes else math.nan
    kept, total = check_labels(target, classes, ignore_index, weight)
    return float(kept) if weight is None else total


def divided(total: float, divisor: float) -> float:
    """Divide as IEEE 754 does: the mean over nothing is NaN."""
    with np.errstate(all="ignore"):
        return float(np.float64(total) / np.float64(divisor))
