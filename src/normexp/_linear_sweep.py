"""linear_cross_entropy of NumPy arrays: the loss, and the gradients that are wanted, in one sweep over the rows."""

from __future__ import annotations

import math
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from normexp._arrays import Array, as_logits
from normexp._block_loss import BlockLoss, LogitOptions
from normexp._blocks import Blocks, as_budget, blocks_of, cut, panels
from normexp._targets import (
    as_ignore_index,
    as_smoothing,
    as_target,
    as_weight,
    check_reduction,
    divided,
    for_engine,
    is_labels,
    mean_divisor,
)


class Sweep:
    """What a sweep over the rows reads, checked, and what it writes."""

    def __init__(
        self,
        hidden: ArrayLike,
        linear_weight: ArrayLike,
        target: ArrayLike,
        bias: ArrayLike | None,
        weight: ArrayLike | None,
        ignore_index: SupportsIndex,
        label_smoothing: float,
        reduction: str,
        options: LogitOptions,
    ) -> None:
        check_reduction(reduction)
        self.reduction = reduction
        self.given, self.weight = as_logits(hidden, "hidden"), as_logits(linear_weight, "linear_weight")
        x, (classes, features) = self.given, _matrix(self.weight)
        if not x.ndim or x.shape[-1] != features:
            raise ValueError(f"hidden has shape {x.shape}; expected (..., {features}), as linear_weight has {features}")
        self.given_bias = None if bias is None else as_logits(bias, "bias")
        if self.given_bias is not None and self.given_bias.shape != (classes,):
            raise ValueError(f"bias has shape {self.given_bias.shape}; expected ({classes},), one for each class")
        self.shape = x.shape[:-1]
        against = as_target(target, self.shape, (*self.shape, classes))
        weights = as_weight(weight, classes)
        asked = as_ignore_index(ignore_index)
        if not is_labels(against) and asked >= 0:
            raise ValueError(f"ignore_index is {asked}, but target holds probabilities: no row has a label to ignore")
        self.loss = BlockLoss(options, weights, as_smoothing(label_smoothing), axis=1)
        against, ignored = for_engine(against, asked)
        rows = math.prod(self.shape)
        self.divisor = mean_divisor(against, classes, ignored, weights, rows)
        self.x = x.reshape(rows, features)
        self.target = against.reshape(rows, *against.shape[len(self.shape) :])
        counts = self.target != ignored if is_labels(against) and ignored is not None else np.True_
        self.kept = None if counts.all() else np.flatnonzero(counts)
        self.count = rows if self.kept is None else len(self.kept)
        promoted = np.result_type(x.dtype, self.weight.dtype)
        self.wide = np.dtype(np.float64 if promoted == np.float64 else np.float32)

    def run(self, memory_budget: SupportsIndex | None, grads: tuple[str, ...]) -> Array:
        """Return the loss; afterwards there are the gradients."""
        blocks, dtype = self._plan(memory_budget)
        rows, classes = len(self.x), len(self.weight)
        self.any_wanted = bool(grads)
        self.bias = None if self.given_bias is None else self.given_bias.astype(self.wide)
        self.each = np.zeros(rows, self.wide) if self.reduction == "none" else None
        self.by_hidden = np.zeros(self.x.shape, self.given.dtype) if "hidden" in grads else None
        self.by_weight = np.zeros(self.weight.shape, dtype) if "weight" in grads else None
        self.by_bias = np.zeros(classes) if "bias" in grads and self.given_bias is not None else None
        self.gain = divided(1.0, self.divisor) if self.reduction == "mean" else 1.0
        buffer = np.empty((blocks.chunk, classes), self.wide) if self.count else None
        total = 0.0
        for chunk in cut(0, self.count, blocks.chunk):
            total += self._chunk(chunk, blocks, buffer)
        if self.each is not None:
            return self.each.reshape(self.shape)
        if self.reduction == "mean":
            # Labels whose weights add up to 0 give NaN, whatever smoothing adds: PyTorch divides the two apart.
            total = divided(total, self.divisor) if self.divisor else math.nan
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(total).astype(self.wide)

    def gradients(self) -> tuple[Array | None, Array | None, Array | None]:
        """Return them in the shapes and dtypes of the arguments."""
        by_hidden = None if self.by_hidden is None else self.by_hidden.reshape(self.given.shape)
        by_weight = None if self.by_weight is None else self.by_weight.astype(self.weight.dtype, copy=False)
        if self.by_bias is None or self.given_bias is None:
            return by_hidden, by_weight, None
        return by_hidden, by_weight, self.by_bias.astype(self.given_bias.dtype)

    def _plan(self, memory_budget: SupportsIndex | None) -> tuple[Blocks, np.dtype[np.generic]]:
        """Choose the blocks, and the dtype that the gradient by the weights is added up in over chunks.

        That is float32 for half types, if half of the budget has room for it.
        """
        classes, itemsize = len(self.weight), self.wide.itemsize
        budget = as_budget(memory_budget, len(self.x) * classes * self.weight.itemsize)

        def within(bytes_left: int) -> Blocks:
            block_bytes = self.loss.bytes_of_logit(itemsize)
            return blocks_of(self.count, classes, bytes_left, chunk_bytes=itemsize, block_bytes=block_bytes)

        blocks, total = within(budget), self.weight.size * itemsize
        if blocks.chunk >= self.count or self.weight.dtype == self.wide or total > budget // 2:
            return blocks, self.weight.dtype
        return within(budget - total), self.wide

    def _chunk(self, chunk: slice, blocks: Blocks, buffer: Array | None) -> float:
        assert buffer is not None
        rows = chunk if self.kept is None else self.kept[chunk]
        x = self.x[rows].astype(self.wide, copy=False)
        logits = buffer[: len(x)]
        for classes in self._panels(len(x)):
            np.matmul(x, self.weight[classes].astype(self.wide, copy=False).T, out=logits[:, classes])
        if self.bias is not None:
            logits += self.bias
        total, target = 0.0, self.target[rows]
        for block in cut(0, len(x), blocks.loss):
            each = None if self.each is None else np.empty(len(logits[block]), self.wide)
            total += self.loss(logits[block], target[block], self.gain, each, self.any_wanted)
            if self.each is not None:
                within = slice(chunk.start + block.start, chunk.start + block.stop)
                self.each[within if self.kept is None else self.kept[within]] = each
        self._add_gradients(rows, x, logits)
        return total

    def _add_gradients(self, rows: slice | Array, x: Array, gradient: Array) -> None:
        if self.by_bias is not None:
            self.by_bias += gradient.sum(0, dtype=np.float64)
        by_hidden = np.zeros(x.shape, self.wide) if self.by_hidden is not None else None
        for classes in self._panels(len(x)):
            part = gradient[:, classes]
            if by_hidden is not None:
                by_hidden += part @ self.weight[classes].astype(self.wide, copy=False)
            if self.by_weight is not None:
                self.by_weight[classes] = (part.T @ x) + self.by_weight[classes]
        if by_hidden is not None and self.by_hidden is not None:
            self.by_hidden[rows] = by_hidden

    def _panels(self, rows: int) -> list[slice]:
        """Cut the classes: into some at a time, which are widened or added together."""
        return list(panels(len(self.weight), max(self.weight.shape[1], rows)))


def _matrix(weight: Array) -> tuple[int, int]:
    if weight.ndim != 2:
        raise ValueError(f"linear_weight has shape {weight.shape}; expected two axes, (classes, features)")
    classes, features = weight.shape
    return classes, features
