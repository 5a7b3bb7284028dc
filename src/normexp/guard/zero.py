"""Losses that read exactly 0 although they are not: float32 has no number between 1 and the last one below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normexp.guard.losses import classes
from normexp.guard.values import some_rows


def reads_zero(args: Sequence[Any]) -> str | None:
    """Say what a cross-entropy of 0 of these arguments should have been, if anything counts that is not 0."""
    x, target, weight, _, ignore_index, smoothing = args
    if not isinstance(target, Tensor) or target.is_floating_point() or smoothing or x.dim() == 0:
        return None
    if x.size(classes(x)) < 2 or (weight is not None and not bool(weight.detach().all())):
        return None
    labels = target.reshape(-1)
    counted = labels != ignore_index
    rows = int(counted.sum())
    if rows < 2:  # one confident row is no sign of anything
        return None
    apart = some_rows(x, classes(x)).double()
    top = apart.topk(2, dim=-1).values
    top = top[torch.isfinite(top).all(-1)]
    if len(top) == 0:  # one class is all that a mask has left, and its loss is 0
        return None
    margin = float((top[:, 0] - top[:, 1]).min())
    least = float(torch.logsumexp(top - top[:, :1], -1).max())
    named = str(x.dtype).removeprefix("torch.")
    return (
        f"the loss reads exactly 0 in {named} for all of {rows} rows, and so does its gradient: the logits are "
        f"{margin:.3g} apart or more, where it is {_at_most(least, margin)}."
    )


def _at_most(loss: float, margin: float) -> str:
    # log1p(exp(-m)) of the smallest margin; below what float64 resolves beside 1 it is exp(-m) itself.
    return f"exp(-{margin:.3g})" if loss == 0 else f"{loss:.2g}"
