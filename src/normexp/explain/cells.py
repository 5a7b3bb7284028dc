"""What a stage of a computation gives: for each class and route a number, its state, its error and a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flint import arb
from numpy.typing import NDArray

from normexp._arrays import Array
from normexp.explain.formats import STATES, Extended, Format
from normexp.verify.measure import Ruler

MARKS: Final = {
    "O": "infinite, where the exact value is a number",
    "N": "NaN, where the exact value is a number",
    "U": "underflow: 0, for the exact value is below every number of the format",
    "D": "dead: a gradient of 0, where the format has a number for it",
    "L": "digits lost: 10 ULP or more off",
    "S": "subnormal: too small for all digits",
}
# Ten units in the last place are one decimal digit.
_LOST: Final = 10.0


@dataclass(frozen=True)
class Cell:
    """One computed number."""

    value: float
    state: str
    """normal, subnormal, zero, inf or NaN."""
    ulp: float
    """Distance from the exact value in units of its last place; inf where only one of them is NaN."""
    mark: str
    """One of `MARKS`, or nothing."""


@dataclass(frozen=True)
class Line:
    """One class, or one number of the whole row, by all routes."""

    label: str
    value: arb
    """The exact value, enclosed."""
    exact: str
    """It, written."""
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Stage:
    """One step of the computation."""

    key: str
    title: str
    lines: list[Line]
    others: dict[str, dict[str, int]]
    """How many of the classes that have no line are in which state, by route."""
    marked: dict[str, dict[str, NDArray[np.intp]]]
    """By route and mark: the classes, those without a line included."""

    def line(self, place: int) -> Line:
        """Return the line of a class."""
        return next(line for line in self.lines if line.label == str(place))

    def shown(self, places: NDArray[np.intp]) -> Line | None:
        """Return the first line of those classes, if one of them has a line."""
        known = (line for line in self.lines if line.label.isdigit() and (places == int(line.label)).any())
        return next(known, None)


@dataclass(frozen=True)
class Truth:
    """Exact values of one stage: to 64 bits for all classes, and enclosed for those that have a line.

    Parameters
    ----------
    near : ndarray of longdouble
        Good enough to find what is wrong.
    nonzero, infinite : ndarray of bool
        Where the exact value is not 0, and where it is truly infinite or undefined, so that there is nothing to mark.
    """

    near: Extended
    nonzero: NDArray[np.bool_]
    infinite: NDArray[np.bool_]

    def at(self, places: list[int], exact: Sequence[arb]) -> Truth:
        """Return the part of some classes, whose enclosures tell 0 from next to nothing."""
        nonzero = np.array([not value.is_zero() for value in exact])
        return Truth(self.near[places], nonzero, self.infinite[places])


def marks(
    form: Format, got: Array, truth: Truth, ulp: NDArray[np.float64], gradient: bool = False
) -> dict[str, NDArray[np.intp]]:
    """Find what has gone wrong: the places of the numbers that get a mark, by mark."""
    state = form.states(got)
    vanished = (state == STATES.index("zero")) & truth.nonzero
    # Half the smallest number, a tie, rounds to 0 as well.
    tiny = np.abs(truth.near) * 2 <= form.smallest
    rules = {
        "N": state == STATES.index("NaN"),
        "O": state == STATES.index("inf"),
        "U": vanished & tiny,
        "D": vanished & gradient,
        "L": vanished | (ulp >= _LOST),
        "S": state == STATES.index("subnormal"),
    }
    found, left = {}, ~truth.infinite
    for mark, rule in rules.items():
        if (left & rule).any():
            found[mark] = np.flatnonzero(left & rule)
            left &= ~rule
    return found


def near_errors(form: Format, got: Mapping[str, Array], truth: Truth) -> dict[str, NDArray[np.float64]]:
    """Return the error of each number of each route in ULP, as far as 64 bits tell."""
    near, unit = truth.near, form.unit(truth.near)
    undefined, too_large = np.isnan(near), np.abs(near) > form.largest
    errors = {}
    with np.errstate(all="ignore"):
        for route, values in got.items():
            x = values.astype(np.longdouble)
            error = (np.abs(x - near) / unit).astype(np.float64)
            error[np.isnan(error)] = np.inf
            beyond = too_large & np.isinf(x) & ((x > 0) == (near > 0))
            error[(x == near) | beyond | (undefined & np.isnan(x))] = 0
            errors[route] = error
    return errors


def lines(
    form: Format,
    labels: Sequence[str],
    got: Mapping[str, Array],
    exact: Sequence[arb],
    texts: Sequence[str],
    truth: Truth,
    gradient: bool = False,
) -> list[Line]:
    """Put numbers, their errors by rigorous measure, and their marks side by side."""
    ruler = Ruler(exact, form.dtype)
    columns = {}
    for route, values in got.items():
        errors = ruler.errors(values)
        letters = dict.fromkeys(range(len(labels)), "")
        for mark, places in marks(form, values, truth, errors, gradient).items():
            letters.update(dict.fromkeys(places.tolist(), mark))
        states = [STATES[code] for code in form.states(values).tolist()]
        rows = zip(values.astype(np.float64).tolist(), states, errors.tolist(), letters.values(), strict=True)
        columns[route] = [Cell(*row) for row in rows]
    return [
        Line(label, value, text, {route: column[i] for route, column in columns.items()})
        for i, (label, value, text) in enumerate(zip(labels, exact, texts, strict=True))
    ]


def written(exact: arb) -> str:
    """Return an exact value as text, to as many digits as tell all numbers of float64 apart."""
    return str(exact.str(17, radius=False))


def document(stage: Stage) -> dict[str, Any]:
    """Return a stage for JSON."""
    return {
        "stage": stage.key,
        "title": stage.title,
        "lines": [
            {
                "of": line.label,
                "exact": written(line.value),
                "routes": {route: vars(cell) for route, cell in line.cells.items()},
            }
            for line in stage.lines
        ],
        "others": stage.others,
    }
