"""Exact values of one row, as rigorous enclosures in ball arithmetic (python-flint's ``arb``).

A row is one-dimensional and of any dtype that converts to float64 without loss (bfloat16, float16, float32, float64);
integers and bool count as float64, as in `normexp` itself. Every enclosure returned is narrower than 2^-26 units in the
last place of any of these formats, subnormal numbers included: where 128 bits do not suffice, the precision is doubled
until they do. Special values follow normexp's contract.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import ArrayLike

# Enough for softmax and log_softmax always (their terms have one sign, and 128 bits less the 10 of |d| <= 2^10 in
# exp(d) and the 30 of a sum over a billion elements still leave 88), so that only a cancelling logsumexp starts again.
_START_BITS = 128
# 53 bits of float64 and 27 more: the radius is at most 2^-80 of the value, thus 2^-26 units in the last place.
_RELATIVE_BITS = 80
# Below the smallest subnormal of float64, 2^-1074, only the absolute size matters: 2^-1074 * 2^-27.
_NEGLIGIBLE = arb(2) ** -1101

# Rows of up to so many elements keep their exponentials, some 150 bytes each, for the functions that need all of them.
_KEPT = 1 << 17


class Row:
    """One row x / T, reduced once to its maximum and the sum of the others, from which all functions follow.

    Parameters
    ----------
    row : array_like
        One-dimensional. Its elements are taken exactly.
    temperature : float
        T, positive and finite, taken exactly.
    """

    def __init__(self, row: ArrayLike, temperature: float = 1.0) -> None:
        x = np.asarray(row).astype(np.float64)
        if x.ndim != 1:
            raise ValueError(f"the oracle takes one row, an array of one dimension; this one has shape {x.shape}")
        if not (temperature > 0 and math.isfinite(temperature)):
            raise ValueError(f"temperature must be a positive, finite number, not {temperature}")
        self._x = x
        self._scale = arb(float(temperature))
        self._maximum = float(x.max(initial=-math.inf))  # NaN if there is one
        self._reduced: dict[int, tuple[arb, arb]] = {}
        self._exps: dict[int, dict[float, arb]] = {}

    def softmax(self, positions: Sequence[int] | None = None) -> list[arb]:
        """Enclose exp(x_i / T) / sum_j exp(x_j / T) at the positions asked for, or everywhere."""
        chosen = self._chosen(positions)
        if not math.isfinite(self._maximum):
            return [arb.nan()] * len(chosen)

        def compute() -> list[arb]:
            m, rest = self._reduce()
            total = 1 + rest
            return [self._exp(v, m) / total if v > -math.inf else arb(0) for v in chosen]

        return _narrowed(compute)

    def log_softmax(self, positions: Sequence[int] | None = None) -> list[arb]:
        """Enclose x_i / T - log(sum_j exp(x_j / T)) at the positions asked for, or everywhere."""
        chosen = self._chosen(positions)
        if not math.isfinite(self._maximum):
            return [arb.nan()] * len(chosen)

        def compute() -> list[arb]:
            m, rest = self._reduce()
            log_total = rest.log1p()
            return [(arb(v) - m) / self._scale - log_total if v > -math.inf else arb.neg_inf() for v in chosen]

        return _narrowed(compute)

    def logsumexp(self) -> arb:
        """Enclose log(sum_j exp(x_j / T)).

        The maximum and log(1 + the sum of the others) may have opposite signs and cancel to any depth, but never to
        zero unless the row is a single 0 (Lindemann-Weierstrass), so that raising the precision comes to an end.
        """
        if not math.isfinite(self._maximum):
            return arb(self._maximum)

        def compute() -> list[arb]:
            m, rest = self._reduce()
            return [m / self._scale + rest.log1p()]

        return _narrowed(compute)[0]

    def entropy(self) -> arb:
        """Enclose sum_j p_j (logsumexp - x_j / T)."""
        if not math.isfinite(self._maximum):
            return arb.nan()

        def compute() -> list[arb]:
            m, rest = self._reduce()
            total, log_total = 1 + rest, rest.log1p()
            values, counts = np.unique(self._x[self._x > -math.inf], return_counts=True)
            entropy = arb(0)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                entropy += count * self._exp(value, m) * (log_total - (arb(value) - m) / self._scale)
            return [entropy / total]

        return _narrowed(compute)[0]

    def cross_entropy(self, target: Target) -> arb:
        """Enclose sum_j a_j (logsumexp - x_j / T), a_j being the target's coefficients; a zero one contributes 0."""
        if not math.isfinite(self._maximum):
            return arb.nan()

        def compute() -> list[arb]:
            m, rest = self._reduce()
            common, own = target.coefficients()
            log_total = rest.log1p()

            def surprise(value: float) -> arb:
                """Enclose minus the logarithm of the probability."""
                return log_total - (arb(value) - m) / self._scale if value > -math.inf else arb.pos_inf()

            loss = arb(0)
            if common != 0:
                values, counts = np.unique(self._x, return_counts=True)
                everywhere = zip(values.tolist(), counts.tolist(), strict=True)
                loss += common * sum((n * surprise(value) for value, n in everywhere), arb(0))
            for j, a in own.items():
                loss += (a - common) * surprise(float(self._x[j])) if a != common else 0
            return [loss]

        return _narrowed(compute)[0]

    def cross_entropy_grad(
        self, target: Target, positions: Sequence[int] | None = None, divisor: float = 1.0
    ) -> list[arb]:
        """Enclose the derivative of `cross_entropy` by x_j / T, over the divisor, at the positions or everywhere.

        It is p_j A - a_j, A being the sum of the coefficients, written as p_j (A - a_j) - a_j (1 - p_j): a row that is
        sure of its only class cancels in the first form and in none of the parts of the second.
        """
        places = range(self._x.size) if positions is None else positions
        if not math.isfinite(self._maximum):
            return [arb.nan()] * len(places)
        first = int(self._x.argmax())

        def compute() -> list[arb]:
            m, rest = self._reduce()
            total = 1 + rest
            common, own = target.coefficients()
            whole = common * (self._x.size - len(own)) + sum(own.values(), arb(0))
            gradient = []
            for j in places:
                value = float(self._x[j])
                e = self._exp(value, m) if value > -math.inf else arb(0)
                others = rest if j == first else total - e
                a = own.get(j, common)
                gradient.append((e * (whole - a) - a * others) / total / arb(divisor))
            return gradient

        return _narrowed(compute)

    def _chosen(self, positions: Sequence[int] | None) -> list[float]:
        chosen: list[float] = (self._x if positions is None else self._x[np.asarray(positions, np.intp)]).tolist()
        return chosen

    def _reduce(self) -> tuple[arb, arb]:
        """Return the maximum m and the sum of exp((x_j - m) / T) over all elements but one of those equal to m.

        Elements that are equal are computed once, and each precision once for all functions.
        """
        if ctx.prec not in self._reduced:
            values, counts = np.unique(self._x[self._x > -math.inf], return_counts=True)
            m = arb(self._maximum)
            rest = arb(int(counts[-1]) - 1)
            kept: dict[float, arb] = {}
            for value, count in zip(values[:-1].tolist(), counts[:-1].tolist(), strict=True):
                e = self._exp(value, m)
                rest += count * e
                if self._x.size <= _KEPT:
                    kept[value] = e
            self._exps[ctx.prec] = kept
            self._reduced[ctx.prec] = m, rest
        return self._reduced[ctx.prec]

    def _exp(self, value: float, m: arb) -> arb:
        """Return exp((value - m) / T) at the current precision, which `_reduce` may have kept."""
        kept = self._exps.get(ctx.prec)
        e = kept.get(value) if kept else None
        return ((arb(value) - m) / self._scale).exp() if e is None else e


