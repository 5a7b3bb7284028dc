"""linear_cross_entropy over chunks of rows: the loss, and the gradients that are wanted, in one sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from normexp import _engine
from normexp._arrays import Array
from normexp._block_loss import BlockLoss, LogitOptions
from normexp._blocks import as_budget, blocks_of
from normexp._targets import divided, mean_divisor
from normexp.torch._linear_products import Products
from normexp.torch._tensors import MEAN, NONE


class Settings(NamedTuple):
    """What linear_cross_entropy is told besides its tensors; reduction as PyTorch numbers it."""

    ignore_index: int
    label_smoothing: float
    reduction: int
    temperature: float
    softcap: float | None
    z_loss: float
    memory_budget: int | None


class Made(NamedTuple):
    """The loss, and the gradients by hidden states, weights and bias; None where they were not wanted."""

    loss: Tensor
    by_input: Tensor | None = None
    by_weight: Tensor | None = None
    by_bias: Tensor | None = None


class Problem(NamedTuple):
    """(N, H) hidden states, (V, H) weights, (V) bias, (N) labels or (N, V) probabilities, (V) weights of classes."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    target: Tensor
    class_weight: Tensor | None

    def map(self, change: Callable[[Tensor], Tensor]) -> Problem:
        """Change hidden states, weights and biases, and leave the rest."""
        bias = None if self.bias is None else change(self.bias)
        return self._replace(input=change(self.input), weight=change(self.weight), bias=bias)

    def checked_divisor(self, settings: Settings) -> float:
        """Check the labels, and return what the mean divides by."""
        labels = not self.target.is_floating_point()
        target = self.target.numpy() if labels else np.empty(0)
        return mean_divisor(target, len(self.weight), settings.ignore_index, self.weights(), len(self.input))

    def weights(self) -> Array | None:
        """Return the weights of the classes as the engine takes them."""
        return None if self.class_weight is None else self.class_weight.to(torch.float64).contiguous().numpy()


def swept(
    problem: Problem, settings: Settings, wanted: tuple[bool, bool, bool], upstream: Tensor | None = None
) -> Made:
    """Return the loss, and the wanted gradients: of the reduced loss, or of the sum of upstream times the rows' losses.

    Before the labels are known to be classes nothing is allocated.
    """
    problem = problem.map(Tensor.detach)
    x, weight, bias, target, _ = problem
    divisor = problem.checked_divisor(settings)
    gain = divided(1.0, divisor) if settings.reduction == MEAN else 1.0
    kept = _rows_that_count(target, settings.ignore_index)
    count = len(x) if kept is None else len(kept)
    if weight.stride(0) != 1 and weight.stride(1) != 1:
        weight = weight.contiguous()  # once, and not in every product
    products = Products.of(weight)
    options = LogitOptions(settings.temperature, settings.softcap, settings.z_loss)
    loss_of = BlockLoss(options, problem.weights(), settings.label_smoothing)
    budget = as_budget(settings.memory_budget, len(x) * len(weight) * weight.element_size())
    total = _WeightTotal(weight, products.wide, budget) if wanted[1] else None
    blocks = blocks_of(
        count,
        len(weight),
        budget - (0 if total is None else total.extra_bytes),
        _engine.thread_count(),
        itemsize=products.wide.itemsize,
        chunk_bytes=products.bytes_of_logit,
        block_bytes=products.bytes_in_block + loss_of.bytes_of_logit(products.wide.itemsize),
    )
    each = torch.zeros(len(x), dtype=products.wide) if settings.reduction == NONE else None
    by_input = torch.zeros_like(x, memory_format=torch.contiguous_format) if wanted[0] else None
    by_bias = torch.zeros(len(weight), dtype=torch.float64) if wanted[2] else None
    added = None if bias is None else bias.to(products.wide)
    loss = 0.0
    for chunk in blocks.chunks(count):
        rows = chunk if kept is None else kept[chunk]
        products.start(x[rows])
        for block in blocks.loss_blocks(chunk.stop - chunk.start):
            within = slice(chunk.start + block.start, chunk.start + block.stop)
            which = within if kept is None else kept[within]
            logits = products.block(block)
            if added is not None:
                logits += added
            against = target[which]
            against = against.to(products.wide) if against.is_floating_point() else against
            row_losses = None if each is None else np.empty(len(logits), logits.numpy().dtype)
            loss += loss_of(logits.numpy(), against.numpy(), gain, row_losses, any(wanted))
            if each is not None:
                each[which] = torch.from_numpy(row_losses)
            if upstream is not None:
                logits *= upstream[which].to(products.wide).unsqueeze(1)
            if by_bias is not None:
                by_bias += logits.sum(0)
            if any(wanted):
                products.keep(block, logits)
        if by_input is not None:
            by_input[rows] = products.by_input().to(x.dtype)
        if total is not None:
            total.add(products)
    return Made(
        _reduced(loss, divisor, settings, products.wide) if each is None else each,
        by_input,
        None if total is None else total.rounded(),
        None if by_bias is None or bias is None else by_bias.to(bias.dtype),
    )


def _rows_that_count(target: Tensor, ignore_index: int) -> Tensor | None:
    """Return the indices of the rows that are not ignored, or None if all of them count."""
    if target.is_floating_point():
        return None
    counts = target != ignore_index
    return None if bool(counts.all()) else counts.nonzero().squeeze(1)


def _reduced(loss: float, divisor: float, settings: Settings, dtype: torch.dtype) -> Tensor:
    if settings.reduction == MEAN:
        # Labels whose weights add up to 0 give NaN, whatever smoothing adds: PyTorch divides the two apart.
        loss = divided(loss, divisor) if divisor else math.nan
    return torch.tensor(loss, dtype=dtype)


class _WeightTotal:
    """The gradient by the weights, added up over chunks: of half types in float32, where the budget has room for it."""

    def __init__(self, weight: Tensor, wide: torch.dtype, budget: int) -> None:
        self.extra_bytes = 0
        self.dtype = weight.dtype
        if weight.dtype != wide and weight.numel() * wide.itemsize <= budget // 2:
            self.extra_bytes = weight.numel() * wide.itemsize
        self.total = torch.zeros(weight.shape, dtype=wide if self.extra_bytes else weight.dtype)
        self.first = True

    def add(self, products: Products) -> None:
        products.add_by_weight(self.total, self.first)
        self.first = False

    def rounded(self) -> Tensor:
        return self.total.to(self.dtype)
