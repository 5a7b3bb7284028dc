"""The three products of linear_cross_entropy, chunk by chunk, by dtype. All of them are PyTorch's.

Logits are held row by row, (n, V), which suits the engine best, or class by class, (V, n), where a chunk would have but
few rows: MKL copies the weights into another order for every product, so that ``h @ W.T`` and ``g @ W`` run at 91 and
86 GFLOP/s for n = 112 rows of 2048 features, and their transposes at 146 and 155 (two cores of Zen 4).

Class by class they fit where the gradient by the weights will be, (V, H): there is room for the logits of H rows. Their
gradient is brought to the weights at the very end, panel by panel, each panel of it read before it is overwritten. So
these rows take no memory of their own, need no second sum, and are rounded once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import torch
from torch import Tensor

from normexp import _engine
from normexp._blocks import cut, panels

_mkldnn: Any = torch.ops.mkldnn
# Where the processor has no such products, PyTorch's take 2 to 400 times as long as those of float32.
_FAST_BFLOAT16: Final = hasattr(_mkldnn, "_is_mkldnn_bf16_supported") and bool(_mkldnn._is_mkldnn_bf16_supported())
# Of float32 logits row by row, so many classes a product: 178 GFLOP/s for 256 rows of 512 features, 137 with 1024
# classes; the transposed product of all 32,000 has 169.
_CLASSES: Final = 512
# From so many rows in a chunk on, row by row is as fast.
_MANY_ROWS: Final = 128
# So many multiplications are half a millisecond in float32; their gradient need not be rounded for the products then.
_QUICK: Final = 2**26


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what logits of a dtype are computed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class Products(ABC):
    """The products with one weight."""

    held: torch.dtype
    """What logits of a chunk are held in, and their gradient."""
    axis = 0
    """Of the classes in a block."""
    chunk_bytes: int
    """What each logit of a chunk takes."""
    block_bytes = 0
    """What each logit of a block takes besides."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.wide = wide_dtype(weight.dtype)

    def start(self, hidden: Tensor, room: Tensor) -> None:
        """Compute the logits of a chunk of rows, there: (V, n) or (n, V), as `axis` says."""
        self.hidden, self.room = hidden, room
        torch.mm(self.weight, hidden.t(), out=room)

    def rows_within(self, most: int, chunk: int) -> int:
        """How many rows' logits are to be held where the gradient by the weights will be; `most` have room there."""
        return most

    def rows(self) -> Tensor:
        """Return what is held of the chunk, row by row."""
        return self.room if self.axis else self.room.t()

    def by_input(self, gradient: Tensor, out: Tensor) -> None:
        """Write the gradient by hidden states, out of that by their logits, (n, V)."""
        torch.mm(gradient, self.weight, out=out)

    def hand_over(self, columns: Tensor) -> None:  # noqa: B027 - most have it there already
        """Leave the gradient by the chunk's logits in these columns of the gradient by the weights, for `turn`."""

    def forget(self) -> None:
        """Let go of the chunk."""
        del self.hidden, self.room

    def add_by_weight(self, total: Tensor, first: bool) -> None:
        """Add the chunk's gradient by the weights to the total, which is undefined before the first chunk."""
        if first:
            torch.mm(self.room, self.hidden, out=total)
        else:
            total.addmm_(self.room, self.hidden)


class InBlocks(Products):
    """Those whose losses are taken of float32 or float64 logits, some rows at a time."""

    @abstractmethod
    def block(self, rows: slice) -> Tensor:
        """Return logits of some of the chunk's rows, which may be overwritten."""

    def keep(self, rows: slice, gradient: Tensor) -> None:
        """Take the gradient by those logits, in the tensor that `block` gave."""


def products_of(weight: Tensor, bias: Tensor | None, rows: int, chunk: int, plain_loss: bool) -> InBlocks | Rounded:
    """Choose them by the dtype, and by whether their time matters more than the gradient's last bits.

    chunk: how many rows of logits of that dtype may be held. plain_loss: the loss is that at labels, of logits as they
    are.
    """
    if weight.dtype in (torch.float32, torch.float64):
        return _Rows(weight) if chunk >= _MANY_ROWS else _Classes(weight)
    fast = weight.dtype == torch.bfloat16 and _FAST_BFLOAT16 and rows * weight.numel() > _QUICK
    if not fast:
        return _Widened(weight)
    return Rounded(weight, bias) if plain_loss and weight.stride(1) == 1 else _Split(weight)


