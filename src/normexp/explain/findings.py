"""What there is to know of a row, in one plain sentence each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from flint import arb
from numpy.typing import NDArray

from normexp.explain.cells import Cell, Line, Stage
from normexp.explain.routes import LOG, NAIVE, OURS, SHIFTED
from normexp.explain.words import say

if TYPE_CHECKING:
    from normexp.explain.explanation import Explanation, Finding

_NAMED: Final = 4  # classes, before the rest are counted


def findings(of: Explanation, given: NDArray[np.longdouble]) -> list[Finding]:
    """Find what there is to say.

    Parameters
    ----------
    of : Explanation
        Complete but for its findings.
    given : ndarray of longdouble
        The logits before they were rounded.
    """
    from normexp.explain.explanation import Finding

    found = [Finding(*one) for one in (*_of_the_row(of, given), *_of_the_stages(of), *_of_the_target(of))]
    return found or [Finding("", "", "Nothing goes wrong here.")]


def _of_the_row(of: Explanation, given: NDArray[np.longdouble]) -> Iterator[tuple[str, str, str]]:
    x, name = of.x.astype(np.float64), of.form.name
    beyond = np.flatnonzero(np.isinf(x) & np.isfinite(given))
    if beyond.size:
        first = int(beyond[0])
        yield "O", "logits", (
            f"{_classes(beyond.tolist())}: {say(float(given[first]))} is beyond the largest {name}, "
            f"{say(of.form.largest)}, and becomes {say(x[first])}."
        )
    vanished = np.flatnonzero((x == 0) & (given != 0))
    if vanished.size:
        yield "U", "logits", f"{_classes(vanished.tolist())}: {say(float(given[vanished[0]]))} becomes 0 in {name}."
    for what, where in (("NaN", np.isnan(x)), ("+inf", np.isposinf(x))):
        if where.any():
            why = "whatever is computed with it is NaN" if what == "NaN" else "inf - inf and inf / inf are NaN"
            yield "N", "logits", f"{_classes(np.flatnonzero(where).tolist())} {what}: {why}, and no route can help."
            return
    masked = np.flatnonzero(np.isneginf(x)).tolist()
    if len(masked) == x.size:
        yield "N", "logits", (
            "Every logit is -inf: no class is possible, 0 / 0 and inf - inf are NaN. "
            "(normexp.softmax(x, where=mask) gives 0 where everything is masked.)"
        )
    elif masked:
        yield "", "logits", f"{_classes(masked)} -inf: p is exactly 0 there, as a mask wants it, and log p is -inf."


def _of_the_stages(of: Explanation) -> Iterator[tuple[str, str, str]]:
    if not math.isfinite(float(of.x.max())):
        return
    for stage in of.stages:
        by_mark: dict[tuple[str, tuple[int, ...]], list[str]] = {}
        for route, marked in stage.marked.items():
            for mark, places in marked.items():
                by_mark.setdefault((mark, tuple(places)), []).append(route)
        for (mark, places), routes in by_mark.items():
            if routes != [OURS] or mark not in "US":
                sentence = _sentence(of, stage, mark, places, routes)
                if sentence:
                    yield mark, stage.key, sentence
        for line in stage.lines[len(of.shown) :]:
            yield from _of_a_total(of, stage, line)


def _sentence(of: Explanation, stage: Stage, mark: str, places: Sequence[int], routes: list[str]) -> str:
    name, form = of.form.name, of.form
    line = stage.line(next(i for i in places if i in of.shown))
    cell, where, by = line.cells[routes[0]], _classes(places), _routes(routes, stage)
    example = f"{_quantity(of, stage, line)} is {line.exact}"
    if mark == "S":
        return f"{where}{by}: {example}, subnormal: below {say(form.smallest_normal)} a {name} has fewer digits."
    if mark == "U":
        also = " Its logarithm will be -inf." if stage.key == "p" and set(routes) - {LOG, OURS} else ""
        return f"{where}{by}: {example}, less than any {name} can hold (the least is {say(form.smallest)}): it becomes 0.{also}"
    if mark == "N":
        if stage.key != "p":  # it goes on from there
            return ""
        total = of.stage("exp").lines[-1].cells[NAIVE]
        return f"{where}{by}: {total.value:g} / {total.value:g} is NaN, and so are log p, the loss and the gradient."
    if mark == "O":
        if stage.key == "log_p" and not set(routes) & {LOG, OURS}:
            return f"{where}{by}: log(0) is -inf; {example}, and x - max - log(sum) never meets that 0."
        return f"{where}{by}: {example}, beyond the largest {name}, {say(form.largest)}: it becomes {say(cell.value)}."
    return f"{where}{by}: {example}, {_loss_of_digits(of, stage, cell, line, mark)}"


def _loss_of_digits(of: Explanation, stage: Stage, cell: Cell, line: Line, mark: str) -> str:
    if mark == "D":
        why = "p rounds to 1 and p - 1 to 0" if line.label == str(of.target) else "p is 0"
        return f"and the gradient is dead: {why}."
    if cell.state == "zero":
        why = {
            "p": "divided by an infinite sum",
            "log_p": "the sum rounds to 1, p to 1, and log(1) is 0; log1p of the other terms' sum would keep it",
        }.get(stage.key, "everything cancels")
        return f"and reads 0: {why}."
    return f"and {say(cell.value)} keeps {_digits(of, cell)} of its digits."


def _of_a_total(of: Explanation, stage: Stage, line: Line) -> Iterator[tuple[str, str, str]]:
    for route, cell in line.cells.items():
        what = f"the {line.label} of {stage.title}" if line.label == "sum" else f"the {line.label}"
        told = f"{what[0].upper()}{what[1:]}{_routes([route], stage)} is {line.exact}"
        if cell.mark == "N" or (cell.mark == "O" and line.label == "sum" and "O" in stage.marked[route]):
            continue
        if cell.mark in ("U", "S") and line.label == "sum":
            yield cell.mark, stage.key, f"{told}; it comes out as {say(cell.value)}: every term is too small."
        elif cell.mark == "O":
            why = "log(0), negated" if line.label == "loss" and route in (NAIVE, SHIFTED) else "too large"
            yield "O", stage.key, f"{told}; it comes out as {say(cell.value)}: {why}."
        elif cell.mark == "L":
            rest = "nothing is left" if cell.state == "zero" else f"{_digits(of, cell)} of its digits are left"
            yield "L", stage.key, f"{told}; it comes out as {say(cell.value)}: {rest}."


def _of_the_target(of: Explanation) -> Iterator[tuple[str, str, str]]:
    if of.target is None or of.two is None:
        return
    p = of.stage("p").line(of.target)
    if not math.isfinite(float(of.x[of.target])):
        yield "", "log_p", "The target is masked: its loss is infinite, rightly."
    dead = [route for route, cell in p.cells.items() if route in (NAIVE, SHIFTED) and cell.mark in ("U", "L") and not cell.value]
    if dead:
        yield "N", "grad", (
            f"The target's p is 0 ({', '.join(dead)}): autograd back through log(p) multiplies 1 / 0 by 0, "
            "and every gradient becomes NaN."
        )


def _classes(places: Sequence[int]) -> str:
    if len(places) == 1:
        return f"Class {places[0]}"
    if len(places) > _NAMED:
        return f"Classes {', '.join(map(str, places[: _NAMED - 1]))} and {len(places) - _NAMED + 1:,} more"
    return f"Classes {', '.join(map(str, places[:-1]))} and {places[-1]}"


def _routes(routes: list[str], stage: Stage) -> str:
    """Name the routes where others are better off."""
    return f" ({', '.join(routes)})" if len(stage.marked) > 1 else ""


def _quantity(of: Explanation, stage: Stage, line: Line) -> str:
    i = int(line.label)
    if stage.key == "exp":
        value = of.x[i] if of.temperature == 1 else of.stage("scale").line(i).cells["all"].value
        return f"exp({say(float(value))})"
    if stage.key == "exp_shift":
        return f"exp({of.stage('shift').line(i).exact})"
    return {"p": "p", "log_p": "log p", "grad": "p - y"}.get(stage.key, stage.title)


def _digits(of: Explanation, cell: Cell) -> str:
    kept = max(of.form.digits - math.log10(2 * cell.ulp), 0) if math.isfinite(cell.ulp) else 0
    return f"{math.floor(kept)} of {math.floor(of.form.digits)}"
