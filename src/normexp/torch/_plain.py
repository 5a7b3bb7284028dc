"""Which calls the engine takes itself, and which it leaves to PyTorch.

The engine reads memory. So a tensor must be one whose memory is the whole truth about it (no other device or layout, no
lazy negation, no wrapper of functorch or of a subclass), and nothing may stand between the call and its kernel that
wants to see it: a transform, a mode, autocast, a tracer. Everything else is PyTorch's business, results and errors
alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeGuard, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

FLOATS: Final = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))

# What a plain CPU tensor, and one made in inference mode, tell the dispatcher to look at.
_keys = torch._C._dispatch_keys
with torch.inference_mode(mode=False):
    _PLAIN: Final = _keys(torch.empty(0, device="cpu"))
with torch.inference_mode():
    _READABLE: Final = (_PLAIN, _keys(torch.empty(0, device="cpu")))

_is_compiling = torch.compiler.is_compiling
_transforms: Callable[[], object] = torch._C._functorch.peek_interpreter_stack
_NO_TRANSFORM: Final = type(None)  # the type, since to the compiler the None that this gives is another one
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_tracing = torch._C._get_tracing_state
_autocasts = torch._C._is_any_autocast_enabled


_TYPES: Final = frozenset((Tensor, torch.nn.Parameter))


def is_plain(x: object) -> TypeGuard[Tensor]:
    """Whether `x` is a tensor that the engine may read."""
    return type(x) in _TYPES and _keys(cast(Tensor, x)) in _READABLE


def has_no_tangents() -> bool:
    """Whether no forward-mode derivative is being taken."""
    return forward_ad._current_level < 0


def is_scripted() -> bool:
    """Whether `torch.jit.trace` is at work."""
    return _tracing() is not None


def is_autocast() -> bool:
    """Whether autocast chooses the dtypes."""
    return bool(_autocasts())


def is_undisturbed() -> bool:
    """Whether nothing stands between a call and the kernel that runs it."""
    return (
        _transforms() is None
        and _dispatch_modes() == 0
        and _function_modes() == 0
        and _tracing() is None
        and forward_ad._current_level < 0
    )


def takes(x: Any, target: Any = None, weight: Any = None) -> bool:  # noqa: ANN401
    """Whether the engine is to be called, with these tensors, right away."""
    # The two functions above, written out: every eager call comes through here, and calls of Python functions add up.
    return (
        not _is_compiling()
        and type(x) in _TYPES
        and _keys(x) in _READABLE
        and (target is None or (type(target) in _TYPES and _keys(target) in _READABLE))
        and (weight is None or (type(weight) in _TYPES and _keys(weight) in _READABLE))
        and _transforms() is None
        and _dispatch_modes() == 0
        and _function_modes() == 0
        and _tracing() is None
        and forward_ad._current_level < 0
        and not _autocasts()
    )


def is_traced(x: object) -> TypeGuard[Tensor]:
    """Whether somebody records or watches the calls, so that one with `x` becomes an operator of ours."""
    if not isinstance(x, Tensor) or x.dtype not in FLOATS or x.layout != torch.strided or x.device.type != "cpu":
        return False
    if torch.is_autocast_enabled("cpu"):
        return False
    # Operators like ours have no rule for tangents, nor for the gradients of torch.func.
    if forward_ad._current_level >= 0 or type(_transforms()) is not _NO_TRANSFORM:
        return False
    return _is_compiling() or _dispatch_modes() > 0 or (_function_modes() > 0 and is_plain(x))
