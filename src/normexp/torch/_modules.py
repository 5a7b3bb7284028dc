"""PyTorch's modules of the softmax family, with the functions of this package for their forwards."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

from normexp.torch._functional import log_softmax, softmax, softmin
from normexp.torch._losses import cross_entropy, nll_loss

M = TypeVar("M", bound=nn.Module)


def _of_pytorch(module: nn.Module, kind: type[M]) -> M:
    """Return PyTorch's module in place of ours, for `torch.jit.script`, which reads sources and can read that one's."""
    made = copy.copy(module)
    made.__class__ = kind
    return made  # type: ignore[return-value]


class Softmax(nn.Softmax):
    """`torch.nn.Softmax`, computed by `softmax`.

    Parameters
    ----------
    dim : int, optional
        The dimension that sums to 1.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.Softmax(dim=1)(torch.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __prepare_scriptable__(self) -> nn.Softmax:
        return _of_pytorch(self, nn.Softmax)

    def forward(self, input: Tensor) -> Tensor:
        """Return the softmax of the input."""
        return softmax(input, self.dim, _stacklevel=5)


class LogSoftmax(nn.LogSoftmax):
    """`torch.nn.LogSoftmax`, computed by `log_softmax`.

    Parameters
    ----------
    dim : int, optional
        The dimension whose exponentials sum to 1.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.LogSoftmax(dim=1)(torch.zeros(1, 2))
    tensor([[-0.6931, -0.6931]])
    """

    def __prepare_scriptable__(self) -> nn.LogSoftmax:
        return _of_pytorch(self, nn.LogSoftmax)

    def forward(self, input: Tensor) -> Tensor:
        """Return the logarithm of the softmax of the input."""
        return log_softmax(input, self.dim, _stacklevel=5)


class Softmin(nn.Softmin):
    """`torch.nn.Softmin`, computed by `softmin`.

    Parameters
    ----------
    dim : int, optional
        The dimension that sums to 1.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.Softmin(dim=1)(torch.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __prepare_scriptable__(self) -> nn.Softmin:
        return _of_pytorch(self, nn.Softmin)

    def forward(self, input: Tensor) -> Tensor:
        """Return the softmin of the input."""
        return softmin(input, self.dim, _stacklevel=5)


class NLLLoss(nn.NLLLoss):
    """`torch.nn.NLLLoss`, computed by `nll_loss`.

    Parameters
    ----------
    weight : Tensor, optional
        One weight for each class.
    size_average, reduce : bool, optional
        Deprecated; see `reduction`.
    ignore_index : int, default -100
        Rows with this label count for nothing.
    reduction : {"mean", "sum", "none"}, default "mean"
        How rows are put together.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.NLLLoss()(torch.tensor([[-0.5, -1.0]]), torch.tensor([1]))
    tensor(1.)
    """

    def __prepare_scriptable__(self) -> nn.NLLLoss:
        return _of_pytorch(self, nn.NLLLoss)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of log-probabilities."""
        return nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(nn.CrossEntropyLoss):
    """`torch.nn.CrossEntropyLoss`, computed by `cross_entropy`.

    Parameters
    ----------
    weight : Tensor, optional
        One weight for each class.
    size_average, reduce : bool, optional
        Deprecated; see `reduction`.
    ignore_index : int, default -100
        Rows with this label count for nothing.
    reduction : {"mean", "sum", "none"}, default "mean"
        How rows are put together.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.CrossEntropyLoss()(torch.zeros(1, 2), torch.tensor([1]))
    tensor(0.6931)
    """

    def __prepare_scriptable__(self) -> nn.CrossEntropyLoss:
        return _of_pytorch(self, nn.CrossEntropyLoss)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of logits."""
        return cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )
