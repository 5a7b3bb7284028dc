"""enable() and disable(): the engine behind PyTorch's own operators, for code that was never changed.

PyTorch calls a kernel by operator and dispatch key. enable() puts a kernel of ours before PyTorch's for CPU tensors,
and disable() takes it away again; what the engine declines goes to the kernel that lies underneath.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.library import Library, get_kernel

from normexp.torch import _functional, _tensors
from normexp.torch._losses import engine_loss
from normexp.torch._plain import has_no_tangents, is_autocast, is_scripted
from normexp.torch._tensors import LOG_SOFTMAX, LOG_SOFTMAX_BACKWARD, MEAN, SOFTMAX, SOFTMAX_BACKWARD

_library_type: Any = Library  # its methods have no types


# Each function here makes a kernel of the one underneath. Below autograd, where nothing is left to dispatch on, that
# takes any keys of the CPU; autograd's own takes those it was called with. They say what the call is: tensors in CPU
# memory, of no subclass, with no lazy negation, in no transform and no mode, exactly if there are no others.
_CPU_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
_PLAIN_CALLS = (_CPU_KEYS | torch._C.DispatchKeySet(torch._C.DispatchKey.AutogradCPU), _CPU_KEYS)


def _takes(keys: Any) -> bool:  # noqa: ANN401
    return keys in _PLAIN_CALLS and has_no_tangents() and not is_scripted()


def _map_over(op: int, underneath: Any) -> Callable[..., Tensor]:  # noqa: ANN401
    def kernel(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
        made = _tensors.map_rows(op, x.float() if half_to_float else x, dim, False)
        return underneath.call_boxed(_CPU_KEYS, x, dim, half_to_float) if made is None else made

    return kernel


def _backward_over(op: int, underneath: Any) -> Callable[..., Tensor]:  # noqa: ANN401
    def kernel(grad: Tensor, result: Tensor, dim: int, input_dtype: torch.dtype) -> Tensor:
        made = _tensors.map_backward(op, grad, result, dim) if input_dtype == result.dtype else None
        return underneath.call_boxed(_CPU_KEYS, grad, result, dim, input_dtype) if made is None else made

    return kernel


def _logsumexp_over(underneath: Any) -> Callable[..., Tensor]:  # noqa: ANN401
    def kernel(keys: Any, x: Tensor, dim: list[int], keepdim: bool = False) -> Tensor:  # noqa: ANN401
        dims = _functional.sorted_dims(dim, x) if _takes(keys) else None
        made = None if dims is None else _functional.engine_logsumexp(x, dims, keepdim)
        return underneath.call_boxed(keys, x, dim, keepdim) if made is None else made

    return kernel


def _cross_entropy_over(underneath: Any) -> Callable[..., Tensor]:  # noqa: ANN401
    def kernel(
        keys: Any,  # noqa: ANN401
        x: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: int = MEAN,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        if _takes(keys):
            made = engine_loss(x, target, weight, (ignore_index, label_smoothing, reduction), False)
            if made is not None:
                return made
        return cast(Tensor, underneath.call_boxed(keys, x, target, weight, reduction, ignore_index, label_smoothing))

    return kernel


def _nll_loss_over(underneath: Any) -> Callable[..., Tensor]:  # noqa: ANN401
    def kernel(
        keys: Any,  # noqa: ANN401
        x: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: int = MEAN,
        ignore_index: int = -100,
    ) -> Tensor:
        # Autocast has no opinion of this operator, but of those it is composed of.
        if _takes(keys) and not is_autocast():
            made = engine_loss(x, target, weight, (ignore_index, 0.0, reduction), True)
            if made is not None:
                return made
        return cast(Tensor, underneath.call_boxed(keys, x, target, weight, reduction, ignore_index))

    return kernel


_CPU_KERNELS: dict[str, Callable[[Any], Callable[..., Tensor]]] = {
    "_softmax": partial(_map_over, SOFTMAX),
    "_log_softmax": partial(_map_over, LOG_SOFTMAX),
    "_softmax_backward_data": partial(_backward_over, SOFTMAX_BACKWARD),
    "_log_softmax_backward_data": partial(_backward_over, LOG_SOFTMAX_BACKWARD),
}
# These come with a gradient of their own.
_AUTOGRAD_KERNELS: dict[str, Callable[[Any], Callable[..., Tensor]]] = {
    "logsumexp": _logsumexp_over,
    "cross_entropy_loss": _cross_entropy_over,
    "nll_loss_nd": _nll_loss_over,
}

_lock = threading.RLock()
_library: Any = None


def _forget_routes() -> None:
    """Make PyTorch look again for where calls under a compiler's eyes go: it remembers that for each operator."""
    for name in (*_CPU_KERNELS, *_AUTOGRAD_KERNELS):
        getattr(torch.ops.aten, name).default._dispatch_cache.clear()


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
            for name, over in _CPU_KERNELS.items():
                library.impl(name, over(get_kernel(f"aten::{name}", "CPU")), "CPU")
            for name, over in _AUTOGRAD_KERNELS.items():
                for key in ("AutogradCPU", "CPU"):
                    library.impl(name, over(get_kernel(f"aten::{name}", key)), key, with_keyset=True)
        _library = library
        _forget_routes()


def disable() -> None:
    """Undo `enable`: PyTorch's operators have their own kernels again, all of them.

    PyTorch forgets a kernel at once: no other thread may be computing with these operators meanwhile.

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
            _forget_routes()


@contextmanager
def accelerated() -> Iterator[None]:
    """Enable within a ``with`` block, in all threads; afterwards things are as they were before it.

    The end of the block is a `disable`: no other thread may be computing then.

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
            if _depth == 0:
                (enable if _was_enabled else disable)()


_depth = 0
_was_enabled = False


def active_operators() -> tuple[str, ...]:
    """Return the names of PyTorch's operators that the engine is behind."""
    return (
        tuple(sorted(f"aten::{name}" for name in (*_CPU_KERNELS, *_AUTOGRAD_KERNELS))) if _library is not None else ()
    )
