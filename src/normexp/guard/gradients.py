"""Whether the gradient at the logits has underflowed: it is zero, and the loss is not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from normexp.guard.graph import operation, parents

_Gradients = tuple[Tensor | None, ...]


def watch_underflow(x: Tensor, loss: Tensor, report: Callable[[Tensor], None]) -> None:
    """Call `report` with the gradient at `x`, when the backward comes there, if it is zero and that of `loss` is not.

    The hooks sit on operations of the graph, see gradients only, and go away when they have seen one.
    """
    made_loss, made_x = loss.grad_fn, x.grad_fn
    if made_loss is None or made_x is None:
        return
    # A cast to float32 before the loss has a gradient of float32; that behind it is the one that may underflow.
    while operation(made_x) == "ToCopy" and parents(made_x):
        made_x = parents(made_x)[0]
    is_cast = made_x is not x.grad_fn
    number = 0 if is_cast else x.output_nr
    if (made_x._input_metadata[0].dtype if is_cast else x.dtype) not in (torch.float16, torch.bfloat16):
        return  # float32 would need a loss of 1e-36

    reached = False

    def at_loss(gradients: _Gradients) -> None:
        nonlocal reached
        from_loss.remove()
        reached = type(gradients[0]) is Tensor and bool((gradients[0] != 0).any())

    def at_logits(gradients: _Gradients) -> None:
        from_logits.remove()
        gradient = gradients[number]
        if reached and gradient is not None and _is_lost(gradient):
            report(gradient)

    from_loss = made_loss.register_prehook(at_loss)
    from_logits = made_x.register_prehook(at_logits)


def _is_lost(gradient: Tensor) -> bool:
    """Whether nothing of a gradient is above the smallest normal number: a few bits of it are left, or none."""
    if gradient.numel() == 0 or not gradient.is_floating_point() or type(gradient) is not Tensor:
        return False
    return float(gradient.detach().abs().amax()) < torch.finfo(gradient.dtype).tiny
