"""The suite on one function, whoever wrote it: what it fails, by how much, and the smallest input that shows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from normexp.verify import conformance, contract, words
from normexp.verify.cases import DTYPES, FAMILIES, Case, Family
from normexp.verify.contract import BOUNDS
from normexp.verify.peers import LOSSES, Array, UnsupportedError
from normexp.verify.shrink import smallest
from normexp.verify.stages import stage
from normexp.verify.subject import Subject


@dataclass(frozen=True)
class Finding:
    """One thing that a function does wrong.

    Parameters
    ----------
    dtype : str
        In which format.
    what : str
        The family of inputs, or the special row.
    ulp, bound : float
        The largest error, and what is allowed.
    where : str
        Where that error is, and what should have come out.
    smallest : str
        The smallest input found that is wrong, too, and what comes of it.
    """

    dtype: str
    what: str
    ulp: float
    bound: float
    where: str
    smallest: str = ""

    def __str__(self) -> str:
        """Say it in a few lines."""
        size = "wrong" if math.isinf(self.ulp) else f"{words.ulp(self.ulp)} ULP (allowed: {self.bound:g})"
        lines = [f"{self.dtype}, {self.what}: {size}", self.where, self.smallest]
        return "\n    ".join(line for line in lines if line)


@dataclass(frozen=True)
class Outcome:
    """What became of a function in the suite."""

    subject: Subject
    checks: int
    findings: tuple[Finding, ...]
    worst: dict[str, float]
    """The largest error in each format."""

    def describe(self, findings: int | None = None) -> str:
        """Name what it fails, all of it or the first few findings."""
        name, shown = self.subject.implementation.name, self.findings[:findings]
        head = f"{name} fails {len(self.findings)} of {words.plural(self.checks, 'check')} as {self.subject.op}:"
        more = len(self.findings) - len(shown)
        return "\n\n".join([head, *map(str, shown), *([f"and {more} more"] if more else [])])

    def document(self) -> dict[str, Any]:
        """Return this outcome for the JSON file."""
        subject = self.subject
        return {
            "name": subject.implementation.name,
            "op": subject.op,
            "arrays": subject.arrays,
            "dtypes": list(subject.dtypes),
            "refused": subject.refused,
            "checks": self.checks,
            "worst": self.worst,
            "findings": [vars(finding) for finding in self.findings],
            "passed": not self.findings,
        }


def run(subject: Subject, max_ulp: float | None = None, quiet: bool = False) -> Outcome:
    """Run the suite.

    Parameters
    ----------
    subject : Subject
        Whom to try.
    max_ulp : float, optional
        What is allowed, in units in the last place; by default what normexp itself promises for each format.
    quiet : bool
        Whether to show no progress.
    """
    bounds = dict(BOUNDS) if max_ulp is None else dict.fromkeys(BOUNDS, max_ulp)
    tried = list(_tried(subject))
    findings: list[Finding] = []
    worst: dict[str, float] = {}
    checks = 0
    for check in tried if quiet else stage(f"checks of {subject.implementation.name}", tried, len(tried)):
        for dtype, error, finding in check(bounds):
            checks += 1
            if dtype in bounds:  # and no integers
                worst[dtype] = max(worst.get(dtype, 0.0), error)
            findings += [finding] if finding else []
    return Outcome(subject, checks, tuple(findings), worst)


# The format, the error and what is to be said of one check.
_Checked: TypeAlias = Iterator[tuple[str, float, Finding | None]]
_Check: TypeAlias = Callable[[Mapping[str, float]], _Checked]


def _tried(subject: Subject) -> Iterator[_Check]:
    for dtype in subject.dtypes:
        for family in FAMILIES:
            if subject.op in family.functions and dtype in family.dtypes:
                yield partial(_family, subject, family, dtype)
    for special in contract.SPECIALS:
        wanted = subject.integers or not special.dtype
        if special.function == subject.op and wanted and "where" not in special.arguments:
            yield partial(_special, subject, special)


def _family(subject: Subject, family: Family, dtype: str, bounds: Mapping[str, float]) -> _Checked:
    bound = bounds[dtype]
    chosen = replace(family, functions=(subject.op,), dtypes=(dtype,))
    for cell in conformance.cells([subject.implementation], [chosen]):
        error = cell.ours.ulp
        if error is None:  # it has no temperature
            continue
        if error <= bound:
            yield dtype, error, None
        else:
            yield (
                dtype,
                error,
                Finding(dtype, family.name, error, bound, cell.ours.where, _smallest(subject, cell, bound)),
            )


def _smallest(subject: Subject, cell: conformance.Cell, bound: float) -> str:
    case = cell.ours.case
    if case is None:
        return ""

    def worst(candidate: Case) -> conformance.Worst:
        return conformance.Exact(candidate).worst(subject.op, subject.implementation)

    def fails(candidate: Case) -> bool:
        error = worst(candidate).ulp
        return error is not None and error > bound

    found = smallest(replace(case, target=case.labels) if subject.op in LOSSES else case, fails)
    again = worst(found)
    labels = f", {found.labels.tolist()}" if subject.op in LOSSES else ""
    warm = "" if found.temperature == 1.0 else f", temperature={found.temperature}"
    size = "" if again.ulp is None or math.isinf(again.ulp) else f" ({words.ulp(again.ulp)} ULP)"
    return f"smallest: {subject.op}({_written(found.x)}{labels}{warm}), {again.where}{size}"


def _written(x: Array) -> str:
    """Write an array so that it can be typed in again; of a large one the shape."""
    if x.size > 64:
        return f"<{x.shape[0]} x {x.shape[1]}>"
    return "[" + ", ".join(f"[{', '.join(map(str, row))}]" for row in x) + "]"


def _special(subject: Subject, special: contract.Special, bounds: Mapping[str, float]) -> _Checked:
    for dtype in [special.dtype] if special.dtype else subject.dtypes:
        try:
            failure = contract.failure(special, subject.implementation, np.dtype(DTYPES.get(dtype, dtype)), bounds)
        except UnsupportedError:
            continue
        except Exception as raised:  # it is the answer
            if special.dtype:  # integers may be refused
                continue
            failure = f"{special.title}, {dtype}: raised {raised!r}"
        error = math.inf if failure else 0.0
        yield dtype, error, Finding(dtype, "special values", error, 0.0, failure) if failure else None
