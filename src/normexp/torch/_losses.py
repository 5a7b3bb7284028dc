"""nll_loss and cross_entropy: documentation, then the engine or PyTorch."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction

from normexp.torch import _loss_ops, _tensors
from normexp.torch._cross_entropy import REDUCTIONS, loss_with_gradient
from normexp.torch._maps import Refused
from normexp.torch._plain import is_traced, takes


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Negative log-likelihood of labels, as `torch.nn.functional.nll_loss`; rows are summed in two float64 words.

    .. math:: \ell_n = -w_{t_n} \, x_{n, t_n}

    Parameters
    ----------
    input : Tensor
        Log-probabilities, (C), (N, C) or (N, C, d1, ...): what `log_softmax` gives.
    target : Tensor of int64
        Class indices, of the shape of `input` without the dimension of the classes.
    weight : Tensor, optional
        One weight for each class.
    size_average : bool, optional
        Deprecated; see `reduction`.
    ignore_index : int, default -100
        Rows with this label count for nothing.
    reduce : bool, optional
        Deprecated; see `reduction`.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights of the labels that count; "none" gives each row's loss.

    Returns
    -------
    Tensor
        The dtype of `input`.

    See Also
    --------
    torch.nn.functional.nll_loss : The same signature, and the same errors.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.nll_loss(torch.tensor([[-0.5, -1.0], [-0.25, -2.0]]), torch.tensor([0, 1]))
    tensor(1.2500)
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    number = _reduction_number(reduction, ignore_index)
    if number is not None and target is not None and takes(input, target, weight):
        result = engine_loss(input, target, weight, (ignore_index, 0.0, number), True)
    else:
        result = _traced_loss(input, target, weight, ignore_index, number, 0.0, log_probabilities=True)
    if result is not None:
        return result
    return F.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Cross-entropy of logits, as `torch.nn.functional.cross_entropy`, without an array of log-probabilities.

    .. math:: \ell_n = \sum_c w_c \, q_{nc} \, (\mathrm{logsumexp}(x_n) - x_{nc}), \quad
              q_{nc} = (1 - \varepsilon) \, y_{nc} + \varepsilon / C

    Parameters
    ----------
    input : Tensor
        Logits, (C), (N, C) or (N, C, d1, ...), of any strides. CPU tensors of float16, bfloat16, float32 and float64
        are computed by the engine; all others by PyTorch.
    target : Tensor
        Class indices, of the shape of `input` without the dimension of the classes; or class probabilities, floating,
        of the shape of `input`.
    weight : Tensor, optional
        One weight for each class.
    size_average : bool, optional
        Deprecated; see `reduction`.
    ignore_index : int, default -100
        Rows with this label count for nothing, and have a gradient of 0.
    reduce : bool, optional
        Deprecated; see `reduction`.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights of the labels that count, for probabilities by the number of rows;
        "none" gives each row's loss.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes; from 0 to 1.

    Returns
    -------
    Tensor
        The dtype of `input`.

    See Also
    --------
    torch.nn.functional.cross_entropy : The same signature, and the same errors.

    Notes
    -----
    Besides `input` and `target` nothing of their size is kept for the backward, which reads `input` again.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> logits = torch.tensor([[20.0, 0.0]], requires_grad=True)
    >>> loss = nxt.cross_entropy(logits, torch.tensor([0]))
    >>> loss.backward()
    >>> f"{loss.item():.4e}", logits.grad
    ('2.0612e-09', tensor([[-2.0612e-09,  2.0612e-09]]))
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    number = _reduction_number(reduction, ignore_index, label_smoothing)
    if number is not None and target is not None and takes(input, target, weight):
        result = engine_loss(input, target, weight, (ignore_index, label_smoothing, number), False)
    else:
        result = _traced_loss(input, target, weight, ignore_index, number, label_smoothing)
    if result is not None:
        return result
    return F.cross_entropy(
        input, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )


def _reduction_number(reduction: str, ignore_index: int, label_smoothing: float = 0.0) -> int | None:
    """Return PyTorch's number of a reduction, or None if the options are not what they should be: it says so itself."""
    fits = type(reduction) is str and type(ignore_index) is int and -(2**63) <= ignore_index < 2**63
    return REDUCTIONS.get(reduction) if fits and type(label_smoothing) in (float, int) else None


def _traced_loss(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: int | None,
    label_smoothing: float,
    log_probabilities: bool = False,
) -> Tensor | None:
    """Return what an operator of ours gives where calls are recorded, or None if the call is PyTorch's."""
    if reduction is None or target is None or not is_traced(x):
        return None
    if not _loss_ops.takes(x, target, weight, ignore_index, label_smoothing):
        return None
    op = _loss_ops.nll_loss if log_probabilities else _loss_ops.cross_entropy
    return cast(Tensor, op(x, target, weight, ignore_index, label_smoothing, reduction))


def engine_loss(
    x: Tensor, target: Tensor, weight: Tensor | None, options: tuple[int, float, int], log_probabilities: bool
) -> Tensor | None:
    """Return the loss of plain tensors, or None where the engine has none to give."""
    by_weight = weight is not None and weight.requires_grad
    if (x.requires_grad or target.requires_grad or by_weight) and torch.is_grad_enabled():
        if by_weight and not target.is_floating_point():
            return None  # PyTorch's own opinion is wanted
        try:
            return loss_with_gradient(x, target, weight, options, log_probabilities)
        except Refused:
            return None
    ignore_index, smoothing, reduction = options
    made = _tensors.loss(x, target, weight, ignore_index, smoothing, log_probabilities, reduction, False)
    return None if made is None else made[0]
