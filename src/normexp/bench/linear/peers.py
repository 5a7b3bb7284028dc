"""Whoever computes the mean loss and its gradients by hidden states and weights, each set up as it is used.

Every peer is a function from a problem to its contender; it raises `MissingError` where it cannot take part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import normexp
from normexp.bench.cell import Array, Front, MissingError, Scope
from normexp.bench.linear.problem import Problem
from normexp.bench.peers.contenders import imported
from normexp.bench.peers.pytorch import import_torch, torch_view
from normexp.verify.tensors import from_tensor

Arrays = tuple[Array, Array, Array]
"""The loss, and its gradients by hidden states and weights."""


@dataclass(frozen=True)
class Contender:
    """A way to compute a problem."""

    call: Callable[[], tuple[Any, Any, Any]]
    """Do it; the results are new at each call."""
    to_array: Callable[[Any], Array] = np.asarray
    """How a result becomes an array."""

    def result(self) -> Arrays:
        """Call it and give the results as NumPy arrays."""
        loss, by_hidden, by_weight = self.call()
        return self.to_array(loss), self.to_array(by_hidden), self.to_array(by_weight)


def _of_tensors(function: Any, problem: Problem) -> Contender:  # noqa: ANN401 - torch is optional, its types with it
    """Return the contender of a function of tensors, with gradients as training has them: by `backward`."""
    torch = import_torch(problem.threads)
    x, weight, target = torch_view(problem.hidden), torch_view(problem.weight), torch.from_numpy(problem.target)
    if problem.any_rows:
        torch._dynamo.mark_dynamic(x, 0)
        torch._dynamo.mark_dynamic(target, 0)
    x.requires_grad_()
    weight.requires_grad_()

    def call() -> tuple[Any, Any, Any]:
        loss = function(x, weight, target)
        loss.backward()
        made = loss.detach(), x.grad, weight.grad
        x.grad = weight.grad = None  # whoever comes next has to free nothing of ours
        return made

    # The loss may be wider than the arguments.
    return Contender(call, lambda t: from_tensor(t, problem.dtype if t.dtype == x.dtype else np.dtype("float32")))


def _unfused(torch: Any) -> Any:  # noqa: ANN401
    functional = torch.nn.functional

    def unfused(x: Any, weight: Any, target: Any) -> Any:  # noqa: ANN401
        return functional.cross_entropy(functional.linear(x, weight), target)

    return unfused


def normexp_torch(problem: Problem) -> Contender:
    """Return normexp.torch."""
    import_torch(problem.threads)  # or say that it is missing
    return _of_tensors(imported("normexp.torch").linear_cross_entropy, problem)


def eager(problem: Problem) -> Contender:
    """Return PyTorch's loss of all logits."""
    return _of_tensors(_unfused(import_torch(problem.threads)), problem)


def compiled(problem: Problem) -> Contender:
    """Return the same by PyTorch's compiler, for this very number of rows where nothing else is asked for."""
    torch = import_torch(problem.threads)
    if problem.any_rows:
        return _of_tensors(torch.compile(_unfused(torch)), problem)
    torch.compiler.reset()  # or it would count the problems before as too many shapes of one function, and give up
    return _of_tensors(torch.compile(_unfused(torch), dynamic=False), problem)


def chunked(problem: Problem) -> Contender:
    """Return PyTorch's own function with the chunks that it chooses."""
    torch = import_torch(problem.threads)
    if not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        raise MissingError("needs PyTorch 2.13")
    function, options = torch.nn.functional.linear_cross_entropy, torch.nn.LinearCrossEntropyOptions()
    return _of_tensors(partial(function, options=options), problem)


def normexp_numpy(problem: Problem) -> Contender:
    """Return the function of arrays."""
    hidden, weight, target = problem.hidden, problem.weight, problem.target

    def call() -> tuple[Any, Any, Any]:
        made = normexp.linear_cross_entropy_and_grad(hidden, weight, target, grads=("hidden", "weight"))
        return made.loss, made.hidden, made.weight

    return Contender(call)


