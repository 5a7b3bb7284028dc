"""softmax, log_softmax and logsumexp as operators of PyTorch's, torch.ops.normexp.*, for whatever records graphs.

An eager call does not come through here: it is faster without. Every operator has a CPU kernel (the engine; where that
declines, PyTorch), a fake one for shapes, a gradient, and a rule for vmap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from normexp.torch import _maps, _tensors
from normexp.torch._maps import map_backward
from normexp.torch._tensors import LOG_SOFTMAX, SOFTMAX, bits


def _or(made: Tensor | None, otherwise: Callable[[], Tensor]) -> Tensor:
    return otherwise() if made is None else made


def _like(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


# ---- softmax and log_softmax -----------------------------------------------------------------------------------------


@custom_op("normexp::softmax", mutates_args=())
def softmax(x: Tensor, dim: int) -> Tensor:
    """Softmax along one dimension."""
    return _or(_tensors.map_rows(SOFTMAX, x, dim, False), lambda: torch.softmax(x, dim).contiguous())


@custom_op("normexp::log_softmax", mutates_args=())
def log_softmax(x: Tensor, dim: int) -> Tensor:
    """Logarithm of softmax along one dimension."""
    return _or(_tensors.map_rows(LOG_SOFTMAX, x, dim, False), lambda: torch.log_softmax(x, dim).contiguous())


@custom_op("normexp::softmax_backward", mutates_args=())
def softmax_backward(grad: Tensor, result: Tensor, dim: int) -> Tensor:
    """Gradient by the logits, from that by the result of softmax."""
    with torch.no_grad():  # below autograd nothing is recorded anyway
        return map_backward(SOFTMAX, grad, result, dim).contiguous()


@custom_op("normexp::log_softmax_backward", mutates_args=())
def log_softmax_backward(grad: Tensor, result: Tensor, dim: int) -> Tensor:
    """Gradient by the logits, from that by the result of log_softmax."""
    with torch.no_grad():
        return map_backward(LOG_SOFTMAX, grad, result, dim).contiguous()


def _save_result(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    ctx.save_for_backward(output)
    ctx.dim = inputs[1]


def _define(op: Any, backward: Any, twice: Any) -> None:  # noqa: ANN401
    def of_op(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (result,) = ctx.saved_tensors
        return backward(grad, result, ctx.dim), None

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        ctx.save_for_backward(*inputs[:2])
        ctx.dim = inputs[2]

    def of_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        return *twice(grad, *ctx.saved_tensors, ctx.dim), None

    op.register_fake(lambda x, dim: _like(x))
    op.register_autograd(of_op, setup_context=_save_result)
    op.register_vmap(_map_over_batch(op, 1))
    backward.register_fake(lambda grad, result, dim: _like(result))
    backward.register_autograd(of_backward, setup_context=save)
    backward.register_vmap(_map_over_batch(backward, 2))


def _batch_first(info: Any, in_dims: Sequence[int | None], tensors: Sequence[Tensor]) -> list[Tensor]:  # noqa: ANN401
    return [
        t.movedim(at, 0) if at is not None else t.expand(info.batch_size, *t.shape)
        for t, at in zip(tensors, in_dims, strict=False)
    ]


def _map_over_batch(op: Any, tensors: int) -> Any:  # noqa: ANN401
    """Make a vmap rule: the batch becomes the first dimension."""

    def rule(info: Any, in_dims: Sequence[int | None], *args: Any) -> tuple[Tensor, int]:  # noqa: ANN401
        *batched, dim = args
        moved = _batch_first(info, in_dims, batched)
        if moved[0].ndim == 1:  # rows of one element
            return op(*(t.unsqueeze(-1) for t in moved), 1).squeeze(-1), 0
        return op(*moved, dim if dim < 0 else dim + 1), 0

    return rule


def _softmax_twice(grad: Tensor, g: Tensor, y: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Differentiate y (g - sum(g y)), by g and by y."""
    inner = (grad * y).sum(dim, keepdim=True)
    pull = (g * y).sum(dim, keepdim=True)
    return y * (grad - inner), grad * (g - pull) - g * inner


