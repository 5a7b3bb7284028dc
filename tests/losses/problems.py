"""A loss to compute, in any layout, and the textbook's answer in long double."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from support import LONG_EPS, assert_same_bits, eps, smallest

import normexp

Options = dict[str, Any]


def row_shape(logits: np.ndarray, axis: int) -> tuple[int, ...]:
    """The shape without the class axis."""
    axis %= logits.ndim
    return logits.shape[:axis] + logits.shape[axis + 1 :]


def by_rows(array: np.ndarray, axis: int) -> np.ndarray:
    """A contiguous matrix with the classes last."""
    moved = np.moveaxis(np.asarray(array), axis, -1)
    return np.ascontiguousarray(moved).reshape(math.prod(moved.shape[:-1]), moved.shape[-1])


def labels(logits: np.ndarray, axis: int = -1, kind: Any = np.int64) -> np.ndarray:
    """A label for each row, by the same seed always."""
    rng = np.random.default_rng([9, *logits.shape])
    return rng.integers(logits.shape[axis], size=row_shape(logits, axis)).astype(kind)


def distributions(logits: np.ndarray, axis: int = -1) -> np.ndarray:
    """A probability for each class in each row, some of them 0, in the dtype of the logits."""
    rng = np.random.default_rng([10, *logits.shape])
    shares = rng.exponential(size=logits.shape) * (rng.random(logits.shape) < 0.7)
    total = shares.sum(axis=axis, keepdims=True)
    return (shares / np.where(total == 0, 1, total)).astype(logits.dtype)


def weights(count: int, dtype: np.dtype, kind: str = "given") -> np.ndarray:
    """Quarters, so that they are themselves in every dtype and their sums are exact in any order."""
    quarters = np.random.default_rng([11, count]).integers(1, 12, size=count) / 4
    if kind == "with zeros":
        quarters[::3] = 0
    if kind == "negative":
        quarters[1::2] *= -1
    return quarters.astype(dtype)


@dataclass
class Answer:
    """The loss and the gradient of a problem, and both once more with the absolute value of each of their terms."""

    loss: np.ndarray
    size: np.ndarray
    grad: np.ndarray
    grad_size: np.ndarray


@dataclass
class Problem:
    """One call of a loss."""

    logits: np.ndarray
    target: np.ndarray
    axis: int = -1
    options: Options = field(default_factory=dict)

    def loss(self) -> np.ndarray:
        """What normexp says."""
        return normexp.cross_entropy(self.logits, self.target, axis=self.axis, **self.options)

    def loss_and_grad(self, out: np.ndarray | None = None) -> Any:
        """What normexp says."""
        return normexp.cross_entropy_and_grad(self.logits, self.target, axis=self.axis, out=out, **self.options)

    @property
    def in_rows(self) -> Problem:
        """The same problem as a contiguous matrix."""
        logits = by_rows(self.logits, self.axis)
        given = np.asarray(self.target)
        soft = given.dtype.kind not in "iu"
        target = by_rows(given, self.axis) if soft else np.ascontiguousarray(given).reshape(-1)
        return replace(self, logits=logits, target=target, axis=-1)

    def back(self, rows: np.ndarray) -> np.ndarray:
        """A result of `in_rows`, one number or one row for each row, in the layout of this problem."""
        shape = row_shape(self.logits, self.axis)
        if rows.ndim == 1:
            return rows.reshape(shape)
        return np.moveaxis(rows.reshape(*shape, rows.shape[-1]), -1, self.axis)

    @property
    def ignored(self) -> np.ndarray:
        """Which rows are left out."""
        if self.target.dtype.kind not in "iu":
            return np.zeros(row_shape(self.logits, self.axis), dtype=bool)
        return np.asarray(self.target == self.options.get("ignore_index", -100))

    @property
    def divisor(self) -> np.longdouble:
        """What a mean divides by: the rows, or the weights of the labels that count."""
        keep, weight = ~self.ignored, self.options.get("weight")
        if weight is None or self.target.dtype.kind not in "iu":
            return np.longdouble(keep.sum())
        return np.asarray(weight).astype(np.longdouble)[self.target[keep].astype(np.intp)].sum()

    def textbook(self) -> Answer:
        """Sum w_j q_j (-log p_j), its mean or its sum, and its derivative, in long double."""
        rows = self.in_rows
        keep = ~rows.ignored
        x, (q, w) = rows.logits.astype(np.longdouble), rows._shares(keep)
        with np.errstate(all="ignore"):
            surprise, p = _surprise(x)
            terms = np.where(q == 0, 0, w * q * surprise)
            loss, size = (np.where(keep, v.sum(axis=-1), 0) for v in (terms, np.abs(terms)))
            a = w * q
            share = p * a.sum(axis=-1, keepdims=True)
            grad, grad_size = (np.where(keep[:, None], v, 0) for v in (share - a, np.abs(share) + np.abs(a)))
            reduction = self.options.get("reduction", "mean")
            if reduction == "none":
                return Answer(*map(self.back, (loss, size, grad, grad_size)))
            total = np.longdouble(1) if reduction == "sum" else rows.divisor
            grad, grad_size = (np.where(keep[:, None], v / total, 0) for v in (grad, grad_size))
            return Answer(loss.sum() / total, size.sum() / abs(total), self.back(grad), self.back(np.abs(grad_size)))

    def _shares(self, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The smoothed target of each row, and the weights."""
        count = self.logits.shape[-1]
        q = np.zeros(self.logits.shape, dtype=np.longdouble)
        if self.target.ndim == 1:
            q[keep, self.target[keep].astype(np.intp)] = 1
        else:
            q += self.target.astype(np.longdouble)
        smoothing = np.longdouble(self.options.get("label_smoothing", 0.0))
        weight = self.options.get("weight")
        w = np.ones(count) if weight is None else np.asarray(weight)
        return (1 - smoothing) * q + smoothing / max(count, 1), w.astype(np.longdouble)


