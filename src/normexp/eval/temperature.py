"""The temperature that minimizes the cross-entropy of logits divided by it.

With b = 1 / T, the loss L(b) = mean(logsumexp(b x) - b x_label) is convex, and one pass over the rows gives it and its
first six derivatives by the logarithmic scale e at b (1 + e): cumulants of the logits under the softmax. The polynomial
they make is minimized, which is Newton's method with more terms. A good start, found on a sample of the rows, needs one
such pass: at 5% from the minimum, six derivatives leave errors of about 1e-6 of T and 1e-8 of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np

from normexp.eval.sums import Sums

# The range looked at.
LOWEST: Final = 2.0**-20
HIGHEST: Final = 2.0**20
# A step is believed if leaving out the last derivative would change its end by no more than this, relative to T, and
# the loss there by no more than that, relative to itself. What the derivatives after it would change is less by a
# factor of about ten (measured: tests/eval/test_temperature.py).
_TRUST_STEP: Final = 3e-5
_TRUST_LOSS: Final = 1e-6
# Where logits say little of the labels, b is near 0, and the loss all but quadratic as far as some times b.
_FURTHEST: Final = 10.0
# A step that is not believed is Newton's, and b changes by no more than this factor.
_LONGEST_STEP: Final = 4.0
# Each step that is not believed narrows a range of forty octaves; so many are never needed.
_MOST_STEPS: Final = 200


@dataclass(frozen=True)
class Expansion:
    """The loss near one temperature.

    Parameters
    ----------
    inverse : float
        b, the reciprocal of the temperature.
    derivatives : tuple of float
        The mean loss of a row, and its derivatives by e at b (1 + e).
    all_on_top : bool
        Whether each label is a largest logit of its row, so that the loss falls for ever as T does.
    """

    inverse: float
    derivatives: tuple[float, ...]
    all_on_top: bool

    @classmethod
    def of(cls, sums: Sums, temperature: float) -> Self:
        """Take it from the sums of a pass at this temperature."""
        inverse = 1.0 / temperature
        at_label = inverse * sums.label_distance / sums.rows
        log_sum = sums.log_sum / sums.rows
        first, *others = (float(cumulant) / sums.rows for cumulant in sums.cumulants)
        return cls(inverse, (log_sum - at_label, first - at_label, *others), sums.label_distance == 0)

    def minimum(self) -> tuple[float, float] | None:
        """Return b and the loss there, if they can be told from here; b may be negative."""
        terms = len(self.derivatives)
        step, rough_step = self._step(terms), self._step(terms - 1)
        if step is None or rough_step is None or abs(step - rough_step) > _TRUST_STEP * abs(1 + step):
            return None
        inverse = self.inverse * (1 + step)
        loss = self.loss(inverse)
        if abs(loss - self.loss(inverse, terms - 1)) > _TRUST_LOSS * abs(loss):
            return None
        return inverse, loss

    def loss(self, inverse: float, terms: int | None = None) -> float:
        """Return the loss at another b: the polynomial's value, or that of its first terms."""
        e = inverse / self.inverse - 1
        return sum(d * e**n / math.factorial(n) for n, d in enumerate(self.derivatives[:terms]))

    def newton(self) -> float:
        """Return b after a step of Newton's method."""
        _, slope, curvature, *_ = self.derivatives
        factor = 1 - slope / curvature if curvature > 0 else math.inf if slope < 0 else 0.0
        return self.inverse * min(max(factor, 1 / _LONGEST_STEP), _LONGEST_STEP)

    def _step(self, terms: int) -> float | None:
        """Solve for slope 0 by Newton's method, near e = 0."""
        coefficients = [d / math.factorial(n) for n, d in enumerate(self.derivatives[1:terms])]
        slope = np.polynomial.Polynomial(coefficients)
        curvature = slope.deriv()
        e = 0.0
        for _ in range(50):  # it converges quadratically or not at all
            change = float(curvature(e))
            if change <= 0:
                return None
            before, e = e, e - float(slope(e)) / change
            if not abs(e) < _FURTHEST:
                return None
            if abs(e - before) <= 1e-12:
                return e
        return None


@dataclass(frozen=True)
class Fit:
    """The best temperature and the loss it gives.

    Parameters
    ----------
    temperature, loss : float
        NaN, infinite: if a label is impossible, no temperature helps.
    bound : {"at most", "at least"} or None
        Which the temperature is, if the loss still falls where the range looked at ends.
    """

    temperature: float
    loss: float
    bound: Literal["at most", "at least"] | None = None


def minimize(expand: Callable[[float], Expansion], start: float) -> Fit:
    """Find the minimum.

    Parameters
    ----------
    expand : callable
        Gives the expansion at a temperature: a pass over the rows.
    start : float
        The temperature to begin with; once near enough, it takes no other.

    Returns
    -------
    Fit
        The minimum.
    """
    ends = low, high = 1 / HIGHEST, 1 / LOWEST
    inverse = 1 / start
    for _ in range(_MOST_STEPS):
        inverse = float(np.float32(inverse))  # the engine's precision
        here = expand(1 / inverse)
        loss, slope, *_ = here.derivatives
        if not math.isfinite(slope):
            return Fit(math.nan, loss)
        if inverse >= ends[1] and slope <= 0:
            return Fit(LOWEST, loss, "at most")
        if inverse <= ends[0] and slope >= 0:
            return Fit(HIGHEST, loss, "at least")
        if here.all_on_top:
            inverse = ends[1]
            continue
        found = here.minimum()
        if found is not None and found[0] > ends[0]:
            return Fit(1 / found[0], found[1])
        if found is not None:
            return Fit(HIGHEST, here.loss(ends[0]), "at least")
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        inverse = here.newton()
        if not low < inverse < high:
            # Beyond an end of the range, look there; beyond a temperature that was looked at already, between both.
            end = ends[0] if inverse <= low else ends[1]
            inverse = end if end in (low, high) else math.sqrt(low * high)
    raise ArithmeticError("the loss of these logits has no minimum that can be found")
