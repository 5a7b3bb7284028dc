"""cross_entropy and nll_loss as autograd sees them.

Cross-entropy keeps its input and the targets, nothing else of that size: its backward reads the logits again and writes
the gradient, in one pass. What has to be differentiable itself is made of PyTorch's own operators.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from normexp import _engine
from normexp.torch._maps import Refused
from normexp.torch._plain import is_plain, is_undisturbed

REDUCTIONS = {"none": _engine.NONE, "mean": _engine.MEAN, "sum": _engine.SUM}


class Options(NamedTuple):
    """What a loss is told besides its tensors; reduction as PyTorch numbers it."""

    ignore_index: int
    label_smoothing: float
    reduction: int


def class_dim(x: Tensor) -> int:
    """Return the dimension of the classes: PyTorch's second, or only one."""
    return 0 if x.ndim == 1 else 1


def over_classes(each: Tensor, x: Tensor, options: Options) -> Tensor:
    """Return what comes one a row so that it broadcasts against the logits; a scalar stays one."""
    return each.unsqueeze(class_dim(x)) if options.reduction == _engine.NONE else each


def labels_kept(target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return which rows count, and the labels with 0 where they do not."""
    kept = target != ignore_index
    return kept, target.long().where(kept, 0)


def coefficients(x: Tensor, target: Tensor, weight: Tensor | None, options: Options) -> Tensor:
    """Return a_c of each row's loss, sum_c a_c (logsumexp - x_c), as an array like `x`."""
    dim, smoothing = class_dim(x), options.label_smoothing
    classes = x.shape[dim]
    per_class = None if weight is None else weight.view(-1, *[1] * (x.ndim - dim - 1))
    kept = None
    if target.is_floating_point():
        shares = target
    else:
        kept, labels = labels_kept(target, options.ignore_index)
        shares = torch.zeros_like(x).scatter(dim, labels.unsqueeze(dim), 1.0)
    shares = shares if smoothing == 0 else shares * (1 - smoothing) + smoothing / classes
    shares = shares if per_class is None else shares * per_class
    return shares if kept is None else shares * kept.unsqueeze(dim)


def cross_entropy_backward(
    grad: Tensor, x: Tensor, target: Tensor, weight: Tensor | None, options: Options, gain: float
) -> Tensor:
    """Return the gradient of cross-entropy by the logits; gain: its derivative by the sum of the rows' losses."""
    if not torch.is_grad_enabled() and is_plain(grad) and is_plain(x) and is_undisturbed():
        ignore_index, smoothing, reduction = options
        each_row = reduction == _engine.NONE
        factor = 1.0 if each_row else gain * grad.item()
        made: Tensor | None = _engine.tensor_loss_gradient(x, target, weight, ignore_index, smoothing, factor)
        if made is not None:
            return made.mul_(over_classes(grad, x, options)) if each_row else made
    from normexp.torch._functional import softmax

    dim = class_dim(x)
    shares = coefficients(x, target, weight, options)
    return (softmax(x, dim) * shares.sum(dim, keepdim=True) - shares) * (over_classes(grad, x, options) * gain)


def nll_backward(
    grad: Tensor, x: Tensor, target: Tensor, weight: Tensor | None, options: Options, gain: float
) -> Tensor:
    """Return the gradient of nll_loss by the log-probabilities."""
    dim = class_dim(x)
    kept, labels = labels_kept(target, options.ignore_index)
    each = (grad * -gain).expand(target.shape) * kept
    each = each if weight is None else each * weight[labels]
    return torch.zeros_like(x).scatter(dim, labels.unsqueeze(dim), each.unsqueeze(dim))


class CrossEntropy(Function):
    """The loss of logits, by labels or probabilities that no gradient is wanted of."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        target: Tensor,
        weight: Tensor | None,
        options: Options,
        log_probabilities: bool,
    ) -> Tensor:
        ignore_index, smoothing, reduction = options
        made: tuple[Tensor, float] | None = _engine.tensor_loss(
            x, target, weight, ignore_index, smoothing, log_probabilities, reduction
        )
        if made is None:
            raise Refused
        loss, gain = made
        ctx.save_for_backward(x, target, weight)
        ctx.call = (options, gain, log_probabilities)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:  # noqa: ANN401, D102
        options, gain, log_probabilities = ctx.call
        back = nll_backward if log_probabilities else cross_entropy_backward
        return back(grad, *ctx.saved_tensors, options, gain), None, None, None, None