def _surprise(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minus log p and p; the largest term of the sum is put back by log1p."""
    m = x.max(axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(x - m)
    others = e.copy()
    if x.size:
        np.put_along_axis(others, x.argmax(axis=-1, keepdims=True), 0, axis=-1)
    rest = others.sum(axis=-1, keepdims=True)
    lost = np.isnan(m) | np.isinf(m)
    surprise, p = np.log1p(rest) - (x - m), e / (1 + rest)
    return np.where(lost, np.nan, surprise), np.where(lost, np.nan, p)


def assert_near(got: np.ndarray, want: np.ndarray, allowed: np.ndarray, what: object) -> None:
    """No further apart than that; NaN equals NaN, and what overflows in the dtype of `got` is infinite there."""
    got = np.asarray(got)
    assert got.shape == np.shape(want), (what, got.shape, np.shape(want))
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.asarray(want).astype(got.dtype).astype(np.longdouble)
        wide = got.astype(np.longdouble)
        good = (np.abs(wide - want) <= allowed) | (wide == rounded) | (np.isnan(wide) & np.isnan(want))
    if not good.all():
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        raise AssertionError(f"{what}: {got[at]!r} instead of {want[at]!r} at {at}, {(~good).sum()} such")


def assert_textbook(problem: Problem) -> None:
    """normexp's loss, alone and with its gradient, is near the textbook's.

    Two units of the last place of a loss, or of the largest derivative of a row, are allowed, and what long double
    itself loses: of x - m at a distance of 1000, and of terms that cancel.
    """
    want = problem.textbook()
    loss, grad = problem.loss_and_grad()
    units, own, least = 2 * eps(loss.dtype), 1e3 * LONG_EPS, 2 * smallest(loss.dtype)
    assert_same_bits(problem.loss(), loss, problem.options)
    assert_near(loss, want.loss, units * want.size + own * want.size + least, problem.options)
    largest = largest_of_row(want.grad, problem.axis)
    assert_near(grad, want.grad, units * largest + own * want.grad_size + least, problem.options)
    assert not np.moveaxis(grad, problem.axis, -1)[problem.ignored].any()


def largest_of_row(grad: np.ndarray, axis: int) -> np.ndarray:
    """The largest absolute value of each row, in the place of every one."""
    with np.errstate(invalid="ignore"):
        return np.broadcast_to(np.abs(grad).max(axis=axis, keepdims=True, initial=0), grad.shape)


# Calls with one argument beside the axis, for tests of what must not depend on anything else.
def _call(function: str, soft: bool, part: str = "", **options: Any) -> Callable[..., np.ndarray]:
    def call(x: np.ndarray, axis: int = -1) -> np.ndarray:
        made = dict(options)
        if made.pop("weighted", False):
            made["weight"] = weights(x.shape[axis], x.dtype)
        target = distributions(x, axis) if soft else labels(x, axis)
        result = getattr(normexp, function)(x, target, axis=axis, **made)
        return np.asarray(getattr(result, part) if part else result)

    return call


_NONE, _AND_GRAD = {"reduction": "none"}, "cross_entropy_and_grad"

LOSSES: dict[str, Callable[..., np.ndarray]] = {
    "nll_loss": _call("nll_loss", False),
    "rows": _call("cross_entropy", False, **_NONE),
    "mean": _call("cross_entropy", False),
    "weighted mean": _call("cross_entropy", False, weighted=True, ignore_index=1),
    "smoothed sum": _call("cross_entropy", False, label_smoothing=0.1, reduction="sum"),
    "soft rows": _call("cross_entropy", True, **_NONE),
    "soft mean": _call("cross_entropy", True, weighted=True, label_smoothing=0.1),
    "grad": _call(_AND_GRAD, False, "grad"),
    "weighted grad": _call(_AND_GRAD, False, "grad", weighted=True, ignore_index=1),
    "smoothed grad": _call(_AND_GRAD, False, "grad", weighted=True, label_smoothing=0.1, **_NONE),
    "soft grad": _call(_AND_GRAD, True, "grad", **_NONE),
    **{f"row {part}": _call("row_stats", False, part) for part in ("logsumexp", "max", "argmax", "entropy")},
    **{f"row {part}": _call("row_stats", False, part) for part in ("log_prob", "rank")},
}
