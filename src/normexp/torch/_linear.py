"""linear_cross_entropy: documentation, checks, then the blocks, an operator, or PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from normexp.torch._cross_entropy import REDUCTIONS
from normexp.torch._linear_autograd import fused, unfused
from normexp.torch._linear_loop import Problem, Settings
from normexp.torch._linear_ops import recorded
from normexp.torch._plain import FLOATS, is_plain, is_traced, is_undisturbed

if TYPE_CHECKING:
    from torch.nn import LinearCrossEntropyOptions


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    memory_budget: int | None = None,
) -> Tensor:
    r"""Cross-entropy of ``input @ linear_weight.T``, with its gradients, without an array of logits.

    .. math:: x_n = \frac{1}{T} \, c \tanh(\frac{1}{c} (W h_n + b)), \quad
              \ell_n = \sum_k w_k \, q_{nk} \, (\mathrm{logsumexp}(x_n) - x_{nk}) + z \, \mathrm{logsumexp}(x_n)^2

    Parameters
    ----------
    input : Tensor
        Hidden states h, (N, H), or (H) for one row.
    linear_weight : Tensor
        The W above, (V, H), of the dtype of `input`.
    target : Tensor
        Class indices, int64, one a row; or class probabilities, (N, V).
    linear_bias : Tensor, optional
        The b above, (V).
    weight : Tensor, optional
        One weight w for each class.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of the weights of the labels that count, for probabilities by the number of rows;
        "none" gives each row's loss.
    ignore_index : int, optional
        Rows with this label, -100 by default, count for nothing, and are dropped before any work.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes; from 0 to 1. q above is as in `cross_entropy`.
    options : torch.nn.LinearCrossEntropyOptions, optional
        Accepted for PyTorch's signature, and without effect: there is nothing to choose but `memory_budget`.
    temperature : float, default 1.0
        The T above: positive and finite.
    softcap : float, optional
        The c above, the size that logits do not exceed; None for logits as they are.
    z_loss : float, default 0.0
        The z above: the factor of the squared log-sum-exp in the loss of each row that counts.
    memory_budget : int, optional
        How many bytes blocks of logits may take. By default 36 MiB, or a sixteenth of all logits without 28 MiB if that
        is more, which keeps the promise below. One row of logits is always held.

    Returns
    -------
    Tensor
        float64 for float64, float32 for all other dtypes: a loss that is rounded to bfloat16 keeps two or three digits.

    Raises
    ------
    IndexError
        If a label is no class and not ignored; says which.
    RuntimeError, TypeError, ValueError
        If shapes, dtypes or options do not fit, before anything is allocated.

    See Also
    --------
    torch.nn.functional.linear_cross_entropy : The same signature, up to `options`.
    LinearCrossEntropyLoss : The module with the weights.

    Notes
    -----
    Those gradients by `input`, `linear_weight` and `linear_bias` that are wanted are computed with the loss, in one
    sweep over chunks of rows. Beside them and the arguments, at most 64 MiB are used, or a sixteenth of all logits.
    See docs/linear_cross_entropy.md, also for what goes to PyTorch's operators, with all logits in memory: other
    devices, gradients by targets or class weights, gradients of gradients, weights of more than two dimensions.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> hidden = torch.tensor([[1.0, 2.0], [0.0, -1.0]], requires_grad=True)
    >>> weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], requires_grad=True)
    >>> loss = nxt.linear_cross_entropy(hidden, weight, torch.tensor([2, 0]))
    >>> loss.backward()
    >>> loss
    tensor(0.4795, grad_fn=<LinearCrossEntropyBackward>)
    >>> hidden.grad
    tensor([[-0.1224, -0.0450],
            [-0.1060,  0.2119]])
    """
    problem = Problem(input, linear_weight, linear_bias, target, weight)
    _check_shapes(problem, reduction, ignore_index)
    settings = Settings(
        -100 if ignore_index is None else ignore_index,
        label_smoothing,
        REDUCTIONS[reduction],
        temperature,
        softcap,
        z_loss,
        memory_budget,
    )
    if not torch.compiler.is_compiling():  # which may have no numbers, but symbols for them; the operator checks them
        settings = settings.checked()
    device = input.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            return _loss(problem.map(lambda given: _cast(given, dtype)), settings)
    return _loss(problem, settings)


def _loss(problem: Problem, settings: Settings) -> Tensor:
    if not _fits(problem):
        return unfused(problem, settings)
    one_row = problem.input.ndim == 1
    if one_row:
        problem = problem._replace(input=problem.input.unsqueeze(0), target=problem.target.unsqueeze(0))
    if not torch.compiler.is_compiling() and all(given is None or is_plain(given) for given in problem):
        loss = fused(problem, settings) if is_undisturbed() else _recorded_or_not(problem, settings)
    else:
        loss = _recorded_or_not(problem, settings)
    return loss.squeeze(0) if one_row and loss.ndim else loss


def _recorded_or_not(problem: Problem, settings: Settings) -> Tensor:
    return recorded(problem, settings) if is_traced(problem.input) else unfused(problem, settings)


def _cast(given: Tensor, dtype: torch.dtype) -> Tensor:
    """As autocast does: float64 stays."""
    return given.to(dtype) if given.is_floating_point() and given.dtype != torch.float64 else given


def _fits(problem: Problem) -> bool:
    """Whether the blocks are for this call: PyTorch's operators take, or refuse, all others."""
    x, weight, bias, target, class_weight = problem
    if weight.ndim != 2 or x.dtype not in FLOATS or x.dtype != weight.dtype or not weight.numel():
        return False
    if any(given is not None and given.device != x.device for given in problem) or x.device.type != "cpu":
        return False
    if any(given is not None and given.requires_grad for given in (target, class_weight)):
        return False
    if bias is not None and bias.dtype != x.dtype:
        return False
    return not target.is_floating_point() or target.dtype in FLOATS