def turn(total: Tensor, hidden: Tensor, budget: int) -> None:
    """Turn the gradient by the logits of rows, in the columns of `total`, into the gradient by the weights."""
    for classes in cut(0, len(total), max(1, budget // (len(hidden) * total.element_size()))):
        torch.mm(total[classes, : len(hidden)].clone(), hidden, out=total[classes])


class _Classes(InBlocks):
    """float32, float64, class by class: the gradient takes the place of the logits."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.held, self.chunk_bytes = weight.dtype, weight.element_size()

    def block(self, rows: slice) -> Tensor:
        return self.room[:, rows]


class _ByRows(Products):
    """Row by row. oneDNN, which computes in bfloat16, copies no weights: there, few rows cost little."""

    held, axis = torch.bfloat16, 1

    def rows_within(self, most: int, chunk: int) -> int:
        # They are brought there from memory of their own, and gain nothing if they are one chunk anyway.
        return most if most > chunk else 0

    def hand_over(self, columns: Tensor) -> None:
        columns.copy_(self.room.t())

    def add_by_weight(self, total: Tensor, first: bool) -> None:
        if total.dtype == self.held:
            gradient = self.room.t()
            if first:
                torch.mm(gradient, self.hidden, out=total)
            else:
                total.addmm_(gradient, self.hidden)
            return
        for classes in panels(len(total), max(total.shape[1], len(self.hidden))):
            gradient = self.room[:, classes].t()
            high = torch.mm(gradient, self.hidden)
            total[classes] += high
            total[classes] += torch.addmm(high, gradient, self.hidden, beta=-1)


class _Rows(_ByRows, InBlocks):
    """float32, float64, row by row: the gradient takes the place of the logits."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        self.held, self.chunk_bytes = weight.dtype, weight.element_size()

    def rows_within(self, most: int, chunk: int) -> int:
        return 0  # sums of float32 round next to nothing

    def start(self, hidden: Tensor, room: Tensor) -> None:
        self.hidden, self.room = hidden, room
        for classes in cut(0, len(self.weight), _CLASSES):
            torch.mm(hidden, self.weight[classes].t(), out=room[:, classes])

    def block(self, rows: slice) -> Tensor:
        return self.room[rows]


class Rounded(_ByRows):
    """Logits as PyTorch's product gives them, rounded; the engine computes those that matter again, in float32."""

    chunk_bytes = 2

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight)
        self.bias = bias

    def start(self, hidden: Tensor, room: Tensor) -> None:
        self.hidden, self.room = hidden if hidden.stride(1) == 1 else hidden.contiguous(), room
        if self.bias is None:
            torch.mm(self.hidden, self.weight.t(), out=room)
        else:
            torch.addmm(self.bias, self.hidden, self.weight.t(), out=room)  # rounds once

    def losses(
        self,
        labels: Tensor,
        class_weight: Tensor | None,
        gain: float,
        *,
        upstream: Tensor | None,
        each: Tensor | None,
        with_gradient: bool,
    ) -> float:
        """Return the sum of the chunk's losses; the gradient takes the place of the logits, if it is wanted."""
        return _engine.product_losses(
            self.room, self.hidden, self.weight, self.bias, labels, class_weight, gain, upstream, each, with_gradient
        )


class _Split(_ByRows, InBlocks):
    """bfloat16 logits as two numbers: what PyTorch's product gives, which is rounded, and its rest.

    ``addmm(z, h, W.T, beta=-1)`` subtracts before it rounds. Two bfloat16 numbers have 16 bits: the logits are within
    2**-17 of their size, and the loss and its gradient are worth having in float32. One such product more takes as long
    as using float32 throughout does (AVX-512), or much less (AMX).
    """

    chunk_bytes, block_bytes = 2 + 2, 4

    def start(self, hidden: Tensor, room: Tensor) -> None:
        self.hidden, self.room = hidden, room
        self.rest = torch.empty(0)  # that of the last chunk goes before there is a new one
        torch.mm(hidden, self.weight.t(), out=room)
        self.rest = torch.addmm(room, hidden, self.weight.t(), beta=-1)

    def block(self, rows: slice) -> Tensor:
        return self.room[rows].to(self.wide).add_(self.rest[rows].to(self.wide))

    def keep(self, rows: slice, gradient: Tensor) -> None:
        self.room[rows] = gradient

    def forget(self) -> None:
        super().forget()
        del self.rest


class _Widened(InBlocks):
    """Half types in products of float32, some classes at a time."""

    held, chunk_bytes = torch.float32, 4

    def rows_within(self, most: int, chunk: int) -> int:
        return 0  # there is no room for float32

    def start(self, hidden: Tensor, room: Tensor) -> None:
        self.hidden, self.room = hidden.to(self.wide), room
        for classes in self._panels():
            torch.mm(self.weight[classes].to(self.wide), self.hidden.t(), out=room[classes])

    def block(self, rows: slice) -> Tensor:
        return self.room[:, rows]

    def by_input(self, gradient: Tensor, out: Tensor) -> None:
        total = torch.zeros_like(self.hidden)
        for classes in self._panels():
            total.addmm_(gradient[:, classes], self.weight[classes].to(self.wide))
        out.copy_(total)

    def add_by_weight(self, total: Tensor, first: bool) -> None:
        for classes in self._panels():
            part = total[classes]
            if total.dtype == self.wide:
                part.addmm_(self.room[classes], self.hidden)
            else:
                made = torch.mm(self.room[classes], self.hidden)
                part.copy_(made if first else made.add_(part))

    def _panels(self) -> list[slice]:
        return list(panels(len(self.weight), max(self.weight.shape[1], len(self.hidden))))
