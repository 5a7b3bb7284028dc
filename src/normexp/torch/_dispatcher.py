"""enable() and disable(): the engine behind PyTorch's own operators, for code that was never changed.

PyTorch calls a kernel by operator and dispatch key. enable() puts a kernel of ours before PyTorch's for CPU tensors,
and disable() takes it away again; what the engine declines goes to the kernel that lies underneath.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from normexp.torch import _tensors
from normexp.torch._cross_entropy import Options
from normexp.torch._losses import engine_loss
from normexp.torch._plain import is_plain, is_undisturbed
from normexp.torch._tensors import LOG_SOFTMAX, LOG_SOFTMAX_BACKWARD, SOFTMAX, SOFTMAX_BACKWARD, bits

_aten = torch.ops.aten
_library_type: Any = Library  # its methods have no types


# ---- kernels for the dispatch key CPU; each falls back on its out variant, which stays PyTorch's ---------------------


def _map_kernel(op: int, underneath: Callable[..., Tensor]) -> Callable[[Tensor, int, bool], Tensor]:
    def kernel(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
        made = _tensors.map_rows(op, x.float() if half_to_float else x, dim, False)
        if made is not None:
            return made
        out = x.new_empty(0, dtype=torch.float32 if half_to_float else x.dtype)
        return underneath(x, dim, half_to_float, out=out)

    return kernel


def _backward_kernel(op: int, underneath: Callable[..., Tensor], out_name: str) -> Callable[..., Tensor]:
    def kernel(grad: Tensor, result: Tensor, dim: int, input_dtype: torch.dtype) -> Tensor:
        if input_dtype == result.dtype:
            made = _tensors.map_backward(op, grad, result, dim)
            if made is not None:
                return made
        return underneath(grad, result, dim, input_dtype, **{out_name: grad.new_empty(0, dtype=input_dtype)})

    return kernel


def _logsumexp(x: Tensor, dim: Sequence[int], keepdim: bool = False) -> Tensor:
    ndim = x.ndim
    if ndim and dim and all(-ndim <= d < ndim for d in dim):
        made = _tensors.logsumexp_over(x, bits(tuple({d % ndim for d in dim})), keepdim)
        if made is not None:
            return made
    dtype = x.dtype if x.is_floating_point() or x.is_complex() else torch.get_default_dtype()
    out: Tensor = _aten.logsumexp.out(x, dim, keepdim, out=x.new_empty(0, dtype=dtype))
    return out


# ---- the losses, which PyTorch composes of other operators: taken before it does, with their gradient ----------------


def _cross_entropy_loss(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    loss = _loss(x, target, weight, Options(ignore_index, label_smoothing, reduction), log_probabilities=False)
    if loss is None:
        loss = _aten.cross_entropy_loss.default.decompose(x, target, weight, reduction, ignore_index, label_smoothing)
    return loss


def _nll_loss_nd(
    x: Tensor, target: Tensor, weight: Tensor | None = None, reduction: int = 1, ignore_index: int = -100
) -> Tensor:
    loss = _loss(x, target, weight, Options(ignore_index, 0.0, reduction), log_probabilities=True)
    return _aten.nll_loss_nd.default.decompose(x, target, weight, reduction, ignore_index) if loss is None else loss


def _loss(x: Tensor, target: Tensor, weight: Tensor | None, options: Options, log_probabilities: bool) -> Tensor | None:
    plain = is_plain(x) and is_plain(target) and (weight is None or is_plain(weight)) and is_undisturbed()
    return engine_loss(x, target, weight, options, log_probabilities) if plain else None


_CPU_KERNELS: dict[str, Callable[..., Tensor]] = {
    "_softmax": _map_kernel(SOFTMAX, _aten._softmax.out),
    "_log_softmax": _map_kernel(LOG_SOFTMAX, _aten._log_softmax.out),
    "_softmax_backward_data": _backward_kernel(SOFTMAX_BACKWARD, _aten._softmax_backward_data.out, "grad_input"),
    "_log_softmax_backward_data": _backward_kernel(LOG_SOFTMAX_BACKWARD, _aten._log_softmax_backward_data.out, "out"),
    "logsumexp": _logsumexp,
}
_LOSS_KERNELS: dict[str, Callable[..., Tensor]] = {
    "cross_entropy_loss": _cross_entropy_loss,
    "nll_loss_nd": _nll_loss_nd,
}

_lock = threading.RLock()
_library: Any = None


def enable() -> None:
    """Put the engine behind PyTorch's own CPU operators, in all threads, until `disable`.

    Unchanged models and training loops then run on it: `torch.softmax`, `torch.log_softmax`, `torch.logsumexp`,
    `torch.nn.functional.cross_entropy` and `nll_loss`, whatever calls them, modules and PyTorch's C++ code included.
    What the engine does not take keeps PyTorch's kernel. Calling it twice is calling it once.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.enable()
    >>> torch.log_softmax(torch.tensor([20.0, 0.0]), 0)
    tensor([-2.0612e-09, -2.0000e+01])
    >>> nxt.disable()
    >>> torch.log_softmax(torch.tensor([20.0, 0.0]), 0)
    tensor([  0., -20.])
    """
    global _library
    with _lock:
        if _library is not None:
            return
        library = _library_type("aten", "IMPL")
        with warnings.catch_warnings():  # that there is a kernel already is the point
            warnings.filterwarnings("ignore", "(?s).*Overriding a previously registered kernel")
            for name, kernel in _CPU_KERNELS.items():
                library.impl(name, kernel, "CPU")
            for name, kernel in _LOSS_KERNELS.items():
                for key in ("AutogradCPU", "CPU"):
                    library.impl(name, kernel, key)
        _library = library


def disable() -> None:
    """Undo `enable`: PyTorch's operators have their own kernels again, all of them.

    Examples
    --------
    >>> import normexp.torch as nxt
    >>> nxt.disable()
    """
    global _library
    with _lock:
        if _library is not None:
            _library._destroy()
            _library = None


@contextmanager
def accelerated() -> Iterator[None]:
    """Enable within a ``with`` block, in all threads; afterwards things are as they were before it.

    Yields
    ------
    None
        Nothing.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> with nxt.accelerated():
    ...     torch.logsumexp(torch.zeros(2), 0)
    tensor(0.6931)
    """
    global _depth, _was_enabled
    with _lock:
        if _depth == 0:
            _was_enabled = _library is not None
        _depth += 1
        enable()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0 and not _was_enabled:
                disable()


_depth = 0
_was_enabled = False


def active_operators() -> tuple[str, ...]:
    """Return the names of PyTorch's operators that the engine is behind."""
    return tuple(sorted(f"aten::{name}" for name in (*_CPU_KERNELS, *_LOSS_KERNELS))) if _library is not None else ()
