"""Somebody's own function as an `Implementation`: called with the arrays it takes, on the device it runs on."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from normexp.verify.cases import DTYPES
from normexp.verify.losses import LOSSES, UnsupportedError
from normexp.verify.peers import FUNCTIONS, Array, Implementation
from normexp.verify.tensors import copied, from_tensor, to_tensor

OPS: Final = (*FUNCTIONS, *LOSSES)
ARRAYS: Final = ("numpy", "torch", "jax")


class NotAFunctionError(Exception):
    """There is no such function, or it takes nothing that the suite could give it; the message says why."""


class InputChangedError(Exception):
    """The function wrote into the array it was given."""


class _MeanError(Exception):
    """One number came of several rows."""


@dataclass(frozen=True)
class Subject:
    """A function, ready to be examined.

    Parameters
    ----------
    implementation : Implementation
        It, for `op` alone.
    op : str
        What it computes, one of `OPS`.
    arrays : str
        What it takes: one of `ARRAYS`.
    dtypes : tuple of str
        The formats that it takes and gives back.
    refused : dict
        What it does with each of the other formats.
    integers : bool
        Whether integers are to be tried, too: unless formats were asked for by name.
    """

    implementation: Implementation
    op: str
    arrays: str
    dtypes: tuple[str, ...]
    refused: dict[str, str]
    integers: bool


class Unknown(NamedTuple):
    """A word that is none of those known."""

    what: str
    given: str
    known: tuple[str, ...]


def unknown(op: str, arrays: str | None, dtypes: Sequence[str] | None) -> Unknown | None:
    """Return the first of these that means nothing here, if there is one."""
    given = [("op", op, OPS), *(("dtype", dtype, tuple(DTYPES)) for dtype in dtypes or ())]
    given += [] if arrays is None else [("arrays", arrays, ARRAYS)]
    return next((Unknown(*one) for one in given if one[1] not in one[2]), None)


def load(name: str) -> Callable[..., Any]:
    """Import ``package.module:function``; modules in the current directory are found, too."""
    path, colon, attribute = name.partition(":")
    if not (path and colon and attribute):
        raise NotAFunctionError(f"{name!r} names no function: it should read package.module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(path)
    except Exception as error:  # an import runs whatever stands in the module
        raise NotAFunctionError(f"cannot import {path}: {type(error).__name__}: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise NotAFunctionError(f"{path} has no {attribute}")
        found = getattr(found, part)
    if not callable(found):
        raise NotAFunctionError(f"{name} is {type(found).__name__}, not a function")
    function: Callable[..., Any] = found
    return function


def examined(
    function: Callable[..., Any],
    op: str,
    *,
    arrays: str | None = None,
    device: str | None = None,
    dtypes: Sequence[str] | None = None,
) -> Subject:
    """Find out how a function wants to be called.

    Parameters
    ----------
    function : callable
        ``function(x)`` for rows on the last axis of a two-dimensional `x`; for losses ``function(logits, labels)``.
    op : str
        What it computes.
    arrays : str, optional
        "numpy", "torch" or "jax": what to give it. By default the first of them that it takes.
    device : str, optional
        Where PyTorch's or JAX's arrays are to be, as these name it.
    dtypes : sequence of str, optional
        The formats to try. By default those that it gives back as it got them.

    Raises
    ------
    NotAFunctionError
        If it takes none of them.
    """
    if arrays == "numpy" and device:
        raise NotAFunctionError("NumPy's arrays have no device")
    kinds = (arrays,) if arrays else ("torch", "jax") if device else ARRAYS
    reasons = []
    for kind in kinds:
        name = getattr(function, "__name__", type(function).__name__)
        trial = _Call(function, op, kind, device)
        refused = {dtype: reason for dtype in dtypes or DTYPES if (reason := trial.refuses(DTYPES[dtype]))}
        taken = tuple(dtype for dtype in dtypes or DTYPES if dtype not in refused)
        if taken:
            implementation = Implementation(name, "", trial.rows, trial.losses)
            if dtypes:  # to refuse what was asked for by name is a fault like any other
                taken, refused = tuple(dtypes), {}
            return Subject(implementation, op, kind, taken, refused, integers=not dtypes)
        reasons += [f"{kind}, {dtype}: {reason}" for dtype, reason in refused.items()]
    raise NotAFunctionError(f"it gives no {op} of anything it was given:\n" + "\n".join(f"  {one}" for one in reasons))


class _Call:
    """The function and everything that is done to its arguments and to what it returns."""

    def __init__(self, function: Callable[..., Any], op: str, kind: str, device: str | None) -> None:
        self._function = function
        self._op = op
        self.kind = kind
        self._device = device
        self._means = False  # whether it gives one number for all rows
        try:
            defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}
        except (TypeError, ValueError):  # of PyTorch's builtins, which do not tell
            defaults = {} if op in LOSSES else {"dim": inspect.Parameter.empty}
        self._parameters = frozenset(defaults)
        self._along: dict[str, Any] = {}
        if op not in LOSSES:
            # A compiled function may take no numbers: it gets none that it has already.
            self._along = {name: -1 for name in ("axis", "dim") if name in defaults and defaults[name] != -1}

    def refuses(self, dtype: np.dtype) -> str:
        """Return why the function does not take this format, or nothing."""
        # Square: what mistakes rows for columns is to be found out, and not to be refused.
        x = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).astype(dtype)
        target = np.array([1, 2, 0])
        try:
            with np.errstate(all="ignore"):
                got = self.losses(self._op, x, target) if self._op in LOSSES else self.rows(self._op, x, 1.0)
        except InputChangedError:  # a fault, too
            return ""
        except Exception as error:  # whatever it raises is its way to say no
            return f"{type(error).__name__}: {error}".splitlines()[0]
        return "" if got.dtype == dtype else f"returns {got.dtype}"

    def rows(self, op: str, x: Array, temperature: float) -> Array:
        """Compute a function of rows, or of one."""
        if x.ndim == 1:
            return np.asarray(self.rows(op, x[None], temperature)[0])
        return self._checked(
            x, lambda given: self._function(given, **self._along, **self._options(op, temperature=temperature))
        )

    def losses(self, op: str, x: Array, target: Array, **options: Any) -> Array:  # noqa: ANN401
        """Compute a loss, or its gradient; a function that returns a mean is called for one row at a time."""
        if options.get("reduction", "none") == "none":
            options.pop("reduction", None)
        if target.ndim > 1:
            raise UnsupportedError("the suite tries functions of labels")
        if (target < 0).any() and "ignore_index" not in self._parameters:
            raise UnsupportedError("it says nothing of ignored labels")
        options = self._options(op, **options)
        if self._means and not options and len(x) > 1:
            return np.concatenate([self.losses(op, x[i : i + 1], target[i : i + 1]) for i in range(len(x))])
        labels = self._labels(target)
        compute = self._gradient if op == "cross_entropy_grad" else self._value
        try:
            got = self._checked(x, lambda given: compute(given, labels, target, options))
        except _MeanError:
            self._means = True
            return self.losses(op, x, target)
        return np.atleast_1d(got)

    def _options(self, op: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401
        if options.get("temperature") == 1.0:
            del options["temperature"]
        if op != self._op or not self._parameters.issuperset(options):
            raise UnsupportedError(f"it has no {', '.join(options) or op}")
        return options

    def _checked(self, x: Array, call: Callable[[Any], Any]) -> Array:
        before = x.copy()
        given = self._given(x)
        got = self._back(call(given))
        if self._back(given).tobytes() != before.tobytes():
            raise InputChangedError("it wrote into its input")
        return got

    def _value(self, given: Any, labels: Any, target: Array, options: dict[str, Any]) -> Any:  # noqa: ANN401
        got = self._function(given, labels, **options)
        if np.ndim(got) == 0 and not options:
            if len(target) > 1:
                raise _MeanError
            if (target < 0).any():
                raise UnsupportedError("its mean over nothing is not the suite's business")
        return got

    def _gradient(self, given: Any, labels: Any, target: Array, options: dict[str, Any]) -> Any:  # noqa: ANN401
        """Return what the function gives, if that is a gradient, or differentiate it: the sum, if it is losses."""
        if self.kind == "torch":
            given = given.detach().requires_grad_()
        got = self._value(given, labels, target, options)
        if self.kind == "numpy" or got.ndim > 1:
            return got
        if self.kind == "torch":
            return importlib.import_module("torch").autograd.grad(got.sum(), given)[0]
        return importlib.import_module("jax").grad(lambda x: self._function(x, labels, **options).sum())(given)

    def _given(self, x: Array) -> Any:  # noqa: ANN401
        if self.kind == "torch":
            return to_tensor(x).to(self._device or "cpu")
        if self.kind == "jax":
            return importlib.import_module("jax").device_put(x, self._jax_device())
        return copied(x)

    def _labels(self, target: Array) -> Any:  # noqa: ANN401
        if self.kind == "torch":
            return to_tensor(target).to(self._device or "cpu")
        return importlib.import_module("jax.numpy").asarray(target) if self.kind == "jax" else target.copy()

    def _jax_device(self) -> Any:  # noqa: ANN401
        return importlib.import_module("jax").devices(self._device)[0] if self._device else None

    def _back(self, got: Any) -> Array:  # noqa: ANN401
        if self.kind == "torch":
            torch = importlib.import_module("torch")
            if not isinstance(got, torch.Tensor):
                raise TypeError(f"returned {type(got).__name__}, not a tensor")
            got = got.detach().cpu()
            return from_tensor(got, DTYPES["bfloat16"]) if got.dtype == torch.bfloat16 else np.asarray(got.numpy())
        if self.kind == "numpy" and type(got).__module__.partition(".")[0] in ("torch", "jax", "jaxlib"):
            raise TypeError(f"returned {type(got).__name__}, not a NumPy array")
        return np.asarray(got)
