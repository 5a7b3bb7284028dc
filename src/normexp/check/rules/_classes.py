"""The axis of the classes, as PyTorch's losses have it."""

from __future__ import annotations

from normexp.check.values import Tensor


def over_classes(value: Tensor) -> bool:
    """Tell whether a value is normalised along the axis that a loss takes for the classes: 1, or 0 of one row."""
    if value.axis is None:
        return True
    if value.rank is None:
        # -1 and 1 are one axis in a batch of rows; 0 would be the classes of a single row. -3: of images.
        return value.axis in (-1, 0, 1, 2, -3)
    classes = 1 if value.rank >= 2 else 0
    return value.rank == 0 or value.axis % value.rank == classes
