"""row_stats for tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from normexp.torch import _tensors
from normexp.torch._plain import FLOATS, is_plain


class RowStats(NamedTuple):
    """Figures of rows of logits, one element for each row.

    Parameters
    ----------
    logsumexp, max : Tensor
        The dtype of the logits.
    argmax : Tensor of int64
        Position of the largest logit.
    entropy : Tensor
        In nats.
    log_prob : Tensor or None
        Log-probability of the target; None without one.
    rank : Tensor of int64 or None
        Rank of the target, from 0; None without one.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.row_stats(torch.zeros(2)).entropy
    tensor(0.6931)
    """

    logsumexp: Tensor
    max: Tensor
    argmax: Tensor
    entropy: Tensor
    log_prob: Tensor | None
    rank: Tensor | None


def row_stats(logits: Tensor, target: Tensor | None = None, /, *, dim: int = -1) -> RowStats:
    """Log-sum-exp, maximum, entropy, and where the target stands, of each row, read once; see `normexp.row_stats`.

    Parameters
    ----------
    logits : Tensor
        Logits in CPU memory: float16, bfloat16, float32 or float64, of any shape and strides.
    target : Tensor of int, optional
        Class indices, one for each row.
    dim : int, default -1
        The dimension of the classes.

    Returns
    -------
    RowStats
        A named tuple of tensors, without gradients.

    Raises
    ------
    IndexError
        If a label is no class, or `dim` is out of range.
    TypeError
        If `logits` is not such a tensor: PyTorch has no operator to leave it to.
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.row_stats(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1])).rank
    tensor([1])
    """
    if not is_plain(logits) or logits.dtype not in FLOATS:
        what = f"a tensor of {logits.dtype} on {logits.device}" if isinstance(logits, Tensor) else repr(type(logits))
        raise TypeError(f"row_stats reads plain CPU tensors of float16, bfloat16, float32 and float64, not {what}")
    if not logits.ndim or not -logits.ndim <= dim < logits.ndim:
        raise IndexError(f"dim is {dim}, which no tensor of {logits.ndim} dimensions has")
    dim %= logits.ndim
    classes = logits.shape[dim]
    if classes == 0:
        raise ValueError(f"logits have no classes: dimension {dim} of shape {tuple(logits.shape)} is empty")
    if target is not None:
        _check_labels(target, logits, dim, classes)
    stats = _tensors.row_stats(logits, target, dim)
    assert stats is not None  # everything it may refuse was refused above
    return RowStats(*stats)


def _check_labels(target: Tensor, logits: Tensor, dim: int, classes: int) -> None:
    shape = logits.shape[:dim] + logits.shape[dim + 1 :]
    if not is_plain(target) or target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError("target must be a plain CPU tensor of integers, the class indices")
    if target.shape != shape:
        raise ValueError(
            f"target has shape {tuple(target.shape)}; expected {tuple(shape)}, one class index for each row of logits "
            f"of shape {tuple(logits.shape)}"
        )
    wrong = ((target < 0) | (target >= classes)).nonzero()
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise IndexError(
            f"target{list(at) or ''} is {target[at].item()}, which is no class: expected 0 to {classes - 1}"
        )
