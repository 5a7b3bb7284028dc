"""linear_cross_entropy over chunks of rows: the loss, and the gradients that are wanted, in one sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from normexp._arrays import Array, as_integer, as_number
from normexp._block_loss import BlockLoss, LogitOptions
from normexp._blocks import Blocks, as_budget, blocks_of, cut
from normexp._targets import divided, mean_divisor
from normexp.torch._linear_labels import LabelShares
from normexp.torch._linear_products import InBlocks, Rounded, products_of, turn
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

    def checked(self) -> Settings:
        """Return numbers, or raise an error that says which of them is none."""
        smoothing = as_number(self.label_smoothing, "label_smoothing")
        if not 0 <= smoothing <= 1:
            raise RuntimeError(f"label_smoothing must be from 0 to 1, not {self.label_smoothing!r}")
        ignored = as_integer(self.ignore_index, "ignore_index must be an integer")
        if not -(2**63) <= ignored < 2**63:
            raise ValueError(f"ignore_index must have 64 bits, as labels do: {ignored} has more")
        return Settings(
            ignored,
            smoothing,
            self.reduction,
            *LogitOptions.checked(self.temperature, self.softcap, self.z_loss),
            None if self.memory_budget is None else as_budget(self.memory_budget, 0),
        )


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
    settings = settings.checked()
    divisor = problem.checked_divisor(settings)
    problem = problem.map(Tensor.detach)
    weight = problem.weight
    if weight.stride(0) != 1 and weight.stride(1) != 1:
        problem = problem._replace(weight=weight.contiguous())  # once, and not in every product
    sweep = _Sweep(problem, settings, wanted, upstream, divided(1.0, divisor) if settings.reduction == MEAN else 1.0)
    loss = sweep.run()
    if settings.reduction == MEAN:
        # Labels whose weights add up to 0 give NaN, whatever smoothing adds: PyTorch divides the two apart.
        loss = divided(loss, divisor) if divisor else math.nan
    reduced = torch.tensor(loss, dtype=sweep.products.wide) if sweep.each is None else sweep.each
    return Made(reduced, *sweep.gradients())


class _Sweep:
    """What a sweep over the rows reads, and what it writes."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        wanted: tuple[bool, bool, bool],
        upstream: Tensor | None,
        gain: float,
    ) -> None:
        self.x, self.weight, bias, self.target, _ = problem
        self.upstream, self.gain, self.any_wanted = upstream, gain, any(wanted)
        self.kept = _rows_that_count(self.target, settings.ignore_index)
        self.count = len(self.x) if self.kept is None else len(self.kept)
        options = LogitOptions(settings.temperature, settings.softcap, settings.z_loss)
        plain_loss = options == LogitOptions() and settings.label_smoothing == 0 and not self.target.is_floating_point()
        self.budget = as_budget(settings.memory_budget, len(self.x) * len(self.weight) * self.weight.element_size())
        chunk = self.budget // max(1, len(self.weight) * self.weight.element_size())
        self.products = products_of(self.weight, bias, self.count, chunk, plain_loss)
        wide = self.products.wide
        self.class_weight = problem.weights()
        self.loss = BlockLoss(options, self.class_weight, settings.label_smoothing, self.products.axis)
        fits = self._blocks().chunk >= self.count
        self.within = self._rows_within() if wanted[1] and not fits else 0
        dtype = self.weight.dtype
        if wanted[1] and not fits and self.count > self.within and self._has_room_to_widen():
            dtype, self.within = wide, 0
            self.budget -= self.weight.numel() * wide.itemsize
        self.bias = None if bias is None else bias.to(wide)
        self.each = torch.zeros(len(self.x), dtype=wide) if settings.reduction == NONE else None
        self.by_input = torch.zeros(self.x.shape, dtype=self.x.dtype) if wanted[0] else None
        # The first chunk writes it, unless there is none, or sums are in float32.
        make = torch.empty if self.count and dtype == self.weight.dtype else torch.zeros
        self.by_weight = make(self.weight.shape, dtype=dtype) if wanted[1] else None
        self.by_bias = torch.zeros(len(self.weight), dtype=torch.float64) if wanted[2] else None
        self.shares = None
        if wanted[1] and not fits and dtype.itemsize < wide.itemsize and not self.target.is_floating_point():
            every = slice(None) if self.kept is None else self.kept
            self.shares = LabelShares(self.x[every], self.target[every], wide)

    def _rows_within(self) -> int:
        """How many rows' logits are held where the gradient by the weights will be: up to one for each feature."""
        features, itemsize = self.weight.shape[1], self.weight.element_size()
        # Where rows are left out, those that count are gathered.
        most = features if self.kept is None else min(features, self.budget // (4 * max(features, 1) * itemsize))
        return self.products.rows_within(min(self.count, most), self._blocks().chunk)

    def _has_room_to_widen(self) -> bool:
        """Whether the gradient by the weights is added up in float32: of half types, if half of the budget has room."""
        wide = self.products.wide
        return self.weight.dtype != wide and self.weight.numel() * wide.itemsize <= self.budget // 2

    def _blocks(self, within: bool = False) -> Blocks:
        """Choose the blocks of chunks that are held within the gradient by the weights, or in memory of their own."""
        products = self.products
        return blocks_of(
            self.count,
            len(self.weight),
            self.budget,
            chunk_bytes=0 if within and products.axis == 0 else products.chunk_bytes,
            block_bytes=products.block_bytes + self.loss.bytes_of_logit(products.wide.itemsize),
        )

    def run(self) -> float:
        """Compute everything; return the sum of the losses."""
        loss = 0.0
        if self.within and self.by_weight is not None:
            blocks = self._blocks(within=True)
            pieces = list(cut(0, self.within, blocks.chunk))
            room = None if self.products.axis == 0 else self._room(pieces)
            for rows in pieces:
                columns = self.by_weight[:, rows]
                loss += self._chunk(rows, columns if room is None else self._part(room, rows), blocks.loss)
                self.products.hand_over(columns)
            del room
            self.products.forget()  # what it holds, the copies of panels may take
            gradient = self.by_weight[:, : self.within].t()
            self._bring_to_input(slice(0, self.within), gradient)
            if self.shares is not None:
                self.shares.take(slice(0, self.within), gradient)
            turn(self.by_weight, self.x[self._which(slice(0, self.within))], self.budget // 2)
        blocks = self._blocks()
        pieces = list(cut(self.within, self.count, blocks.chunk))
        room = self._room(pieces)
        for rows in pieces:
            loss += self._chunk(rows, self._part(room, rows), blocks.loss)
            self._bring_to_input(rows, self.products.rows())
            if self.shares is not None:
                self.shares.take(rows, self.products.rows())
            if self.by_weight is not None:
                self.products.add_by_weight(self.by_weight, first=rows.start == 0)
        if self.shares is not None and self.by_weight is not None:
            self.products.forget()
            del room
            self.shares.add_to(self.by_weight, self.budget // 2)
        return loss

    def _room(self, pieces: list[slice]) -> Tensor:
        """Return memory for the logits of the largest piece."""
        most = max((piece.stop - piece.start for piece in pieces), default=1)
        return _large(most * len(self.weight), self.products.held)

    def _part(self, room: Tensor, rows: slice) -> Tensor:
        """Return what these rows need of it."""
        shape = [len(self.weight), rows.stop - rows.start]
        shape = shape[::-1] if self.products.axis else shape
        return room[: shape[0] * shape[1]].view(shape)

    def _chunk(self, chunk: slice, room: Tensor, most: int) -> float:
        """Compute a chunk of the rows that count; return the sum of their losses."""
        self.products.start(self.x[self._which(chunk)], room)
        if isinstance(self.products, Rounded):
            loss = self._at_once(self.products, self._which(chunk))
        else:
            loss = 0.0
            for rows in cut(chunk.start, chunk.stop, most):
                block = slice(rows.start - chunk.start, rows.stop - chunk.start)
                loss += self._block(self.products, block, self._which(rows))
        return loss

    def _bring_to_input(self, rows: slice, gradient: Tensor) -> None:
        """Write the gradient by these of the rows that count, out of that by their logits, (n, V)."""
        if self.by_input is None:
            return
        if self.kept is None:
            self.products.by_input(gradient, self.by_input[rows])
        else:
            made = torch.empty_like(self.by_input[: rows.stop - rows.start])
            self.products.by_input(gradient, made)
            self.by_input[self._which(rows)] = made

    def _which(self, rows: slice) -> slice | Tensor:
        """Return where in the arguments these of the rows that count are."""
        return rows if self.kept is None else self.kept[rows]

    def _at_once(self, products: Rounded, rows: slice | Tensor) -> float:
        labels = self.target[rows]
        each = None if self.each is None else torch.empty(len(labels), dtype=products.wide)
        upstream = None if self.upstream is None else self.upstream[rows].to(products.wide).contiguous()
        weight = None if self.class_weight is None else torch.from_numpy(self.class_weight)
        loss = products.losses(labels, weight, self.gain, upstream=upstream, each=each, with_gradient=self.any_wanted)
        if self.each is not None and each is not None:
            self.each[rows] = each
        if self.by_bias is not None:
            self._add_to_bias(products.room, 0, products.wide)
        return loss

    def _block(self, products: InBlocks, block: slice, rows: slice | Tensor) -> float:
        logits, target = products.block(block), self.target[rows]
        if target.is_floating_point():
            target = target.to(logits.dtype)  # NumPy has no bfloat16
            target = target if products.axis else target.t()
        if self.bias is not None:
            logits += self.bias if products.axis else self.bias.unsqueeze(1)
        values = logits.numpy()
        each = None if self.each is None else np.empty(values.shape[1 - products.axis], values.dtype)
        loss = self.loss(values, target.numpy(), self.gain, each, self.any_wanted)
        if self.each is not None and each is not None:
            self.each[rows] = torch.from_numpy(each)
        if self.upstream is not None:
            factors = self.upstream[rows].to(logits.dtype)
            logits *= factors.unsqueeze(1) if products.axis else factors
        if self.by_bias is not None:
            self._add_to_bias(logits, 1 - products.axis, products.wide)
        if self.any_wanted:
            products.keep(block, logits)
        return loss

    def _add_to_bias(self, gradient: Tensor, rows: int, dtype: torch.dtype) -> None:
        """Add up the gradient by logits over its axis of rows: 64 rows in floats, those sums in doubles."""
        assert self.by_bias is not None
        for part in torch.split(gradient, 64, dim=rows):
            self.by_bias += part.sum(rows, dtype=dtype)

    def gradients(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return them in the dtype of the arguments."""
        dtype = self.x.dtype
        by_weight = None if self.by_weight is None else self.by_weight.to(dtype)
        return self.by_input, by_weight, None if self.by_bias is None else self.by_bias.to(dtype)


def _large(elements: int, dtype: torch.dtype) -> Tensor:
    """Return memory as NumPy takes it: on large pages (Linux); logits class by class touch a page of PyTorch's each."""
    return torch.from_numpy(np.empty(elements * dtype.itemsize, np.uint8)).view(dtype)


def _rows_that_count(target: Tensor, ignore_index: int) -> Tensor | None:
    """Return the indices of the rows that are not ignored, or None if all of them count."""
    if target.is_floating_point():
        return None
    counts = target != ignore_index
    return None if bool(counts.all()) else counts.nonzero().squeeze(1)
