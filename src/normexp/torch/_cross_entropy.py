"""cross_entropy and nll_loss as autograd sees them.

Cross-entropy keeps its input and the targets, nothing else of that size: its backward reads the logits again and writes
the gradient, in one pass. What has to be differentiable itself is made of PyTorch's own operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd import Function

from normexp.torch import _functional, _tensors
from normexp.torch._maps import Refused, recorder
from normexp.torch._plain import is_plain, is_undisturbed
from normexp.torch._tensors import MEAN, NONE, SUM

REDUCTIONS = {"none": NONE, "mean": MEAN, "sum": SUM}


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
    return each.unsqueeze(class_dim(x)) if options.reduction == NONE else each


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


def number_in(scalar: Tensor) -> float | None:
    """Return the number in a tensor, or None if it has several in truth, a batch that `vmap` hides."""
    try:
        return scalar.item() if type(scalar) is Tensor else None
    except RuntimeError:
        return None


def cross_entropy_backward(
    grad: Tensor,
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    options: tuple[int, float, int],
    gain: float | Tensor,
    kept: Tensor | None = None,
) -> Tensor:
    """Return the gradient of cross-entropy by the logits.

    gain: its derivative by the sum of the rows' losses; kept: what those have left for their gradients.
    """
    ignore_index, smoothing, reduction = options
    each_row = reduction == NONE
    if not torch.is_grad_enabled() and is_undisturbed():
        factor = (1.0 if is_plain(grad) else None) if each_row else number_in(grad)
        if factor is not None:
            made = _tensors.loss_gradient(x, target, weight, ignore_index, smoothing, float(gain) * factor, kept)
            if made is not None:
                return made.mul_(where_kept(grad, target, ignore_index).unsqueeze(class_dim(x))) if each_row else made
    options = Options(*options)
    dim = class_dim(x)
    wanted = coefficients(x, target, weight, options)
    made = torch.softmax(x, dim) * wanted.sum(dim, keepdim=True) - wanted
    return where_kept(made * (over_classes(grad, x, options) * gain).to(x.dtype), target, ignore_index)


def where_kept(gradient: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Return a gradient by the rows or by the logits with 0 in the rows that are ignored, whatever else is in them."""
    if target.is_floating_point():
        return gradient
    kept = target != ignore_index
    return gradient.where(kept if kept.ndim == gradient.ndim else kept.unsqueeze(class_dim(gradient)), 0.0)


def gain_of(x: Tensor, target: Tensor, weight: Tensor | None, options: Options) -> float | Tensor:
    """Return the derivative of a loss by the sum of its rows' losses, out of PyTorch's operators."""
    if options.reduction != MEAN:
        return 1.0
    if target.is_floating_point():
        return x.shape[class_dim(x)] / x.numel()
    kept, labels = labels_kept(target, options.ignore_index)
    divisor = kept.sum() if weight is None else (weight.double()[labels] * kept).sum()
    return 1 / divisor.double()


def cross_entropy_twice(
    v: Tensor, grad: Tensor, x: Tensor, target: Tensor, weight: Tensor | None, options: Options
) -> tuple[Tensor, Tensor]:
    """Differentiate (v, gradient of cross-entropy), by `grad` and by the logits."""
    dim = class_dim(x)
    wanted = coefficients(x, target, weight, options)
    total, gain = wanted.sum(dim, keepdim=True), gain_of(x, target, weight, options)
    shares = torch.softmax(x, dim)
    by_row = (where_kept(v * (shares * total - wanted), target, options.ignore_index).sum(dim) * gain).to(x.dtype)
    by_grad = by_row if options.reduction == NONE else by_row.sum()
    pulled = v - (v * shares).sum(dim, keepdim=True)
    by_x = (over_classes(grad, x, options) * gain * total * shares * pulled).to(x.dtype)
    return by_grad, where_kept(by_x, target, options.ignore_index)


