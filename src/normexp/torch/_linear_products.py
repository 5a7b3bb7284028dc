"""The three products of linear_cross_entropy, chunk by chunk, by dtype. All of them are PyTorch's.

A chunk's logits come as blocks of float32 (float64 for float64), and its gradient goes where they came from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final, cast

import torch
from torch import Tensor

from normexp._blocks import classes_at_once

_mkldnn: Any = torch.ops.mkldnn
_HAS_ONEDNN: Final = bool(torch._C._has_mkldnn) and hasattr(_mkldnn, "_linear_pointwise")
# Where the processor has no such products, PyTorch's take 2 to 400 times as long as those of float32.
_FAST_BFLOAT16: Final = (
    _HAS_ONEDNN and hasattr(_mkldnn, "_is_mkldnn_bf16_supported") and bool(_mkldnn._is_mkldnn_bf16_supported())
)
# So many multiplications are half a millisecond in float32; their gradient need not be rounded for the products then.
_QUICK: Final = 2**26


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what logits of a dtype are computed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b.T``.

    Of floats by oneDNN: `torch.mm` takes MKL there, which copies all weights into another order at each call. For 128
    rows of 2048 features and 64000 classes that is 128 and 160 GFLOP/s, forward and backward, beside 208 and 185 (two
    cores of Zen 4); for a thousand rows there is no difference.
    """
    if _HAS_ONEDNN and a.dtype == torch.float32 and a.numel() and b.numel():
        return cast(Tensor, _mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    return torch.mm(a, b.t())


class Products(ABC):
    """The products with one weight."""

    bytes_of_logit: int  # in a chunk
    bytes_in_block: int  # in a block of the loss

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.wide = wide_dtype(weight.dtype)

    @staticmethod
    def of(weight: Tensor, rows: int) -> Products:
        """Choose them by the dtype, and by whether their time matters more than the gradient's last bits."""
        if weight.dtype in (torch.float32, torch.float64):
            return _Plain(weight)
        fast = weight.dtype == torch.bfloat16 and _FAST_BFLOAT16 and rows * weight.numel() > _QUICK
        return _Split(weight) if fast else _Widened(weight)

    @abstractmethod
    def start(self, hidden: Tensor) -> None:
        """Compute the logits of a chunk of rows."""

    @abstractmethod
    def block(self, rows: slice) -> Tensor:
        """Return logits of some of the rows, which may be overwritten."""

    @abstractmethod
    def keep(self, rows: slice, gradient: Tensor) -> None:
        """Take the gradient by those logits, in the tensor that `block` gave."""

    @abstractmethod
    def by_input(self) -> Tensor:
        """Return the gradient by the chunk's hidden states."""

    @abstractmethod
    def add_by_weight(self, total: Tensor, first: bool) -> None:
        """Add the chunk's gradient by the weights to the total, which is undefined before the first chunk."""


class _Plain(Products):
    """float32, float64: the gradient takes the place of the logits."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.bytes_of_logit, self.bytes_in_block = weight.element_size(), 0

    def start(self, hidden: Tensor) -> None:
        self.logits = torch.empty(0)  # before there are new ones
        self.hidden, self.logits = hidden, product(hidden, self.weight)

    def block(self, rows: slice) -> Tensor:
        return self.logits[rows]

    def keep(self, rows: slice, gradient: Tensor) -> None:
        pass

    def by_input(self) -> Tensor:
        return product(self.logits, self.weight.t())

    def add_by_weight(self, total: Tensor, first: bool) -> None:
        if first:
            torch.mm(self.logits.t(), self.hidden, out=total)
        else:
            total.addmm_(self.logits.t(), self.hidden)


class _Split(Products):
    """bfloat16 products, whose sums PyTorch rounds to bfloat16: the logits are what that gives, and what it leaves.

    ``addmm(z, h, w.T, beta=-1)`` adds before it rounds, so that it is the rest of z. Two bfloat16 numbers have 16 bits:
    the logits are within 2**-17 of their size. Where products of bfloat16 are fast, two of them take as long as one of
    float32 (AVX-512) or a third of it (AMX).
    """

    bytes_of_logit, bytes_in_block = 4, 4

    def start(self, hidden: Tensor) -> None:
        self.hidden = hidden
        self.high = self.low = self.buffer = torch.empty(0)
        self.high = torch.mm(hidden, self.weight.t())
        self.low = torch.addmm(self.high, hidden, self.weight.t(), beta=-1)

    def block(self, rows: slice) -> Tensor:
        high = self.high[rows]
        if len(self.buffer) < len(high):
            self.buffer = torch.empty(high.shape, dtype=self.wide)
        return self.buffer[: len(high)].copy_(high).add_(self.low[rows])

    def keep(self, rows: slice, gradient: Tensor) -> None:
        self.high[rows].copy_(gradient)

    def by_input(self) -> Tensor:
        return torch.mm(self.high, self.weight)

    def add_by_weight(self, total: Tensor, first: bool) -> None:
        if total.dtype != self.weight.dtype:
            for classes in _panels(self.weight, len(self.hidden)):
                total[classes].add_(torch.mm(self.high[:, classes].t(), self.hidden))
        elif first:
            torch.mm(self.high.t(), self.hidden, out=total)
        else:
            total.addmm_(self.high.t(), self.hidden)


class _Widened(Products):
    """Half types in products of float32, some classes at a time."""

    bytes_of_logit, bytes_in_block = 4, 0

    def start(self, hidden: Tensor) -> None:
        self.logits = torch.empty(0)
        self.hidden = hidden.to(self.wide)
        self.logits = torch.empty(len(hidden), len(self.weight), dtype=self.wide)
        for classes in _panels(self.weight, len(self.hidden)):
            self.logits[:, classes] = product(self.hidden, self.weight[classes].to(self.wide))

    def block(self, rows: slice) -> Tensor:
        return self.logits[rows]

    def keep(self, rows: slice, gradient: Tensor) -> None:
        pass

    def by_input(self) -> Tensor:
        total = torch.zeros_like(self.hidden)
        for classes in _panels(self.weight, len(self.hidden)):
            total.addmm_(self.logits[:, classes], self.weight[classes].to(self.wide))
        return total

    def add_by_weight(self, total: Tensor, first: bool) -> None:
        for classes in _panels(self.weight, len(self.hidden)):
            part = total[classes]
            if total.dtype == self.wide:
                part.addmm_(self.logits[:, classes].t(), self.hidden)
            else:
                made = torch.mm(self.logits[:, classes].t(), self.hidden)
                part.copy_(made if first else made.add_(part))


def _panels(weight: Tensor, rows: int) -> list[slice]:
    step = classes_at_once(max(weight.shape[1], rows))
    return [slice(at, min(at + step, len(weight))) for at in range(0, len(weight), step)]
