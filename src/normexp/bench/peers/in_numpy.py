"""What people do with NumPy alone, and with SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normexp.bench.cell import AXIS, Array, Cell, Contender, MissingError
from normexp.bench.peers.contenders import fresh, imported
from normexp.verify.peers import shifted


def by_hand(cell: Cell) -> list[Contender]:
    """Return the textbook's shifted form."""
    name, op, x = "NumPy, by hand", cell.op, cell.x
    if cell.target is not None:
        chosen, with_grad = np.expand_dims(cell.target, AXIS), op == "cross_entropy_and_grad"
        return [fresh(cell, name, lambda: _loss_by_hand(x, chosen, with_grad))]
    rows = np.moveaxis(x, AXIS, -1)  # the form is written for the last axis
    if op == "logsumexp":
        return [fresh(cell, name, lambda: shifted(op, rows))]
    return [fresh(cell, name, lambda: np.moveaxis(shifted(op, rows), -1, AXIS))]


def scipy(cell: Cell) -> list[Contender]:
    """Return ``scipy.special``, which has no losses: they go on from its log_softmax."""
    special, x = imported("scipy.special"), cell.x
    if x.dtype.name == "bfloat16":
        raise MissingError("does not know bfloat16")
    if cell.target is None:
        function = getattr(special, cell.op)
        return [fresh(cell, "SciPy", lambda: function(x, axis=AXIS))]
    compose, chosen = _loss_of if cell.op == "cross_entropy" else _grad_of, np.expand_dims(cell.target, AXIS)
    return [fresh(cell, "SciPy", lambda: compose(special.log_softmax(x, axis=AXIS), chosen))]


def _loss_by_hand(x: NDArray[Any], chosen: NDArray[np.int64], with_grad: bool) -> Array:
    """Return the mean loss, or its gradient, by the shorter way to each."""
    d = x - x.max(axis=AXIS, keepdims=True)
    exps = np.exp(d)
    sums = exps.sum(axis=AXIS, keepdims=True)
    loss = np.mean(np.log(sums) - np.take_along_axis(d, chosen, AXIS))
    return _less_one_at(exps / sums, chosen) if with_grad else np.asarray(loss)


def _loss_of(log_p: NDArray[Any], chosen: NDArray[np.int64]) -> Array:
    return np.asarray(-np.take_along_axis(log_p, chosen, AXIS).mean())


def _grad_of(log_p: NDArray[Any], chosen: NDArray[np.int64]) -> Array:
    _loss_of(log_p, chosen)  # which whoever wants the gradient wants as well
    return _less_one_at(np.exp(log_p), chosen)


def _less_one_at(p: NDArray[Any], chosen: NDArray[np.int64]) -> Array:
    np.put_along_axis(p, chosen, np.take_along_axis(p, chosen, AXIS) - 1, AXIS)
    p /= chosen.size
    return p