def _log_softmax_twice(grad: Tensor, g: Tensor, y: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Differentiate g - exp(y) sum(g), by g and by y."""
    shares = y.exp()
    return grad - (grad * shares).sum(dim, keepdim=True), -grad * shares * g.sum(dim, keepdim=True)


_define(softmax, softmax_backward, _softmax_twice)
_define(log_softmax, log_softmax_backward, _log_softmax_twice)


# ---- logsumexp -------------------------------------------------------------------------------------------------------


@custom_op("normexp::logsumexp", mutates_args=())
def logsumexp(x: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    """Logarithm of the sum of exponentials over some dimensions."""
    dims = _from_first(dims, x.ndim)
    return _or(_tensors.logsumexp_over(x, bits(dims), keepdim), lambda: torch.logsumexp(x, dims, keepdim))


def _from_first(dims: Sequence[int], ndim: int) -> list[int]:
    """Count the dimensions from the first one on."""
    for dim in dims:
        if not -ndim <= dim < ndim:
            raise IndexError(f"dim is {dim}, which no tensor of {ndim} dimensions has")
    return [dim % ndim for dim in dims]


@logsumexp.register_fake
def _(x: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    dims = _from_first(dims, x.ndim)
    kept = (1 if i in dims else n for i, n in enumerate(x.shape) if keepdim or i not in dims)
    return x.new_empty(tuple(kept))


def _save_rows(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    x, *call = inputs
    ctx.save_for_backward(x, output)
    dims, keepdim = call
    ctx.call = _from_first(dims, x.ndim), keepdim


@custom_op("normexp::logsumexp_backward", mutates_args=())
def logsumexp_backward(grad: Tensor, x: Tensor, result: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    """Gradient by the logits, from that by the result of logsumexp."""
    with torch.no_grad():
        return _maps.logsumexp_backward(grad, x, result, dims, keepdim).contiguous()


def _logsumexp_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
    x, result = ctx.saved_tensors
    return logsumexp_backward(grad, x, result, *ctx.call), None, None


logsumexp.register_autograd(_logsumexp_backward, setup_context=_save_rows)


@logsumexp.register_vmap
def _(info: Any, in_dims: Any, x: Tensor, dims: list[int], keepdim: bool) -> tuple[Tensor, int]:  # noqa: ANN401
    return logsumexp(x.movedim(in_dims[0], 0), [d + 1 for d in _from_first(dims, x.ndim - 1)], keepdim), 0


@logsumexp_backward.register_fake
def _(grad: Tensor, x: Tensor, result: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    return _like(x)


def _save_rows_and_gradient(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
    grad, x, result, *call = inputs
    ctx.save_for_backward(grad, x, result)
    ctx.call = call


def _logsumexp_twice(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    """Differentiate grad exp(x - result), by all three."""
    grad, x, result = ctx.saved_tensors
    dims, keepdim = ctx.call
    pulled = v * _maps.logsumexp_backward(torch.ones_like(grad), x, result, dims, keepdim)
    by_grad = pulled.sum(dims, keepdim)
    by_x = pulled * (grad if keepdim else _maps.with_rows(grad, dims))
    return by_grad, by_x, -by_x.sum(dims, keepdim), None, None


logsumexp_backward.register_autograd(_logsumexp_twice, setup_context=_save_rows_and_gradient)


@logsumexp_backward.register_vmap
def _(info: Any, in_dims: Any, *args: Any) -> tuple[Tensor, int]:  # noqa: ANN401
    *tensors, dims, keepdim = args
    moved = _batch_first(info, in_dims, tensors)
    return logsumexp_backward(*moved, [d + 1 for d in dims], keepdim), 0
