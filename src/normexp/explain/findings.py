"""What there is to know of a row, in one plain sentence each."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from normexp.explain.cells import Cell, Line, Stage
from normexp.explain.routes import LOG, NAIVE, OURS, SHIFTED
from normexp.explain.words import say
from normexp.verify.words import exact as written
from normexp.verify.words import number

if TYPE_CHECKING:
    from normexp.explain.explanation import Explanation

_NAMED: Final = 4  # classes, before the rest are counted
_SHORT: Final = {"scale": "x / T", "p": "p", "log_p": "log p", "grad": "p - y"}


def findings(of: Explanation, given: NDArray[np.longdouble]) -> Iterator[tuple[str, str, str]]:
    """Yield what there is to say: a mark (or nothing), the stage, the sentence.

    Parameters
    ----------
    of : Explanation
        Complete but for its findings.
    given : ndarray of longdouble
        The logits before they were rounded.
    """
    said = [*_of_the_row(of, given)]
    if math.isfinite(float(of.x.max())):
        said += [one for stage in of.stages for one in _of_a_stage(of, stage)]
        said += _of_the_target(of)
    yield from said or [("", "", "Nothing goes wrong here.")]


def _of_the_row(of: Explanation, given: NDArray[np.longdouble]) -> Iterator[tuple[str, str, str]]:
    x, name = of.x.astype(np.float64), of.form.name
    for sign in (1, -1):
        beyond = np.flatnonzero((x == sign * math.inf) & np.isfinite(given)).tolist()
        if beyond:
            number, least = say(float(given[beyond[0]])), say(sign * of.form.largest)
            yield (
                "O",
                "logits",
                f"{_classes(beyond)}: {number} is beyond {least}, where {name} ends; it becomes {x[beyond[0]]}.",
            )
    vanished = np.flatnonzero((x == 0) & (given != 0)).tolist()
    if vanished:
        yield "U", "logits", f"{_classes(vanished)}: {say(float(given[vanished[0]]))} becomes 0 in {name}."
    for number, where, why in (
        ("NaN", np.isnan(x), "whatever is computed with it is NaN"),
        ("+inf", np.isposinf(x), "inf - inf and inf / inf are NaN"),
    ):
        if where.any():
            yield (
                "",
                "logits",
                f"{_classes(np.flatnonzero(where).tolist(), 'is')} {number}: {why}, and no route can help.",
            )
            return
    masked = np.flatnonzero(np.isneginf(x)).tolist()
    if len(masked) == x.size:
        yield (
            "",
            "logits",
            (
                "Every logit is -inf: no class is possible; 0 / 0 and inf - inf are NaN. "
                "(normexp.softmax(x, where=mask) gives 0 where everything is masked.)"
            ),
        )
    elif masked:
        yield "", "logits", f"{_classes(masked, 'is')} -inf, masked: p is exactly 0 there, and log p is -inf."


def _of_a_stage(of: Explanation, stage: Stage) -> Iterator[tuple[str, str, str]]:
    by_mark: dict[tuple[str, object], dict[str, NDArray[np.intp]]] = {}
    whole = len(of.shown) == of.x.size
    for route, marked in stage.marked.items():
        for mark, places in marked.items():
            # Of a long row no two routes may fail at quite the same classes: those that fail alike are told together.
            if example := stage.shown(places):
                alike: object = tuple(places.tolist()) if whole else example.cells[route].state
                by_mark.setdefault((mark, alike), {})[route] = places
    for (mark, _), routes in by_mark.items():
        places = functools.reduce(np.union1d, routes.values())
        if stage.key == "grad":  # what goes wrong with p goes on, but at the target there is a difference
            if mark not in "UDL" or of.target not in places:
                continue
            places = np.array([of.target])
        elif mark == "N" and stage.key != "p":
            continue
        if (line := stage.shown(places)) is None:
            continue
        which = f" (class {line.label})" if len(places) > 1 else ""
        where = f"{_SHORT.get(stage.key, stage.title)} at {_classes(places).lower()}{_routes(list(routes), stage)}: "
        yield mark, stage.key, where + _sentence(of, stage, mark, line, list(routes), which)
    for line in stage.lines[len(of.shown) :]:
        yield from _of_a_total(of, stage, line)


def _sentence(of: Explanation, stage: Stage, mark: str, line: Line, routes: list[str], example: str) -> str:
    form, exact = of.form, line.exact + example
    cell = next(line.cells[route] for route in routes if line.cells[route].mark == mark)
    by_logs = stage.key == "log_p" and not set(routes) & {LOG, OURS}
    if mark == "S":
        return f"{exact} is subnormal; below {say(form.smallest_normal)} a {form.name} has fewer digits."
    if mark == "U":
        then = "; log(0) will be -inf" if stage.key == "p" and {NAIVE, SHIFTED} & set(routes) else ""
        return f"{exact} is too small, for the least {form.name} is {say(form.smallest)}; it becomes 0{then}."
    if mark == "N":
        total = say(of.stage("exp").lines[-1].cells[NAIVE].value)
        return f"{total} / {total} is NaN, and so are log p, the loss and the gradient."
    if mark == "O" and by_logs:
        return f"log(0) is -inf; it is {exact}, which x - max - log(sum) gives without ever forming p."
    if mark == "O":
        return f"{exact} is beyond the largest {form.name}, {say(form.largest)}; it becomes {say(cell.value)}."
    if mark == "D":
        why = "p rounds to 1 and p - 1 to 0" if line.label == str(of.target) else "p is 0"
        return f"it is {exact}, but {why}: the gradient is dead."
    if cell.state == "zero":
        why = {
            "p": "a number over an infinite sum is 0",
            "log_p": "the sum rounds to 1 or p does, and log(1) is 0; log1p of the other terms would keep it",
        }.get(stage.key, "everything cancels")
        return f"it is {exact}, but {why}."
    return f"{_compared(of, cell, line)}{example}."


def _of_a_total(of: Explanation, stage: Stage, line: Line) -> Iterator[tuple[str, str, str]]:
    """Say what is wrong with a number of the whole row, once for the routes that agree."""
    by_cell: dict[tuple[str, float], list[str]] = {}
    for route, cell in line.cells.items():
        if cell.mark and cell.mark != "N":
            by_cell.setdefault((cell.mark, cell.value), []).append(route)
    what = {"sum": f"the sum of {stage.title}", "log sum": "the log of the sum", "loss": "the loss"}[line.label]
    for (mark, value), routes in by_cell.items():
        if mark == "O" and line.label == "sum" and "O" in stage.marked[routes[0]]:  # that has been said
            continue
        told = f"{say(value)}, not {line.exact}"
        if mark == "O":
            told += ": log(0)" if line.label == "loss" and not set(routes) & {LOG, OURS} else ": it overflows"
        elif mark == "L" and value:
            told = _compared(of, line.cells[routes[0]], line)
        yield mark, stage.key, f"{what}{_routes(routes, stage)}: {told}."


def _of_the_target(of: Explanation) -> Iterator[tuple[str, str, str]]:
    if of.target is None:
        return
    if np.isneginf(float(of.x[of.target])):
        yield "", "log_p", "The target is masked: its loss is infinite, rightly."
        return
    cells = of.stage("p").line(of.target).cells
    if zero := [route for route in (NAIVE, SHIFTED) if cells[route].state == "zero"]:
        yield (
            "N",
            "grad",
            (
                f"the target's p is 0 ({', '.join(zero)}): autograd back through log(p) multiplies 1 / 0 by 0, "
                "and the whole gradient becomes NaN."
            ),
        )


def _classes(places: Sequence[int] | NDArray[np.intp], verb: str = "") -> str:
    if len(places) == 1:
        return f"Class {places[0]}{' is' if verb else ''}"
    if len(places) > _NAMED:
        named = f"{', '.join(map(str, places[: _NAMED - 1]))} and {len(places) - _NAMED + 1:,} more"
    else:
        named = f"{', '.join(map(str, places[:-1]))} and {places[-1]}"
    return f"Classes {named}{' are' if verb else ''}"


def _routes(routes: list[str], stage: Stage) -> str:
    """Name the routes, where there are several."""
    return f" ({', '.join(routes)})" if len(stage.marked) > 1 else ""


def _compared(of: Explanation, cell: Cell, line: Line) -> str:
    """Set a number beside the exact one, and say how many decimal digits are right, of those that the format has."""
    lost = math.log10(2 * cell.ulp) if math.isfinite(cell.ulp) else math.inf
    right, has = math.floor(max(of.form.digits - lost, 0)), math.floor(of.form.digits)
    return f"{number(cell.value, has)}, not {written(line.value, has)}: {right} of {has} digits are right"
