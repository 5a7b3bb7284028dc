"""softmax, log_softmax, softmin, logsumexp: documentation, then the engine or PyTorch."""

from __future__ import annotations

from typing import Final, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from normexp.torch import _ops, _tensors
from normexp.torch._maps import Refused, logsumexp_with_gradient, map_with_gradient
from normexp.torch._plain import FLOATS, is_traced, takes
from normexp.torch._tensors import LOG_SOFTMAX, SOFTMAX, bits

_MOST_DIMS: Final = 64  # of PyTorch's own reductions, and bits in the engine's set of them


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    r"""Softmax, as `torch.nn.functional.softmax`: about one ULP from exact on the CPU.

    .. math:: \mathrm{softmax}(x)_i = \exp(x_i) / \sum_j \exp(x_j)

    Parameters
    ----------
    input : Tensor
        Logits. CPU tensors of float16, bfloat16, float32 and float64, of any strides, are computed by the engine; all
        others by PyTorch.
    dim : int
        The dimension that sums to 1. Without it PyTorch chooses one, and warns.
    _stacklevel : int, default 3
        Where that warning points to.
    dtype : torch.dtype, optional
        Convert `input` to this dtype first.

    Returns
    -------
    Tensor
        Shape of `input`; contiguous.

    See Also
    --------
    torch.nn.functional.softmax : The same signature, and the same errors.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.softmax(torch.tensor([[0.0, 0.0], [0.0, 20.0]]), dim=1)
    tensor([[5.0000e-01, 5.0000e-01],
            [2.0612e-09, 1.0000e+00]])
    """
    result = _map(SOFTMAX, input, dim, dtype)
    return F.softmax(input, dim, _stacklevel + 1, dtype) if result is None else result


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None
) -> Tensor:
    r"""Logarithm of softmax, as `torch.nn.functional.log_softmax`; a sure row keeps how sure it is.

    .. math:: \mathrm{log\_softmax}(x)_i = x_i - \log \sum_j \exp(x_j)

    Parameters
    ----------
    input : Tensor
        Logits; see `softmax`.
    dim : int
        The dimension whose exponentials sum to 1. Without it PyTorch chooses one, and warns.
    _stacklevel : int, default 3
        Where that warning points to.
    dtype : torch.dtype, optional
        Convert `input` to this dtype first.

    Returns
    -------
    Tensor
        Shape of `input`; contiguous.

    See Also
    --------
    torch.nn.functional.log_softmax : The same signature, and the same errors.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.log_softmax(torch.tensor([20.0, 0.0]), dim=0)
    tensor([-2.0612e-09, -2.0000e+01])
    """
    result = _map(LOG_SOFTMAX, input, dim, dtype)
    return F.log_softmax(input, dim, _stacklevel + 1, dtype) if result is None else result


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    r"""Softmax of the negated logits, as `torch.nn.functional.softmin`.

    .. math:: \mathrm{softmin}(x) = \mathrm{softmax}(-x)

    Parameters
    ----------
    input : Tensor
        Logits; see `softmax`.
    dim : int
        The dimension that sums to 1. Without it PyTorch chooses one, and warns.
    _stacklevel : int, default 3
        Where that warning points to.
    dtype : torch.dtype, optional
        Convert `input` to this dtype first.

    Returns
    -------
    Tensor
        Shape of `input`; contiguous.

    See Also
    --------
    torch.nn.functional.softmin : The same signature, and the same errors.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.softmin(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    result = _map(SOFTMAX, input, dim, dtype, negate=True)
    return F.softmin(input, dim, _stacklevel + 1, dtype) if result is None else result


def _map(op: int, x: Tensor, dim: int | None, dtype: torch.dtype | None, negate: bool = False) -> Tensor | None:
    """Return what the engine makes of a call, or None if it is PyTorch's."""
    if type(dim) is not int or not -_MOST_DIMS <= dim <= _MOST_DIMS:
        return None
    if takes(x):
        if dtype is not None and dtype != x.dtype:
            if dtype not in FLOATS or x.is_complex() or (negate and not x.is_floating_point()):
                return None  # an unsigned integer is negated before it is converted
            x = x.to(dtype)
        if not (x.requires_grad and torch.is_grad_enabled()):
            return _tensors.map_rows(op, x, dim, negate)
        try:
            return map_with_gradient(x, op, dim, negate)
        except Refused:
            return None
    if is_traced(x) and (dtype is None or dtype in FLOATS) and -max(x.ndim, 1) <= dim < max(x.ndim, 1):
        x = x if dtype is None else x.to(dtype)
        traced = _ops.softmax if op == SOFTMAX else _ops.log_softmax
        return cast(Tensor, traced(-x if negate else x, dim))
    return None


def logsumexp(
    input: Tensor, dim: int | tuple[int, ...] | list[int], keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    r"""Logarithm of the sum of exponentials, as `torch.logsumexp`.

    .. math:: \mathrm{logsumexp}(x) = \log \sum_j \exp(x_j)

    Parameters
    ----------
    input : Tensor
        Logits; see `softmax`. PyTorch computes integers, in its default dtype.
    dim : int, tuple of int or list of int
        The dimension or dimensions to sum over.
    keepdim : bool, default False
        Keep them, with length 1.
    out : Tensor, optional
        Where to write the result; such calls are PyTorch's.

    Returns
    -------
    Tensor
        The dtype of `input`.

    See Also
    --------
    torch.logsumexp : The same signature, and the same errors.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.logsumexp(torch.tensor([[0.0, 0.0], [200.0, 200.0]]), dim=1)
    tensor([  0.6931, 200.6931])
    """
    if out is None and isinstance(input, Tensor) and type(keepdim) is bool:
        dims = sorted_dims(dim, input)
        if dims is not None:
            result = _logsumexp(input, dims, keepdim)
            if result is not None:
                return result
    return torch.logsumexp(input, dim, keepdim, out=out)


def _logsumexp(x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor | None:
    if takes(x):
        return engine_logsumexp(x, dims, keepdim)
    return _ops.logsumexp(x, list(dims), keepdim) if is_traced(x) else None


def engine_logsumexp(x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor | None:
    """Return logsumexp of a plain tensor, or None where the engine has none to give."""
    if not (x.requires_grad and torch.is_grad_enabled()):
        return _tensors.logsumexp_over(x, bits(dims), keepdim)
    try:
        return logsumexp_with_gradient(x, dims, keepdim)
    except Refused:
        return None


def sorted_dims(dim: int | tuple[int, ...] | list[int], x: Tensor) -> tuple[int, ...] | None:
    """Return the dimensions in 0 .. ndim - 1, sorted; or None where PyTorch has more to say about them."""
    given = (dim,) if type(dim) is int else dim
    ndim = x.ndim
    if not isinstance(given, (tuple, list)) or not given or not 0 < ndim <= _MOST_DIMS:
        return None
    if not all(type(d) is int and -ndim <= d < ndim for d in given):
        return None
    dims = sorted({d % ndim for d in given})
    return tuple(dims) if len(dims) == len(given) else None