def _check_shapes(problem: Problem, reduction: str, ignore_index: int | None) -> None:
    """Raise what PyTorch's function raises, for the same reasons."""
    x, weight, bias, target, class_weight = problem
    for name, given in zip(("input", "linear_weight", "linear_bias", "target", "weight"), problem, strict=True):
        if not isinstance(given, Tensor) and not (given is None and name in ("linear_bias", "weight")):
            raise TypeError(f"{name} must be a tensor, not {type(given).__name__}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: expected one of {', '.join(REDUCTIONS)}")
    if x.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {x.ndim}")
    if weight.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {weight.ndim}")
    if x.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {x.shape[-1]} and {weight.shape[-1]}, respectively"
        )
    if bias is not None and bias.shape != weight.shape[:-1]:
        raise RuntimeError(f"expected linear_bias shape {tuple(weight.shape[:-1])}, got {tuple(bias.shape)}")
    if x.ndim == 1 and weight.ndim > 2:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(weight.shape)} requires batched input, "
            f"(N, {x.shape[-1]}), got unbatched input with shape {tuple(x.shape)}"
        )
    rows = (*x.shape[:-1], *weight.shape[1:-1])
    if target.shape == (*x.shape[:-1], *weight.shape[:-1]):
        if ignore_index is not None:
            raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
        if not target.is_floating_point():
            raise RuntimeError(f"target has the logits' shape, but dtype {target.dtype}; probabilities are floating")
    elif target.shape != rows:
        raise (ValueError if target.ndim == len(rows) else RuntimeError)(
            f"target has shape {tuple(target.shape)}; expected {rows}, one class index a row, or probabilities of "
            f"shape {(*x.shape[:-1], *weight.shape[:-1])}"
        )
    elif target.dtype not in (torch.int64, torch.uint8):
        raise RuntimeError(f"target has dtype {target.dtype}; expected int64, the class indices")
    if x.dtype != weight.dtype:
        raise RuntimeError(f"input and linear_weight must have one dtype, not {x.dtype} and {weight.dtype}")
    if class_weight is not None and (class_weight.shape != weight.shape[:1] or not class_weight.is_floating_point()):
        raise RuntimeError(
            f"weight has shape {tuple(class_weight.shape)} and dtype {class_weight.dtype}; expected "
            f"{tuple(weight.shape[:1])}, one floating weight for each class"
        )