def jax_jit(problem: Problem) -> Contender:
    """Return JAX's ``value_and_grad`` of the loss of all logits, compiled for these shapes."""
    os.environ["PJRT_NPROC"] = str(problem.threads)  # see peers/jax_jit.py
    jax = imported("jax")
    jax.config.update("jax_enable_x64", problem.dtype.name == "float64")
    cpu = jax.devices("cpu")[0]
    arguments = [
        jax.device_put(x, cpu) for x in (problem.hidden, problem.weight, problem.target.astype(np.int32)[:, None])
    ]

    def loss(x: Any, weight: Any, target: Any) -> Any:  # noqa: ANN401
        z = x @ weight.T
        return (jax.nn.logsumexp(z, axis=1, keepdims=True) - jax.numpy.take_along_axis(z, target, 1)).mean()

    function = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*arguments).compile()

    def call() -> tuple[Any, Any, Any]:
        made, (by_hidden, by_weight) = jax.block_until_ready(function(*arguments))
        return made, by_hidden, by_weight

    return Contender(call)


def by_hand(problem: Problem) -> Contender:
    """Return the textbook's form of all logits, in NumPy."""

    def softmax_and_loss(z: NDArray[Any], labels: tuple[Array, Array]) -> tuple[NDArray[Any], Any]:
        d = z - z.max(axis=1, keepdims=True)
        exps = np.exp(d)
        sums = exps.sum(axis=1, keepdims=True)
        return exps / sums, np.mean(np.log(sums[:, 0]) - d[labels])

    return _of_arrays(problem, softmax_and_loss)


def scipy(problem: Problem) -> Contender:
    """Return the same by ``scipy.special.log_softmax``."""
    special = imported("scipy.special")

    def softmax_and_loss(z: NDArray[Any], labels: tuple[Array, Array]) -> tuple[NDArray[Any], Any]:
        log_p = special.log_softmax(z, axis=1)
        return np.exp(log_p), -np.mean(log_p[labels])

    return _of_arrays(problem, softmax_and_loss)


def _of_arrays(
    problem: Problem, softmax_and_loss: Callable[[NDArray[Any], tuple[Array, Array]], tuple[NDArray[Any], Any]]
) -> Contender:
    """Return the contender that has a function of logits, and NumPy's products.

    NumPy has no fast product of half types: who has them widens them first, and narrows the gradients.
    """
    dtype = problem.dtype
    wide = np.float64 if dtype == np.float64 else np.float32
    labels = np.arange(len(problem.target)), problem.target

    def call() -> tuple[Any, Any, Any]:
        hidden: NDArray[Any] = problem.hidden.astype(wide, copy=False)
        weight: NDArray[Any] = problem.weight.astype(wide, copy=False)
        g, loss = softmax_and_loss(hidden @ weight.T, labels)
        g[labels] -= 1
        g /= len(g)
        return loss, (g @ weight).astype(dtype, copy=False), (g.T @ hidden).astype(dtype, copy=False)

    return Contender(call)


PEERS: Final[Mapping[Front, dict[str, Callable[[Problem], Contender]]]] = {
    "torch": {
        "normexp": normexp_torch,
        "PyTorch": eager,
        "torch.compile": compiled,
        "PyTorch, chunked": chunked,
    },
    "numpy": {"normexp": normexp_numpy, "JAX": jax_jit, "SciPy": scipy, "NumPy, by hand": by_hand},
}
UNFUSED: Final[Mapping[Front, str]] = {"torch": "PyTorch", "numpy": "NumPy, by hand"}
"""Whose errors are the measure of ours: the loss of all logits, in the same format, by the same library's products."""


def scope(problem: Problem) -> Scope:
    """Return what the calls run within: NumPy's products take as many threads as there are cores, if nobody says."""
    limits = imported("threadpoolctl").threadpool_limits
    return lambda: limits(problem.threads, user_api="blas")
