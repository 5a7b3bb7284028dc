"""The axis of the classes, as the losses of a library have it."""

from __future__ import annotations

from typing import Final

from normexp.check.event import Event
from normexp.check.values import Tensor

_LAST: Final = frozenset({"tensorflow", "keras", "jax", "optax", "flax", "distrax", "tensorflow_probability"})


def classes_last(event: Event) -> bool:
    """Tell whether an operation is of a library that has the classes on the last axis, not on axis 1."""
    return event.library in _LAST


def over_classes(event: Event, value: Tensor) -> bool:
    """Tell whether a value is normalised along the axis that a loss takes for the classes."""
    if value.axis is None:
        return True
    if value.rank is None:
        # -1 and 1 are one axis in a batch of rows; 0 would be the classes of a single row. -3: of images.
        return value.axis in (-1, 0, 1, 2, 3 if classes_last(event) else -3)
    classes = value.rank - 1 if classes_last(event) else min(1, value.rank - 1)
    return value.rank == 0 or value.axis % value.rank == classes
