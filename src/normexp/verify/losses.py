"""The losses as everyone computes them: `cross_entropy` of rows, and its gradient.

All take a function's name, rows of logits (N, C), their targets, labels (N,) or probabilities (N, C), and the options
of `normexp.cross_entropy`; "none" is the reduction if nothing else is said.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Final, TypeAlias

import numpy as np

import normexp
from normexp.verify.tensors import Array, from_tensor, to_tensor

Loss: TypeAlias = Callable[..., Array]

LOSSES: Final = ("cross_entropy", "cross_entropy_grad")


class UnsupportedError(Exception):
    """This implementation does not offer this function, for this dtype or with these options."""


def unsupported(function: str, x: Array, target: Array, **options: Any) -> Array:  # noqa: ANN401
    """Offer nothing."""
    raise UnsupportedError(f"no {function} here")


def ours(function: str, x: Array, target: Array, *, reduction: str = "none", **options: Any) -> Array:  # noqa: ANN401
    """Compute by normexp."""
    if function == "cross_entropy":
        return normexp.cross_entropy(x, target, reduction=reduction, **options)
    return normexp.cross_entropy_and_grad(x, target, reduction=reduction, **options).grad


def composed(compute: Callable[[str, Array], Array]) -> Loss:
    """Return what people write where there is softmax and log_softmax: the entry at the label, and p - 1 there."""

    def loss(function: str, x: Array, target: Array, **options: Any) -> Array:  # noqa: ANN401
        if options or target.ndim > 1:
            raise UnsupportedError("written for labels and nothing else")
        rows = np.arange(len(x))
        if function == "cross_entropy":
            return np.asarray(-compute("log_softmax", x)[rows, target])
        p = compute("softmax", x).copy()
        p[rows, target] -= 1
        return p

    return loss


def of_torch(torch: ModuleType, cross_entropy: Callable[..., Any] | None = None) -> Loss:
    """Return PyTorch's cross-entropy, as it is or compiled; its gradient comes from autograd."""
    compute = torch.nn.functional.cross_entropy if cross_entropy is None else cross_entropy

    def loss(function: str, x: Array, target: Array, *, reduction: str = "none", **options: Any) -> Array:  # noqa: ANN401
        logits = to_tensor(x).requires_grad_(function == "cross_entropy_grad")
        value = compute(logits, to_tensor(target), reduction=reduction, **options)
        if function == "cross_entropy":
            return from_tensor(value, x.dtype)
        value.sum().backward()
        return from_tensor(logits.grad, x.dtype)

    return loss


def jax_doubles(jax: ModuleType) -> AbstractContextManager[Any]:
    """Let JAX compute in float64 where it is given that, which it leaves off by default."""
    doubles: AbstractContextManager[Any] = (
        jax.enable_x64(True) if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64()
    )
    return doubles


def of_jax(jax: ModuleType) -> Loss:
    """Return what its users write, compiled: logsumexp less the label's logit; JAX differentiates."""

    def each(x: Any, target: Any) -> Any:  # noqa: ANN401
        return jax.nn.logsumexp(x, axis=-1) - jax.numpy.take_along_axis(x, target[:, None], axis=-1)[:, 0]

    compiled = {
        "cross_entropy": jax.jit(each),
        "cross_entropy_grad": jax.jit(jax.grad(lambda x, target: each(x, target).sum())),
    }

    def loss(function: str, x: Array, target: Array, **options: Any) -> Array:  # noqa: ANN401
        if options or target.ndim > 1 or (target < 0).any():
            raise UnsupportedError("written for labels and nothing else")
        with jax_doubles(jax):
            return np.asarray(compiled[function](x, target))

    return loss


def of_tensorflow(tf: ModuleType) -> Loss:
    """Return TensorFlow's cross-entropy; its gradient comes from a tape."""

    def loss(function: str, x: Array, target: Array, **options: Any) -> Array:  # noqa: ANN401
        if options or target.ndim > 1:
            raise UnsupportedError("of labels and nothing else")
        logits = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits)
        return np.asarray((value if function == "cross_entropy" else tape.gradient(value, logits)).numpy())

    return loss


def of_onnxruntime(session: Callable[[str, str], Any]) -> Loss:
    """Return the operator SoftmaxCrossEntropyLoss; for its gradient ONNX has none."""

    def loss(function: str, x: Array, target: Array, **options: Any) -> Array:  # noqa: ANN401
        if options or target.ndim > 1 or function != "cross_entropy":
            raise UnsupportedError("ONNX has the loss of labels, and no gradient")
        inputs = {"x": x, "target": target.astype(np.int64)}
        return np.asarray(session(function, x.dtype.name).run(None, inputs)[0])

    return loss
