"""JAX: each function compiled by XLA for its shapes (``jax.jit``), on the CPU."""

from __future__ import annotations

import os
from typing import Any

from normexp.bench.cell import AXIS, Cell, Contender
from normexp.bench.peers.contenders import fresh, imported


def jax_jit(cell: Cell) -> list[Contender]:
    """Return the compiled function, waited for: JAX would come back before it has finished."""
    # XLA has no call for the number of threads. Its pool has one for each core of the affinity mask, or as many as this
    # variable says when JAX first touches the CPU; a process that asks again later keeps the pool it has.
    os.environ["PJRT_NPROC"] = str(cell.threads)
    jax = imported("jax")
    jax.config.update("jax_enable_x64", cell.x.dtype.name == "float64")  # which JAX otherwise makes float32
    cpu = jax.devices("cpu")[0]
    arguments = [jax.device_put(cell.x, cpu)]
    if cell.target is not None:
        arguments.append(jax.device_put(cell.target.astype("int32"), cpu))  # JAX's own type of index
    function, ready = jax.jit(_function(cell.op, jax)), jax.block_until_ready
    return [fresh(cell, "JAX", lambda: ready(function(*arguments)))]


def _function(op: str, jax: Any) -> Any:  # noqa: ANN401 - jax is optional, its types with it
    if op in ("softmax", "log_softmax", "logsumexp"):
        return lambda x: getattr(jax.nn, op)(x, axis=AXIS)

    def loss(x: Any, target: Any) -> Any:  # noqa: ANN401
        # As optax has it. Through log_softmax, gathered or times one-hot, XLA takes up to three times as long.
        chosen = jax.numpy.take_along_axis(x, jax.numpy.expand_dims(target, AXIS), AXIS).squeeze(AXIS)
        return (jax.nn.logsumexp(x, axis=AXIS) - chosen).mean()

    if op == "cross_entropy":
        return loss
    loss_and_grad = jax.value_and_grad(loss)
    return lambda x, target: loss_and_grad(x, target)[1]
