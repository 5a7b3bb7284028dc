"""Where guard listens: a few functions that PyTorch's own Python calls, replaced while a guard is at work.

`torch.nn.functional.cross_entropy` and the others look up the operator behind them at each call. That operator is what
is replaced, and not the function that programs import, keep and compare. So every caller is heard, and what is not a
loss costs nothing. (A mode that sees all of PyTorch's calls takes a training step of a small network half as long
again.)
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

import torch
from torch import Tensor
from torch.jit import _builtins as _untyped_builtins

from normexp.guard.pace import Pace
from normexp.guard.recorder import RECORDER
from normexp.guard.watch import Watch

_is_compiling = torch.compiler.is_compiling
_is_grad_enabled = torch.is_grad_enabled
_transforms: Callable[[], object] = torch._C._functorch.peek_interpreter_stack
_dispatch_modes = torch._C._len_torch_dispatch_stack
_tracing = torch._C._get_tracing_state
_TENSORS: Final = (Tensor, torch.nn.Parameter)

_lock = threading.RLock()
_watches: tuple[Watch, ...] = ()
_builtins: Any = _untyped_builtins
_undo: list[Callable[[], None]] = []
_last = 0  # the id of the last loss that was looked at
# Evaluation comes seldom, and must not fall into the rests of a training with short steps: it has a pace of its own.
_losses: Final = (Pace(), Pace())  # by whether gradients are enabled
_backwards: Final = Pace()

# What a loss was called with, in the order (input, target, weight, reduction, ...) of its check; None if unknown.
_Arguments = Callable[[tuple[Any, ...], dict[str, Any]], tuple[str, Sequence[Any]] | None]


def add(watch: Watch) -> None:
    """Have a guard see what happens from here on, in all threads."""
    global _watches
    with _lock:
        if not _watches:
            _replace()
        _watches = (*_watches, watch)
        for pace in (*_losses, _backwards):
            pace.restart()
        RECORDER.restart()


def remove(watch: Watch) -> None:
    """Have it see no more."""
    global _watches
    with _lock:
        _watches = tuple(one for one in _watches if one is not watch)
        if not _watches:
            RECORDER.stop()
            while _undo:
                _undo.pop()()


def _is_seen(result: object) -> bool:
    """Whether this is a value that can be read, and nobody else watches who would see us read it."""
    if type(result) not in _TENSORS or result.is_meta:  # type: ignore[attr-defined]
        return False
    return _transforms() is None and _dispatch_modes() == 0 and _tracing() is None


def _tapped_loss(original: Callable[..., Any], arguments: _Arguments) -> Callable[..., Any]:
    def tapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        result = original(*args, **kwargs)
        if _is_compiling():
            return result
        pace = _losses[_is_grad_enabled()]
        if pace.rest > 0:  # where most calls end
            pace.rest -= 1
        elif _is_seen(result) and (found := arguments(args, kwargs)):
            global _last
            _last = id(result)
            frame = sys._getframe(1)
            rests = [watch.see_loss(*found, result, frame) for watch in _watches]
            if all(rests):
                pace.take_a_rest()
        return result

    return tapped


def _tapped_backward(original: Callable[..., Any]) -> Callable[..., Any]:
    def backward(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if _is_compiling() or not args:
            return original(*args, **kwargs)
        if _backwards.rest > 0:
            _backwards.rest -= 1
            return original(*args, **kwargs)
        if RECORDER.is_done and id(args[0]) == _last:
            # A loss that has just been looked at needs no second look. The next to be looked at will be at its turn.
            _backwards.rest = _losses[True].rest
            return original(*args, **kwargs)
        after = _see_backward(args[0], sys._getframe(1))
        if not after:
            _backwards.take_a_rest()
            return original(*args, **kwargs)
        done = False
        try:
            result = original(*args, **kwargs)
            done = True
            return result
        finally:
            for see in after:
                see(done)

    return backward


def _see_backward(given: Tensor | Sequence[Tensor], frame: FrameType) -> list[Callable[[bool], None]]:
    """Have the watches see what a backward begins with; return what they want to see after it, of the first batches."""
    roots = (given,) if isinstance(given, Tensor) else tuple(given)
    seen = all(map(_is_seen, roots))
    return [see for watch in _watches if (see := watch.see_backward(roots, frame, seen))]


def _replace() -> None:
    import normexp.torch._losses as ours

    functions = torch._C._nn
    _put(functions, "cross_entropy_loss", lambda one: _tapped_loss(one, _of_cross_entropy))
    _put(functions, "nll_loss_nd", lambda one: _tapped_loss(one, _of_nll_loss))
    _put(torch, "kl_div", lambda one: _tapped_loss(one, _of_kl_div))
    _put(torch, "binary_cross_entropy_with_logits", lambda one: _tapped_loss(one, _of_bce))
    _put(ours, "engine_loss", lambda one: _tapped_loss(one, _of_engine_loss))
    _put(torch.autograd, "backward", _tapped_backward)
    _put(torch.autograd, "grad", _tapped_backward)


def _put(module: Any, name: str, tap: Callable[[Any], Any]) -> None:  # noqa: ANN401
    original = getattr(module, name)
    scripted = _builtins._find_builtin(original)  # torch.jit.script knows operators by their identity
    tapped = tap(original)
    tapped.__name__ = tapped.__qualname__ = name
    if scripted is not None:
        _builtins._register_builtin(tapped, scripted)
    setattr(module, name, tapped)

    def undo() -> None:
        # Somebody may have put a function of their own over ours; then it stays, and ours under it, seeing nothing.
        if getattr(module, name) is tapped:
            setattr(module, name, original)
        if scripted is not None:
            _builtins._get_builtin_table().pop(id(tapped), None)

    _undo.append(undo)


def _of_cross_entropy(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Sequence[Any]] | None:
    return ("cross_entropy", args) if len(args) == 6 and not kwargs else None


def _of_nll_loss(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Sequence[Any]] | None:
    return ("nll_loss", args) if len(args) == 5 and not kwargs else None


def _of_kl_div(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Sequence[Any]] | None:
    return ("kl_div", (*args[:2], kwargs.get("log_target", False))) if len(args) >= 2 else None


def _of_bce(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Sequence[Any]] | None:
    return ("binary_cross_entropy_with_logits", args) if len(args) >= 2 else None


def _of_engine_loss(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Sequence[Any]] | None:
    x, target, weight, (ignore_index, smoothing, reduction), log_probabilities = args
    name = "nll_loss" if log_probabilities else "cross_entropy"
    return name, (x, target, weight, reduction, ignore_index, smoothing)
