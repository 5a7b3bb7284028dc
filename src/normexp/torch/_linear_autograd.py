"""linear_cross_entropy as autograd sees it, and out of PyTorch's operators where those are wanted.

A mean or sum knows its gradients up to one factor: they are made in the forward, with the loss, and handed over by the
first backward. Another one, which is rare, computes them again. Rows' losses, with a factor each, have no gradients
before the backward.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from normexp.torch._cross_entropy import REDUCTIONS
from normexp.torch._linear_loop import Problem, Settings, swept
from normexp.torch._linear_products import wide_dtype
from normexp.torch._losses import cross_entropy
from normexp.torch._tensors import NONE

_NAMES = {number: name for name, number in REDUCTIONS.items()}


def unfused(problem: Problem, settings: Settings) -> Tensor:
    """Return the loss with all logits in memory, differentiable in every way that PyTorch's operators are.

    Weights and biases may have dimensions between the first and the last, (V, d1, ..., H).
    """
    x, weight, bias, target, class_weight = problem
    wide = wide_dtype(x.dtype) if x.is_floating_point() else x.dtype
    if x.device.type == "cpu":  # where products of half types are slow
        x, weight, bias = x.to(wide), weight.to(wide), None if bias is None else bias.to(wide)
    logits = F.linear(x, weight.flatten(0, -2), None if bias is None else bias.flatten()).to(wide)
    logits = logits.view(*x.shape[:-1], *weight.shape[:-1]) if weight.ndim > 2 else logits
    if settings.softcap is not None:
        logits = settings.softcap * torch.tanh(logits / settings.softcap)
    logits = logits / settings.temperature if settings.temperature != 1 else logits
    if target.is_floating_point():
        target = target.to(wide)
    loss = cross_entropy(
        logits,
        target,
        None if class_weight is None else class_weight.to(wide),
        ignore_index=settings.ignore_index,
        reduction=_NAMES[settings.reduction],
        label_smoothing=settings.label_smoothing,
    )
    return loss if settings.z_loss == 0 else loss + _z_loss(logits, target, class_weight, settings)


def _z_loss(logits: Tensor, target: Tensor, class_weight: Tensor | None, settings: Settings) -> Tensor:
    each = settings.z_loss * logits.logsumexp(1 if logits.ndim > 1 else 0).square()
    if target.is_floating_point():
        return {"none": each, "mean": each.mean(), "sum": each.sum()}[_NAMES[settings.reduction]]
    counts = target != settings.ignore_index
    each = each.where(counts, 0.0)
    if _NAMES[settings.reduction] != "mean":
        return each if settings.reduction == NONE else each.sum()
    labels = target.where(counts, 0)
    share = counts.to(each.dtype) if class_weight is None else class_weight.to(each.dtype)[labels] * counts
    return each.sum() / share.sum()


class LinearCrossEntropy(Function):
    """The loss of hidden states, weights and biases; targets and the weights of classes have no gradients here."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        class_weight: Tensor | None,
        settings: Settings,
    ) -> Tensor:
        wanted = ctx.needs_input_grad[:3] if settings.reduction != NONE else (False, False, False)
        loss, *made = swept(Problem(x, weight, bias, target, class_weight), settings, wanted)
        ctx.save_for_backward(x, weight, bias, target, class_weight)
        ctx.settings = settings
        ctx.made = made
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        settings, problem, wanted = ctx.settings, Problem(*ctx.saved_tensors), ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            return *differentiable(problem, settings, grad, wanted), None, None, None
        if settings.reduction == NONE:
            return *swept(problem, settings, wanted, grad)[1:], None, None, None
        made, ctx.made = ctx.made, None
        if made is None:
            _, *made = swept(problem, settings, wanted)
        return *(scaled_(gradient, grad) for gradient in made), None, None, None


def scaled_(gradient: Tensor | None, grad: Tensor) -> Tensor | None:
    """Multiply a gradient of the loss by that which arrives at the loss, in its place."""
    return gradient if gradient is None or bool(grad == 1) else gradient.mul_(grad)


def differentiable(
    problem: Problem, settings: Settings, grad: Tensor, wanted: tuple[bool, bool, bool]
) -> list[Tensor | None]:
    """Return gradients that can be differentiated again, of the loss with all logits in memory."""
    loss = unfused(problem, settings)
    inputs = [given for given, asked in zip(problem, wanted, strict=False) if asked and given is not None]
    found = iter(torch.autograd.grad(loss, inputs, grad, create_graph=True))
    return [next(found) if asked else None for asked in wanted]


def fused(problem: Problem, settings: Settings) -> Tensor:
    """Return the loss of plain tensors, recorded for the backward if that is wanted."""
    if torch.is_grad_enabled() and any(given is not None and given.requires_grad for given in problem[:3]):
        return cast(Tensor, LinearCrossEntropy.apply(*problem, settings))  # type: ignore[no-untyped-call]
    return swept(problem, settings, (False, False, False)).loss