class Target:
    """What a row ought to be: the coefficients a_j of the losses -log(p_j) of its classes.

    Parameters
    ----------
    target : int or array_like
        The class, or the probability of each class.
    count : int
        How many classes there are.
    weight : array_like, optional
        One factor for each class.
    label_smoothing : float
        The share of the target that is spread evenly over the classes.
    """

    def __init__(
        self, target: ArrayLike, count: int, weight: ArrayLike | None = None, label_smoothing: float = 0.0
    ) -> None:
        self._target: Any = np.asarray(target).tolist()
        self._count = count
        self._weight = None if weight is None else np.asarray(weight).astype(np.float64).tolist()
        self._smoothing = float(label_smoothing)

    def coefficients(self) -> tuple[arb, dict[int, arb]]:
        """Enclose them at the current precision: one that all classes have in common but those that have their own."""
        smoothing = arb(self._smoothing)
        spread = smoothing / self._count
        if isinstance(self._target, int):
            own = {self._target: 1 - smoothing + spread}
        else:
            own = {j: (1 - smoothing) * arb(float(q)) + spread for j, q in enumerate(self._target)}
        if self._weight is None:
            return spread, own
        if self._smoothing:
            own = {j: own.get(j, spread) for j in range(self._count)}
        return arb(0), {j: arb(self._weight[j]) * a for j, a in own.items()}


