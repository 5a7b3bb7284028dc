"""cross_entropy and nll_loss as operators of PyTorch's, torch.ops.normexp.*; see _ops.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.library import custom_op

from normexp.torch import _cross_entropy, _tensors
from normexp.torch._cross_entropy import REDUCTIONS, Options, class_dim
from normexp.torch._tensors import NONE

_REDUCTION_NAMES = {number: name for name, number in REDUCTIONS.items()}


def takes(x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, label_smoothing: float) -> bool:
    """Whether the arguments fit, as far as shapes and types tell; labels show when they are read."""
    if not x.ndim or not 0 <= label_smoothing <= 1 or target.device != x.device:
        return False
    dim = class_dim(x)
    if weight is not None and (weight.dtype != x.dtype or weight.shape != x.shape[dim : dim + 1]):
        return False
    if target.is_floating_point():
        return target.dtype == x.dtype and target.shape == x.shape and ignore_index < 0
    if weight is not None and weight.requires_grad:
        return False
    known = target.dtype == torch.int64 or (target.dtype == torch.uint8 and x.ndim <= 2)
    return known and target.shape == x.shape[:dim] + x.shape[dim + 1 :]


@custom_op("normexp::cross_entropy", mutates_args=())
def cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, label_smoothing: float, reduction: int
) -> Tensor:
    """Cross-entropy; reduction as PyTorch numbers it."""
    made = _tensors.loss(x, target, weight, ignore_index, label_smoothing, False, reduction, False)
    if made is not None:
        return made[0]
    return _cross_entropy_by_pytorch(x, target, weight, Options(ignore_index, label_smoothing, reduction))


@custom_op("normexp::nll_loss", mutates_args=())
def nll_loss(
    x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, label_smoothing: float, reduction: int
) -> Tensor:
    """Negative log-likelihood; label_smoothing is 0."""
    made = _tensors.loss(x, target, weight, ignore_index, 0.0, True, reduction, False)
    if made is not None:
        return made[0]
    return _nll_loss_by_pytorch(x, target, weight, Options(ignore_index, label_smoothing, reduction))


@custom_op("normexp::cross_entropy_backward", mutates_args=())
def cross_entropy_backward(
    grad: Tensor,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: int,
) -> Tensor:
    """Gradient of cross-entropy by the logits."""
    return _backward(
        _cross_entropy.cross_entropy_backward, grad, x, target, weight, ignore_index, label_smoothing, reduction
    )


@custom_op("normexp::nll_loss_backward", mutates_args=())
def nll_loss_backward(
    grad: Tensor,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    reduction: int,
) -> Tensor:
    """Gradient of nll_loss by the log-probabilities."""
    return _backward(_cross_entropy.nll_backward, grad, x, target, weight, ignore_index, label_smoothing, reduction)


def _backward(
    made: Callable[..., Tensor],
    grad: Tensor,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    *call: Any,  # noqa: ANN401
) -> Tensor:
    options = Options(*call)
    gain: float | Tensor | None = _tensors.loss_gain(x, target, weight, options.ignore_index, options.reduction)
    if gain is None:
        gain = _cross_entropy.gain_of(x, target, weight, options)
    with torch.no_grad():  # below autograd nothing is recorded anyway
        return made(grad, x, target, weight, options, gain).contiguous()


def _fake_loss(
    x: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, label_smoothing: float, reduction: int
) -> Tensor:
    dim = class_dim(x)
    return x.new_empty(x.shape[:dim] + x.shape[dim + 1 :] if reduction == NONE else ())


def _define_loss(op: Any, backward: Any, twice: Any) -> None:  # noqa: ANN401
    def of_op(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, target, weight = ctx.saved_tensors
        by_target = by_weight = None
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            options = Options(*ctx.call)
            gain = _cross_entropy.gain_of(x, target, weight, options)
            by_target, by_weight = _cross_entropy.targets_backward(grad, x, target, weight, options, gain)
        return backward(grad, x, target, weight, *ctx.call), by_target, by_weight, None, None, None

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        ctx.save_for_backward(*inputs[:-3])
        ctx.call = inputs[-3:]

    def of_backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return *twice(v, *ctx.saved_tensors, Options(*ctx.call)), *[None] * 5

    op.register_fake(_fake_loss)
    op.register_autograd(of_op, setup_context=save)
    op.register_vmap(_over_batch(op))
    backward.register_fake(lambda grad, x, *rest: torch.empty_like(x, memory_format=torch.contiguous_format))
    backward.register_autograd(of_backward, setup_context=save)
    backward.register_vmap(_over_batch(backward))


def _over_batch(op: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, int]]:
    """Make a vmap rule: one call for each member of the batch, since each may have weights and a mean of its own."""

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:  # noqa: ANN401
        def member(i: int) -> Tensor:
            return op(*(a if at is None else a.select(at, i) for a, at in zip(args, in_dims, strict=True)))

        return torch.stack([member(i) for i in range(info.batch_size)]), 0

    return rule


def _cross_entropy_by_pytorch(x: Tensor, target: Tensor, weight: Tensor | None, options: Options) -> Tensor:
    return F.cross_entropy(
        x,
        target,
        weight,
        ignore_index=options.ignore_index,
        reduction=_REDUCTION_NAMES[options.reduction],
        label_smoothing=options.label_smoothing,
    )


def _nll_loss_by_pytorch(x: Tensor, target: Tensor, weight: Tensor | None, options: Options) -> Tensor:
    name = _REDUCTION_NAMES[options.reduction]
    return F.nll_loss(x, target, weight, ignore_index=options.ignore_index, reduction=name)


def _nll_twice(v: Tensor, grad: Tensor, x: Tensor, *rest: Any) -> tuple[Tensor, None]:  # noqa: ANN401
    return _cross_entropy.nll_twice(v, x, *rest), None


_define_loss(cross_entropy, cross_entropy_backward, _cross_entropy.cross_entropy_twice)
_define_loss(nll_loss, nll_loss_backward, _nll_twice)
