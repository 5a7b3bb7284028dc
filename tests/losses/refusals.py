"""What the functions refuse: the error, its words, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import bits
from test_bad_input import SENTINEL

import normexp

X = np.arange(12.0, dtype=np.float32).reshape(3, 4) / 4
T = np.array([0, 3, 2])
Q = np.full((3, 4), 0.25, dtype=np.float32)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "nll_loss": normexp.nll_loss,
    "cross_entropy": normexp.cross_entropy,
    "cross_entropy_and_grad": normexp.cross_entropy_and_grad,
    "row_stats": normexp.row_stats,
}
LOSSES = ("nll_loss", "cross_entropy", "cross_entropy_and_grad")
FROM_LOGITS = LOSSES[1:]

Error = type[Exception] | tuple[type[Exception], ...]


def refused(name: str, error: Error, words: tuple[str, ...], x: Any = X, target: Any = T, **options: Any) -> None:
    """Call, expect that error with all these words in it, and find `out` untouched."""
    if name == "cross_entropy_and_grad":  # what would fit, had the rest been good
        options.setdefault("out", np.full(np.shape(x), SENTINEL, getattr(x, "dtype", np.float64)))
    out = options.get("out")
    before = bits(out) if isinstance(out, np.ndarray) and out.dtype.kind in "fV" else None
    with pytest.raises(error) as caught:
        FUNCTIONS[name](x, target, **options)
    for word in words:
        assert word in str(caught.value), f"{word!r} is not in the message: {caught.value}"
    if before is not None:
        assert (bits(out) == before).all(), "something was written to out"
