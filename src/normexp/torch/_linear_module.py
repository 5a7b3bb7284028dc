"""LinearCrossEntropyLoss: the last layer and its loss in one module."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from normexp.torch._linear import linear_cross_entropy

if TYPE_CHECKING:
    from torch.nn import LinearCrossEntropyOptions


class LinearCrossEntropyLoss(nn.Module):
    """`torch.nn.LinearCrossEntropyLoss`, computed by `linear_cross_entropy`: its arguments and its parameters.

    Parameters
    ----------
    in_features : int
        H.
    num_classes : int
        V.
    out_features : tuple of int, default ()
        Further dimensions (d1, ...) of the loss, computed by PyTorch's operators.
    bias : bool, default False
        Whether the linear layer has a bias.
    device : torch.device, optional
        Of the weights.
    dtype : torch.dtype, optional
        Of the weights.
    reduction : {"mean", "sum", "none"}, default "mean"
        See `linear_cross_entropy`.
    weight : Tensor, optional
        One weight for each class.
    ignore_index : int, optional
        Rows with this label, -100 by default, count for nothing.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes.
    options : torch.nn.LinearCrossEntropyOptions, optional
        Without effect; see `linear_cross_entropy`.
    temperature : float, default 1.0
        See `linear_cross_entropy`.
    softcap : float, optional
        See `linear_cross_entropy`.
    z_loss : float, default 0.0
        See `linear_cross_entropy`.
    memory_budget : int, optional
        See `linear_cross_entropy`.

    Raises
    ------
    RuntimeError
        If `weight` has another shape than (num_classes,), or `label_smoothing` is not in [0, 1].

    Attributes
    ----------
    linear : torch.nn.Linear
        The layer; its weights are (num_classes * d1 * ..., in_features).

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> head = nxt.LinearCrossEntropyLoss(2, 3)
    >>> _ = torch.nn.init.zeros_(head.linear.weight)
    >>> head(torch.ones(4, 2), torch.tensor([0, 1, 2, 0]))
    tensor(1.0986, grad_fn=<LinearCrossEntropyBackward>)
    """

    weight: Tensor | None

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
        temperature: float = 1.0,
        softcap: float | None = None,
        z_loss: float = 0.0,
        memory_budget: int | None = None,
    ) -> None:
        super().__init__()
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        self.register_buffer("weight", weight)
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing
        self.options = options
        self.temperature, self.softcap, self.z_loss = temperature, softcap, z_loss
        self.memory_budget = memory_budget
        rows = math.prod(self.out_features, start=num_classes)
        self.linear = nn.Linear(in_features, rows, bias=bias, device=device, dtype=dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss of hidden states."""
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return linear_cross_entropy(
            input,
            self.linear.weight.view(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.view(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
            temperature=self.temperature,
            softcap=self.softcap,
            z_loss=self.z_loss,
            memory_budget=self.memory_budget,
        )

    def extra_repr(self) -> str:
        """Say what differs from the defaults of `linear_cross_entropy`."""
        options = {
            "reduction": (self.reduction, "mean"),
            "ignore_index": (self.ignore_index, None),
            "label_smoothing": (self.label_smoothing, 0.0),
            "temperature": (self.temperature, 1.0),
            "softcap": (self.softcap, None),
            "z_loss": (self.z_loss, 0.0),
            "memory_budget": (self.memory_budget, None),
        }
        changed = (f"{name}={value!r}" for name, (value, default) in options.items() if value != default)
        return ", ".join([f"num_classes={self.num_classes}", f"out_features={self.out_features}", *changed])
