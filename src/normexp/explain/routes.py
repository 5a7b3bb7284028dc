"""The routes from logits to loss, every intermediate result rounded to the format, as a loop over the row would.

naive: p = exp(x) / sum exp(x). shifted: the same of x - max. log: log p = x - max - log sum exp(x - max). The first two
take the logarithm of p for the loss; the last takes the exponential of log p for the gradient. Sums are taken from left
to right, each partial sum rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

import normexp
from normexp._arrays import Array
from normexp.explain.formats import Format

NAIVE: Final = "naive"
SHIFTED: Final = "shifted"
LOG: Final = "log"
OURS: Final = "normexp"
BOTH: Final = "shifted, log"  # what these two have in common
GRADIENTS: Final = ("grad", "twice")  # the stages that are: of the loss alone, and after a softmax layer

Vectors = dict[str, Array]


@dataclass(frozen=True)
class Computed:
    """What the routes give: by stage and route, one number for each class, or (the totals) one for the row."""

    stages: dict[str, Vectors]
    totals: dict[str, dict[str, Vectors]]


def compute(form: Format, x: Array, temperature: float, target: int | None) -> Computed:
    """Go all routes.

    Parameters
    ----------
    form : Format
        Whose arithmetic it is.
    x : ndarray, shape (K,)
        The logits, in this format.
    temperature : float
        A number of this format.
    target : int or None
        The class that a loss is taken against.
    """
    with np.errstate(all="ignore"):
        return _compute(form, x, temperature, target)


def _compute(form: Format, x: Array, temperature: float, target: int | None) -> Computed:
    z = x if temperature == 1 else x / form.dtype.type(temperature)
    exps = form.exp(z)
    shift = z - z.max()
    shifted_exps = form.exp(shift)
    total, shifted_total = _sum(exps), _sum(shifted_exps)
    log_total = form.log(shifted_total)
    log_p = {LOG: shift - log_total}
    p = {NAIVE: exps / total, SHIFTED: shifted_exps / shifted_total, LOG: form.exp(log_p[LOG])}
    log_p = {NAIVE: form.log(p[NAIVE]), SHIFTED: form.log(p[SHIFTED]), **log_p}
    p[OURS] = normexp.softmax(x, temperature=temperature)
    log_p[OURS] = normexp.log_softmax(x, temperature=temperature)
    stages = {} if temperature == 1 else {"scale": {"all": z}}
    stages |= {"exp": {NAIVE: exps}, "shift": {BOTH: shift}, "exp_shift": {BOTH: shifted_exps}, "p": p, "log_p": log_p}
    totals = {"exp": {"sum": {NAIVE: total}}, "exp_shift": {"sum": {BOTH: shifted_total}, "log sum": {BOTH: log_total}}}
    if target is not None:
        stages["grad"] = {route: _less_target(value, target) for route, value in p.items() if route != OURS}
        stages["grad"][OURS] = _our_gradient(form, x, temperature, target)
        totals["log_p"] = {"loss": {route: -value[target : target + 1] for route, value in log_p.items()}}
        stages["twice"], totals["twice"] = _softmax_before_loss(form, p[SHIFTED], target)
    return Computed(stages, totals)


def _sum(values: Array) -> Array:
    return np.asarray(np.add.accumulate(values)[-1:])


def _less_target(p: Array, target: int) -> Array:
    gradient = p.copy()
    gradient[target] -= p.dtype.type(1)
    return gradient


def _our_gradient(form: Format, x: Array, temperature: float, target: int) -> Array:
    # The losses have no temperature: one that is not 1 divides the logits first, in float64.
    logits = x if temperature == 1 else x.astype(np.float64) / temperature
    gradient = normexp.cross_entropy_and_grad(logits, target).grad
    return form.nearest(gradient.astype(np.longdouble))


def _softmax_before_loss(form: Format, p: Array, target: int) -> tuple[Vectors, dict[str, Vectors]]:
    """Take p for logits, as CrossEntropyLoss after a softmax layer does, and go back through both, as autograd does."""
    shift = p - p.max()
    log_q = shift - form.log(_sum(form.exp(shift)))
    gradient = _less_target(form.exp(log_q), target)
    return {SHIFTED: p * (gradient - _sum(p * gradient))}, {"loss": {SHIFTED: -log_q[target : target + 1]}}
