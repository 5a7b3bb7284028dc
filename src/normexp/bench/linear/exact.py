"""Errors against float64: of the loss over all rows, of the gradients in some rows and some classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from normexp.bench.cell import MissingError
from normexp.bench.linear.peers import Arrays
from normexp.bench.linear.problem import Problem

# The loss takes one product of float64, and a gradient in this many rows or classes only a share of another one.
_ROWS: Final = 256
_CLASSES: Final = 512

# Bytes of float64 logits, and of widened weights, at a time.
_BLOCK: Final = 1 << 28

Wide = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Relative errors, each of an array as a whole: the norm of the error by the norm of the exact array."""

    loss: float
    hidden: float
    weight: float


class Exact:
    """The exact loss and gradients of a problem, as float64 has them.

    Raises
    ------
    MissingError
        float64 itself is to be measured.
    """

    def __init__(self, problem: Problem) -> None:
        if problem.dtype == np.float64:
            raise MissingError("not measured: float64 is what errors are held against")
        rows, features, classes = problem.shape
        hidden, target = problem.hidden.astype(np.float64), problem.target
        self.rows = _spread(rows, _ROWS)
        # The gradient is large where a class is a label, and small everywhere else: some of both.
        self.classes = np.union1d(_spread(classes, _CLASSES), target[self.rows])
        loss = 0.0
        by_hidden, by_weight = np.zeros((len(self.rows), features)), np.zeros((len(self.classes), features))
        for some in _pieces(rows, max(1, _BLOCK // (8 * classes))):
            z = np.empty((some.stop - some.start, classes))
            for block, weight in _widened(problem.weight):
                np.matmul(hidden[some], weight.T, out=z[:, block])
            labels = np.arange(len(z)), target[some]
            top = z.max(axis=1, keepdims=True)
            chosen = z[labels] - top[:, 0]
            z -= top
            np.exp(z, out=z)
            sums = z.sum(axis=1, keepdims=True)
            loss += float((np.log(sums[:, 0]) - chosen).sum())
            z /= sums
            z[labels] -= 1
            z /= rows
            by_weight += z[:, self.classes].T @ hidden[some]
            here = (self.rows >= some.start) & (self.rows < some.stop)
            for block, weight in _widened(problem.weight):
                by_hidden[here] += z[self.rows[here] - some.start, block] @ weight
        self._exact = np.array(loss / rows), by_hidden, by_weight

    @property
    def elements(self) -> tuple[int, int]:
        """How many elements of either gradient are looked at."""
        return self._exact[1].size, self._exact[2].size

    def errors(self, made: Arrays) -> Errors:
        """Return the errors of somebody's results."""
        loss, by_hidden, by_weight = made
        got = loss, by_hidden[self.rows], by_weight[self.classes]
        return Errors(*(_relative(one, exact) for one, exact in zip(got, self._exact, strict=True)))


def _relative(got: NDArray[Any], exact: Wide) -> float:
    size = float(np.linalg.norm(exact.ravel()))
    error = float(np.linalg.norm((got.astype(np.float64) - exact).ravel()))
    return error / size if size else error  # of one class the loss is 0


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Choose some of so many, evenly, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _pieces(count: int, most: int) -> Iterator[slice]:
    return (slice(start, min(start + most, count)) for start in range(0, count, most))


def _widened(weight: NDArray[Any]) -> Iterator[tuple[slice, Wide]]:
    """Yield the weights in float64, some classes at a time."""
    for block in _pieces(len(weight), max(1, _BLOCK // (8 * weight.shape[1]))):
        yield block, weight[block].astype(np.float64)