def nll_twice(v: Tensor, x: Tensor, target: Tensor, weight: Tensor | None, options: Options) -> Tensor:
    """Differentiate (v, gradient of nll_loss) by the gradient it was made of."""
    dim = class_dim(x)
    kept, labels = labels_kept(target, options.ignore_index)
    at_label = v.gather(dim, labels.unsqueeze(dim)).squeeze(dim) * kept
    at_label = at_label if weight is None else at_label * weight[labels]
    by_row = (-at_label * gain_of(x, target, weight, options)).to(x.dtype)
    return by_row if options.reduction == NONE else by_row.sum()


def nll_backward(
    grad: Tensor, x: Tensor, target: Tensor, weight: Tensor | None, options: Options, gain: float | Tensor
) -> Tensor:
    """Return the gradient of nll_loss by the log-probabilities."""
    dim = class_dim(x)
    kept, labels = labels_kept(target, options.ignore_index)
    each = (grad.double() * -gain).expand(target.shape).where(kept, 0.0)
    each = each if weight is None else each * weight[labels]
    return torch.zeros_like(x).scatter(dim, labels.unsqueeze(dim), each.to(x.dtype).unsqueeze(dim))


def targets_backward(
    grad: Tensor, x: Tensor, target: Tensor, weight: Tensor | None, options: Options, gain: float | Tensor
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of cross-entropy by target probabilities and weights, rounded to half types at the end."""
    dim, smoothing = class_dim(x), options.label_smoothing
    wide = torch.promote_types(x.dtype, torch.float32)
    each = _functional.log_softmax(x.to(wide), dim) * (over_classes(grad.to(wide), x, options) * -gain)
    if weight is None:
        return (each * (1 - smoothing)).to(x.dtype), None
    others = [d for d in range(x.ndim) if d != dim]
    shares = (1 - smoothing) * target.to(wide) + smoothing / x.shape[dim]
    by_weight = (each * shares).masked_fill(shares == 0, 0.0)  # what has no share costs nothing, impossible or not
    by_weight = by_weight.sum(others) if others else by_weight
    per_class = weight.to(wide).view(-1, *[1] * (x.ndim - dim - 1))
    return (each * ((1 - smoothing) * per_class)).to(x.dtype), by_weight.to(x.dtype)


class CrossEntropy(Function):
    """The loss of logits, or of log-probabilities, by labels or probabilities."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        target: Tensor,
        weight: Tensor | None,
        options: tuple[int, float, int],
        log_probabilities: bool,
    ) -> Tensor:
        ignore_index, smoothing, reduction = options
        made = _tensors.loss(x, target, weight, ignore_index, smoothing, log_probabilities, reduction, True)
        if made is None:
            raise Refused
        loss, gain, kept = made
        if weight is None and kept is None:  # each costs a third of a microsecond, there and back
            ctx.save_for_backward(x, target)
        else:
            ctx.save_for_backward(x, target, weight, kept)
        ctx.call = (options, gain, log_probabilities)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        options, gain, log_probabilities = ctx.call
        x, target, *others = ctx.saved_tensors
        weight, kept = others or (None, None)
        by_x = by_target = by_weight = None
        if log_probabilities:
            by_x = nll_backward(grad, x, target, weight, Options(*options), gain)
        elif not target.is_floating_point():  # only the logits' gradient can be wanted
            by_x = cross_entropy_backward(grad, x, target, weight, options, gain, kept)
        else:
            wants_x, *wants_others = ctx.needs_input_grad
            if wants_x:
                by_x = cross_entropy_backward(grad, x, target, weight, options, gain, kept)
            if any(wants_others):
                by_target, by_weight = targets_backward(grad, x, target, weight, Options(*options), gain)
        return by_x, by_target, by_weight, None, None


loss_with_gradient = cast(
    "Callable[[Tensor, Tensor, Tensor | None, tuple[int, float, int], bool], Tensor]", recorder(CrossEntropy)
)