def cross_entropy(row: ArrayLike, target: ArrayLike, **options: Any) -> arb:  # noqa: ANN401
    """Enclose the loss of one row; `target` and the options are those of `Target`."""
    x = np.asarray(row)
    return Row(x).cross_entropy(Target(target, x.size, **options))


def cross_entropy_grad(
    row: ArrayLike,
    target: ArrayLike,
    positions: Sequence[int] | None = None,
    divisor: float = 1.0,
    **options: Any,  # noqa: ANN401
) -> list[arb]:
    """Enclose the gradient of `cross_entropy` over a divisor, which a mean has; the options are those of `Target`."""
    x = np.asarray(row)
    return Row(x).cross_entropy_grad(Target(target, x.size, **options), positions, divisor)


def softmax(row: ArrayLike, temperature: float = 1.0, positions: Sequence[int] | None = None) -> list[arb]:
    """Enclose exp(x_i / T) / sum_j exp(x_j / T).

    Parameters
    ----------
    row : array_like
        One-dimensional. Its elements are taken exactly.
    temperature : float
        T, positive and finite, taken exactly.
    positions : sequence of int, optional
        Where in the row the values are wanted; the sum is over the whole row all the same. Default: everywhere.

    Returns
    -------
    list of arb
        One enclosure a position.
    """
    return Row(row, temperature).softmax(positions)


def softmin(row: ArrayLike, temperature: float = 1.0, positions: Sequence[int] | None = None) -> list[arb]:
    """Enclose exp(-x_i / T) / sum_j exp(-x_j / T); the arguments are those of `softmax`."""
    return Row(-np.asarray(row).astype(np.float64), temperature).softmax(positions)


def log_softmax(row: ArrayLike, temperature: float = 1.0, positions: Sequence[int] | None = None) -> list[arb]:
    """Enclose x_i / T - log(sum_j exp(x_j / T)); the arguments are those of `softmax`."""
    return Row(row, temperature).log_softmax(positions)


def logsumexp(row: ArrayLike) -> arb:
    """Enclose log(sum_j exp(x_j))."""
    return Row(row).logsumexp()


def _narrowed(compute: Callable[[], list[arb]]) -> list[arb]:
    """Compute at growing precision until every enclosure is narrow."""
    bits = _START_BITS
    while True:
        with ctx.workprec(bits):
            values = compute()
        if all(_is_narrow(value) for value in values):
            return values
        bits *= 2


def _is_narrow(value: arb) -> bool:
    # An infinite or NaN value is a special one, as exact as it gets.
    return value.rel_accuracy_bits() >= _RELATIVE_BITS or not value.is_finite() or value.abs_upper() < _NEGLIGIBLE
