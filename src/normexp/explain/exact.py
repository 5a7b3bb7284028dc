"""The exact values of every stage: enclosures for some classes, and to the 64 bits of a long double for all."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from normexp.explain.cells import Truth
from normexp.explain.formats import Extended
from normexp.verify.oracle import Row, Target

# 53 bits of the result, as many of its error, and the 30 of a sum over a billion classes.
_BITS: Final = 160
# No format comes near e to this, nor to minus this; what is further out counts as this far.
_FAR: Final = 1e9


@dataclass(frozen=True)
class Facts:
    """What the row as a whole is like; all of x / T."""

    largest: int
    gap: arb
    """From the largest logit to the next one; 0 if there are two of it."""
    span: arb
    logsumexp: arb
    entropy: arb
    effective: arb
    """exp of the entropy: so many classes of equal probability would be as uncertain."""


class Exact:
    """One row x / T and its target, in exact arithmetic.

    Parameters
    ----------
    x : ndarray of float64
        The logits.
    temperature : float
        T.
    target : int or None
        The class that a loss is taken against.
    """

    def __init__(self, x: NDArray[np.float64], temperature: float, target: int | None) -> None:
        self._x = x
        self._t = temperature
        self._target = target
        self._maximum = float(x.max())
        self._row = Row(x, temperature)
        self.defined = math.isfinite(self._maximum)

    @functools.cached_property
    def facts(self) -> Facts:
        """Describe the row."""
        ordered = np.sort(self._x)[::-1].tolist()  # NaN first
        second = ordered[1] if len(ordered) > 1 else math.nan
        scale = arb(self._t)
        with ctx.workprec(_BITS):
            entropy = self._row.entropy()
            return Facts(
                int(self._x.argmax()),
                (arb(ordered[0]) - arb(second)) / scale,
                (arb(ordered[0]) - arb(ordered[-1])) / scale,
                self._row.logsumexp(),
                entropy,
                entropy.exp(),
            )

    def values(self, key: str, places: list[int]) -> list[arb]:
        """Enclose the values of one stage at some classes."""
        x = [float(v) for v in self._x[places]]
        scale, m = arb(self._t), arb(self._maximum)
        with ctx.workprec(_BITS):
            if key == "scale":
                return [arb(v) / scale for v in x]
            if key == "exp":
                return [_exp(arb(v) / scale) for v in x]
            if key in ("shift", "exp_shift"):
                # Infinities are subtracted as any arithmetic does it.
                shifts = [(arb(v) - m) / scale if math.isfinite(d := v - self._maximum) else arb(d) for v in x]
                return shifts if key == "shift" else [_exp(d) for d in shifts]
        if key == "p":
            return self._row.softmax(places)
        if key == "log_p":
            return self._row.log_softmax(places)
        if key == "grad":
            return self._row.cross_entropy_grad(self._label, places)
        return self._twice[1](places)

    def total(self, key: str, label: str) -> arb:
        """Enclose a number of the whole row."""
        if key == "twice":
            return self._twice[0]
        if label == "loss":
            return self._row.cross_entropy(self._label)
        if self.defined:
            # Minus the logarithm of the largest p, which log1p gives: the sum itself may be too close to 1.
            log_sum = -self._row.log_softmax([int(self._x.argmax())])[0]
            with ctx.workprec(_BITS):
                return log_sum if label == "log sum" else _exp(self._row.logsumexp() if key == "exp" else log_sum)
        with ctx.workprec(_BITS):
            total = sum(self.values(key, list(range(self._x.size))), arb(0))
            return total if label == "sum" else total.log()

    def others(self, places: list[int]) -> list[arb]:
        """Enclose 1 - p at some classes, however close to 1 p is."""
        return [-self._row.cross_entropy_grad(Target(i, self._x.size), [i])[0] for i in places]

    def floor(self) -> arb:
        """Enclose the lowest loss there is after a softmax layer: that of p = 1 at the target."""
        with ctx.workprec(_BITS):
            return ((self._x.size - 1) * arb(-1).exp()).log1p()

    def near(self, key: str) -> Truth:
        """Return the values of one stage at all classes, to 64 bits where a long double has them."""
        x, t = self._x.astype(np.longdouble), np.longdouble(self._t)
        masked = np.isneginf(self._x)
        undefined = np.full(x.shape, not self.defined)
        with np.errstate(all="ignore"):
            shift = (x - x.max()) / t
            if key in ("scale", "shift"):
                value = x / t if key == "scale" else shift
                return Truth(value, value != 0, masked | ~np.isfinite(self._x) | undefined)
            if key in ("exp", "exp_shift"):
                value = np.exp(x / t if key == "exp" else shift)
                return Truth(value, ~masked, masked | ~np.isfinite(self._x) | (undefined & (key == "exp_shift")))
            e = np.exp(shift)
            rest = np.delete(e, int(x.argmax())).sum()
            if key == "p":
                return Truth(e / (1 + rest), ~masked, undefined)
            if key == "log_p":
                value = shift - np.log1p(rest)
                return Truth(value, value != 0, masked | undefined)
            gradient = e / (1 + rest)
            others = rest if self._place == int(x.argmax()) else 1 + rest - e[self._place]
            if key == "twice":
                gradient = self._near_twice(gradient, others / (1 + rest))
            else:
                gradient[self._place] = -others / (1 + rest)
            return Truth(gradient, (gradient != 0) | ((e == 0) & ~masked), undefined)

    @property
    def _place(self) -> int:
        if self._target is None:
            raise ValueError("there is no loss without a target")
        return self._target

    @property
    def _rival(self) -> int:
        """The largest class beside the target; the target itself if it is alone."""
        others = np.delete(self._x, self._place)
        if others.size == 0:
            return self._place
        found = int(others.argmax())
        return found + (found >= self._place)

    @property
    def _label(self) -> Target:
        return Target(self._place, self._x.size)

    @functools.cached_property
    def _twice(self) -> tuple[arb, Callable[[list[int]], list[arb]]]:
        """Enclose the loss after a softmax layer, and make the function that encloses its gradient.

        With q = softmax(p) the gradient by x_i / T is p_i sum_j p_j (g_i - g_j), g = q - y; so written that nothing
        cancels where p is next to 0 or 1: by 1 - p at the target, and term by term for the largest of
        the others and its equals.
        """
        t = self._place
        p = self._row.softmax()
        minus_others = self._row.cross_entropy_grad(self._label, [t])[0]
        with ctx.workprec(_BITS):
            exps = [v.exp() for v in p]
            others = sum(_without(exps, t), arb(0))
            total = others + exps[t]
            mean = sum(_without([a * b for a, b in zip(p, exps, strict=True)], t), arb(0)) / total
            q_t = exps[t] / total
            loss = (others / exps[t]).log1p()
        i = self._rival

        def rival() -> arb:
            rest = (a * (exps[i] - b) for a, b in zip(_without(p, t, i), _without(exps, t, i), strict=True))
            return p[i] * (p[t] * (exps[i] / total - q_t + 1) + sum(rest, arb(0)) / total)

        def gradient(places: list[int]) -> list[arb]:
            with ctx.workprec(_BITS):
                at_target = p[t] * (minus_others * (1 - q_t) - mean)
                at_rivals = at_target if i == t else rival()
                values: list[arb] = []
                for j in places:
                    q = exps[j] / total
                    if j == t or self._x[j] == self._x[i]:
                        values.append(at_target if j == t else at_rivals)
                    else:
                        values.append(p[j] * (p[t] * (q - q_t + 1) - minus_others * q - mean))
                return values

        return loss, gradient

    def _near_twice(self, p: Extended, others: np.longdouble) -> Extended:
        t = self._place
        q = np.exp(p) / np.exp(p).sum()
        products = p * q
        products[t] = 0  # and not subtracted: it may be all of the sum
        mean = products.sum()
        value = p * (p[t] * (q - q[t] + 1) + q * others - mean)
        value[t] = -p[t] * ((1 - q[t]) * others + mean)
        if (i := self._rival) != t:
            rest = p * (q[i] - q)
            rest[[t, i]] = 0
            tied = self._x == self._x[i]
            tied[t] = False
            value[tied] = p[i] * (p[t] * (q[i] - q[t] + 1) + rest.sum())
        return np.asarray(value)


def _without(values: list[arb], *places: int) -> list[arb]:
    kept = values.copy()
    for place in sorted(places, reverse=True):
        del kept[place]
    return kept


def _exp(d: arb) -> arb:
    if not d.is_finite():
        return arb.pos_inf() if d > 0 else arb(0) if d < 0 else arb.nan()
    return d.exp() if abs(d) < _FAR else (_FAR * d.sgn()).exp()
