"""softmax, log_softmax, softmin and logsumexp as autograd sees them: engine forwards, engine backwards.

Gradients of gradients are made of PyTorch's own differentiable operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from normexp.torch import _tensors
from normexp.torch._plain import takes
from normexp.torch._tensors import LOG_SOFTMAX_BACKWARD, SOFTMAX, SOFTMAX_BACKWARD, bits


class Refused(Exception):
    """The engine does not take a call after all; PyTorch shall have it."""


def map_backward(op: int, grad: Tensor, result: Tensor, dim: int) -> Tensor:
    """Return the gradient by the logits, from that by the result of softmax or log_softmax."""
    if not torch.is_grad_enabled() and takes(grad) and takes(result):
        back = SOFTMAX_BACKWARD if op == SOFTMAX else LOG_SOFTMAX_BACKWARD
        made = _tensors.map_backward(back, grad, result, dim)
        if made is not None:
            return made
    if op == SOFTMAX:
        return torch._softmax_backward_data(grad, result, dim, result.dtype)
    return torch._log_softmax_backward_data(grad, result, dim, result.dtype)


class Map(Function):
    """softmax (negated: softmin) or log_softmax."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, op: int, dim: int, negate: bool) -> Tensor:  # noqa: ANN401
        result = _tensors.map_rows(op, x, dim, negate)
        if result is None:
            raise Refused
        ctx.save_for_backward(result)
        ctx.call = (op, dim, negate)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401
        op, dim, negate = ctx.call
        (result,) = ctx.saved_tensors
        back = map_backward(op, grad, result, dim)
        return (-back if negate else back), None, None, None


def logsumexp_backward(
    grad: Tensor, x: Tensor, result: Tensor, dims: tuple[int, ...] | list[int], keepdim: bool
) -> Tensor:
    """Return the gradient of logsumexp by the logits: softmax of the rows, times `grad`."""
    if not keepdim:
        grad, result = with_rows(grad, dims), with_rows(result, dims)
    if not torch.is_grad_enabled() and takes(x) and takes(grad) and not bool((result == -torch.inf).any()):
        shares = _tensors.softmax_over(x, bits(dims))
        if shares is not None:
            return shares.mul_(grad)
    # A row of nothing but -inf has a gradient of 0.
    return grad * (x - result.masked_fill(result == -torch.inf, 0)).exp()


def with_rows(each: Tensor, dims: tuple[int, ...] | list[int]) -> Tensor:
    """Return what comes one a row with dimensions of length 1 where the rows were."""
    for dim in sorted(dims):
        each = each.unsqueeze(dim)
    return each


class LogSumExp(Function):
    """logsumexp over dimensions in 0 .. ndim - 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:  # noqa: ANN401
        result = _tensors.logsumexp_over(x, bits(dims), keepdim)
        if result is None:
            raise Refused
        ctx.save_for_backward(x, result)
        ctx.call = (dims, keepdim)
        return result

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        x, result = ctx.saved_tensors
        return logsumexp_backward(grad, x, result, *ctx.call), None, None


def recorder(function: type[Function]) -> Callable[..., Any]:
    """Return ``function.apply`` without its care for torch.func's transforms, for calls known to be in none."""
    below: Any = super(Function, function)
    return cast("Callable[..., Any]", below.apply)


map_with_gradient = cast("Callable[[Tensor, int, int, bool], Tensor]", recorder(Map))
logsumexp_with_gradient = cast("Callable[[Tensor, tuple[int, ...], bool], Tensor]", recorder(LogSumExp))
