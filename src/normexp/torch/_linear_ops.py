"""linear_cross_entropy as operators of PyTorch's, torch.ops.normexp.*, for whatever records graphs; see _ops.py.

The forward returns the gradients of a mean or sum with the loss, those that are wanted; the others are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.library import custom_op

from normexp.torch._linear_autograd import differentiable
from normexp.torch._linear_loop import Problem, Settings, swept
from normexp.torch._linear_products import wide_dtype
from normexp.torch._tensors import NONE

Gradients: TypeAlias = tuple[Tensor, Tensor, Tensor]

# The fields of Problem and of Settings, and which gradients are wanted.
_CALL: Final = (
    "Tensor input, Tensor linear_weight, Tensor? linear_bias, Tensor target, Tensor? weight, int ignore_index, "
    "float label_smoothing, int reduction, float temperature, float? softcap, float z_loss, SymInt? memory_budget, "
    "bool by_input, bool by_weight, bool by_bias"
)
_TENSORS: Final = len(Problem._fields)
_OPTIONS: Final = _TENSORS + len(Settings._fields)


def _parts(call: tuple[Any, ...]) -> tuple[Problem, Settings, tuple[bool, bool, bool]]:
    by_input, by_weight, by_bias = call[_OPTIONS:]
    return Problem(*call[:_TENSORS]), Settings(*call[_TENSORS:_OPTIONS]), (by_input, by_weight, by_bias)


@custom_op("normexp::linear_cross_entropy", mutates_args=(), schema=f"({_CALL}) -> (Tensor, Tensor, Tensor, Tensor)")
def linear_cross_entropy(*call: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # noqa: ANN401
    """Return the loss, and the gradients of it; reduction as PyTorch numbers it."""
    problem, settings, wanted = _parts(call)
    loss, *made = swept(problem, settings, wanted)
    return loss, *_or_empty(problem.input, *made)


@custom_op(
    "normexp::linear_cross_entropy_backward",
    mutates_args=(),
    schema=f"(Tensor grad, {_CALL}) -> (Tensor, Tensor, Tensor)",
)
def linear_cross_entropy_backward(grad: Tensor, *call: Any) -> Gradients:  # noqa: ANN401
    """Return the gradients of the rows' losses, each with its factor."""
    problem, settings, wanted = _parts(call)
    return _or_empty(problem.input, *swept(problem, settings, wanted, grad)[1:])


def _or_empty(x: Tensor, *made: Tensor | None) -> Gradients:
    first, second, third = (x.new_empty(0) if gradient is None else gradient for gradient in made)
    return first, second, third


@linear_cross_entropy.register_fake
def _(*call: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # noqa: ANN401
    problem, settings, wanted = _parts(call)
    x = problem.input
    loss = x.new_empty(x.shape[:1] if settings.reduction == NONE else (), dtype=wide_dtype(x.dtype))
    return loss, *_fake_gradients(problem, wanted)


@linear_cross_entropy_backward.register_fake
def _(grad: Tensor, *call: Any) -> Gradients:  # noqa: ANN401
    problem, _, wanted = _parts(call)
    return _fake_gradients(problem, wanted)


def _fake_gradients(problem: Problem, wanted: tuple[bool, bool, bool]) -> Gradients:
    x = problem.input
    made = (x.new_empty(p.shape) if by and p is not None else None for p, by in zip(problem, wanted, strict=False))
    return _or_empty(x, *made)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ANN401
    ctx.save_for_backward(*inputs[:_TENSORS], *output[1:])
    ctx.options = inputs[_TENSORS:_OPTIONS]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, *others: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    tensors, settings, wanted = ctx.saved_tensors, Settings(*ctx.options), ctx.needs_input_grad[:3]
    made: Sequence[Tensor | None]
    if grad is None:
        made = (None, None, None)
    elif torch.is_grad_enabled():
        made = differentiable(Problem(*tensors[:_TENSORS]), settings, grad, wanted)
    elif settings.reduction == NONE:
        made = linear_cross_entropy_backward(grad, *tensors[:_TENSORS], *settings, *wanted)
    else:
        made = [(gradient * grad).to(gradient.dtype) for gradient in tensors[_TENSORS:]]
    return *_those(made, wanted), *[None] * _OPTIONS


def _those(made: Sequence[Tensor | None], wanted: Sequence[bool]) -> list[Tensor | None]:
    return [gradient if asked else None for gradient, asked in zip(made, wanted, strict=True)]


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ANN401
    ctx.save_for_backward(*inputs[: 1 + _TENSORS])
    ctx.options = inputs[1 + _TENSORS :]


def _backward_of_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    """Differentiate the gradients of the rows' losses, with all logits in memory."""
    grad, *tensors = ctx.saved_tensors
    *options, by_input, by_weight, by_bias = ctx.options
    wanted, needed = (by_input, by_weight, by_bias), ctx.needs_input_grad[:4]
    with torch.enable_grad():
        given = [t if t is None or not t.is_floating_point() else t.view_as(t) for t in (grad, *tensors)]
        leaves = [t.requires_grad_() if t is not None and not t.requires_grad else t for t in given[:4]]
        made = differentiable(Problem(*leaves[1:], *given[4:]), Settings(*options), leaves[0], wanted)
        total = torch.stack([(m * g).sum() for m, g in zip(made, grads, strict=True) if m is not None]).sum()
        asked = [leaf for leaf, need in zip(leaves, needed, strict=True) if need]
        found = iter(torch.autograd.grad(total, asked, allow_unused=True))
    return *(next(found) if need else None for need in needed), *[None] * _OPTIONS


linear_cross_entropy.register_autograd(_backward, setup_context=_save)
linear_cross_entropy_backward.register_autograd(_backward_of_backward, setup_context=_save_backward)


def recorded(problem: Problem, settings: Settings) -> Tensor:
    """Return the loss where calls are recorded."""
    wanted = [
        settings.reduction != NONE and given is not None and given.requires_grad and torch.is_grad_enabled()
        for given in problem[:3]
    ]
    found: Tensor = linear_cross_entropy(*problem, *settings, *wanted)[0]
    return found
