"""The conformance table: functions x formats x families of hard inputs, the largest error of each implementation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from flint import arb

from normexp.verify import oracle, words
from normexp.verify.cases import DTYPES, FAMILIES, Case, Family
from normexp.verify.contract import BOUNDS
from normexp.verify.measure import Ruler
from normexp.verify.peers import LOSSES, Array, Implementation, UnsupportedError

# One number comes out for each row; of the others one for each element.
_REDUCES: Final = ("logsumexp", "cross_entropy")

# Of so many cases, as many lengths of rows, those who compile for each shape are given every tenth.
_MANY: Final = 100
_EVERY: Final = 10


@dataclass(frozen=True)
class Worst:
    """The largest error of one implementation in one cell, and where it is; without `ulp` there is no result."""

    ulp: float | None
    where: str = ""
    case: Case | None = None


@dataclass(frozen=True)
class Cell:
    """One function in one format on one family: the largest error of each implementation, by its name."""

    function: str
    dtype: str
    family: str
    worst: dict[str, Worst]

    @property
    def ours(self) -> Worst:
        """The error of normexp, which is always the first."""
        return next(iter(self.worst.values()))

    @property
    def passed(self) -> bool:
        """Whether normexp keeps its contract here."""
        return self.ours.ulp is not None and self.ours.ulp <= BOUNDS[self.dtype]

    def document(self) -> dict[str, Any]:
        """Return this cell for the JSON file."""
        return {
            "function": self.function,
            "dtype": self.dtype,
            "family": self.family,
            "max_ulp": {name: worst.ulp for name, worst in self.worst.items()},
            "worst_of_normexp": self.ours.where,
            "bound": BOUNDS[self.dtype],
            "passed": self.passed,
        }


def count(families: Sequence[Family] = FAMILIES) -> int:
    """Return how many cells `cells` gives."""
    return sum(len(family.functions) * len(family.dtypes) for family in families)


def cells(
    implementations: Sequence[Implementation], families: Sequence[Family] = FAMILIES, draws: int = 1
) -> Iterator[Cell]:
    """Measure all implementations, normexp first, one cell after the other; random inputs are drawn `draws` times."""
    for dtype in DTYPES:
        for family in families:
            if dtype in family.dtypes:
                yield from _family(implementations, family, dtype, draws)


def _family(implementations: Sequence[Implementation], family: Family, dtype: str, draws: int) -> Iterator[Cell]:
    worst: dict[str, dict[str, Worst]] = {function: {} for function in family.functions}
    for draw in range(draws):
        cases = family.cases(dtype, draw)
        many = len(cases) > _MANY
        for index, case in enumerate(cases):
            exact = Exact(case)  # one at a time: of a row of 4 million it is large
            for function, one in product(family.functions, implementations):
                if one.compiles and many and index % _EVERY:
                    continue
                found, before = exact.worst(function, one), worst[function].get(one.name)
                if before is None or _size(found) > _size(before):
                    worst[function][one.name] = found
    for function in family.functions:
        yield Cell(function, dtype, family.name, worst[function])


def _size(worst: Worst) -> float:
    return -1.0 if worst.ulp is None else worst.ulp


class Exact:
    """One case and its exact values, each computed when first asked for."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._positions = case.positions
        self._rows: dict[str, list[oracle.Row]] = {}
        self._rulers: dict[str, tuple[Ruler, list[arb]]] = {}

    def worst(self, function: str, implementation: Implementation) -> Worst:
        """Return the largest error of one implementation, over all rows and positions."""
        try:
            if function in LOSSES:
                got = implementation.loss(function, self._case.x, self._case.labels)
            else:
                got = implementation(function, self._case.x, self._case.temperature)
        except UnsupportedError:
            return Worst(None)
        except Exception as error:  # whatever it raises on valid input, it gives no result
            return Worst(math.inf, f"raised {error!r}", self._case)
        x = self._case.x
        shape = x.shape[:1] if function in _REDUCES else x.shape
        if got.shape != shape or got.dtype != x.dtype:
            return Worst(math.inf, f"{got.dtype}{got.shape} instead of {x.dtype}{shape}", self._case)
        if function not in _REDUCES and self._positions is not None:
            got = got[:, self._positions]
        ruler, exact = self._ruler(function)
        errors = ruler.errors(got)
        if not errors.size:
            return Worst(0.0)
        index = int(errors.argmax())
        return Worst(float(errors[index]), self._where(got, index, exact[index]), self._case)

    def _where(self, got: Array, index: int, exact: arb) -> str:
        row, *rest = np.unravel_index(index, got.shape)
        position = [self._positions[int(p)] if self._positions else int(p) for p in rest]
        at = f"row {row} of {self._case.x.shape}" + "".join(f", position {p}" for p in position)
        return f"{at}: got {float(got.flat[index])!r}, exact {words.exact(exact, 20)}"

    def _ruler(self, function: str) -> tuple[Ruler, list[arb]]:
        if function not in self._rulers:
            exact: list[arb] = []
            reduced = self._reduced("softmin" if function == "softmin" else "softmax")
            for row, label in zip(reduced, self._case.labels.tolist(), strict=True):
                exact += self._values(function, row, label)
            self._rulers[function] = Ruler(exact, self._case.x.dtype), exact
        return self._rulers[function]

    def _values(self, function: str, row: oracle.Row, label: int) -> list[arb]:
        """Return what the function comes to for one row, where it is measured."""
        if function in LOSSES:
            target = oracle.Target(label, self._case.x.shape[1])
            if function == "cross_entropy":
                return [row.cross_entropy(target)]
            return row.cross_entropy_grad(target, self._positions)
        if function == "logsumexp":
            return [row.logsumexp()]
        return (row.log_softmax if function == "log_softmax" else row.softmax)(self._positions)

    def _reduced(self, sign: str) -> list[oracle.Row]:
        """Return the rows, reduced once for softmax, log_softmax and logsumexp, and once more for softmin."""
        if sign not in self._rows:
            x = self._case.x.astype(np.float64) * (-1 if sign == "softmin" else 1)
            self._rows[sign] = [oracle.Row(row, self._case.temperature) for row in x]
        return self._rows[sign]


def worst_by_dtype(found: Sequence[Cell], choose: Callable[[Cell], Worst] = lambda cell: cell.ours) -> dict[str, float]:
    """Return the largest error in each format."""
    worst: dict[str, float] = {}
    for cell in found:
        ulp = choose(cell).ulp
        if ulp is not None:
            worst[cell.dtype] = max(worst.get(cell.dtype, 0.0), ulp)
    return worst
