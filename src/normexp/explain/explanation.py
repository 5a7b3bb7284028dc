"""A row of logits explained: every stage of every route, what goes wrong, and what a softmax layer too many does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from flint import arb
from numpy.typing import NDArray

import normexp
from normexp._arrays import Array
from normexp.explain.cells import MARKS, Line, Stage, Truth, document, lines, marks, near_errors, written
from normexp.explain.exact import Exact, Facts
from normexp.explain.findings import findings
from normexp.explain.formats import STATES, Format, extended
from normexp.explain.routes import GRADIENTS, Computed, Vectors, compute
from normexp.explain.words import say, say_exp, say_probability

# Rows of up to so many classes are shown whole.
_WHOLE: Final = 12
_LARGEST: Final = 3
# The stages whose failures choose classes.
_TOLD: Final = ("scale", "exp", "shift", "exp_shift", "p", "log_p")


_TITLES: Final = {
    "scale": "z = x / T",
    "exp": "exp({v})",
    "shift": "{v} - max",
    "exp_shift": "exp({v} - max)",
    "p": "probabilities p",
    "log_p": "log p",
    "grad": "gradient p - y",
    "twice": "gradient with a softmax layer before CrossEntropyLoss",
}


@dataclass(frozen=True)
class TwoSoftmaxes:
    """A softmax layer before CrossEntropyLoss, which has one inside."""

    stage: Stage
    """The gradient through both; its last line is the loss."""
    floor: arb
    """ln(1 + (K - 1) / e), which the loss cannot fall below."""
    times_smaller: arb | None
    """The gradient at the target without the layer, over that with it."""


@dataclass(frozen=True)
class Finding:
    """Something to know of this row, in a sentence."""

    mark: str
    stage: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """One row of logits, explained; printed, it is the table of ``normexp explain``, and in a notebook a small page.

    Attributes
    ----------
    x : ndarray, shape (K,)
        The logits, rounded to the format.
    form : Format
        The format, with its limits.
    temperature : float
        T, rounded to the format.
    target : int or None
        The class that the loss is taken against.
    facts : Facts
        Gap, entropy and the like, exactly.
    shown : dict of int to str
        The classes with a line in each stage, and why they were chosen.
    stages : list of Stage
        What the routes give, beside the exact values.
    two : TwoSoftmaxes or None
        What a softmax layer before CrossEntropyLoss does; None without a target or where nothing is defined.
    findings : list of Finding
        What goes wrong, a sentence each.
    """

    x: Array
    form: Format
    temperature: float
    target: int | None
    facts: Facts
    shown: dict[int, str]
    stages: list[Stage]
    two: TwoSoftmaxes | None
    findings: list[Finding] = field(default_factory=list)

    @property
    def variable(self) -> str:
        """What the routes work on: x, or z = x / T."""
        return "x" if self.temperature == 1 else "z"

    def stage(self, key: str) -> Stage:
        """Return a stage by its key: scale, exp, shift, exp_shift, p, log_p or grad."""
        return next(stage for stage in self.stages if stage.key == key)

    def document(self) -> dict[str, Any]:
        """Return all of it, for JSON; what is exact as text of 17 digits, which may be beyond any float."""
        facts, two = self.facts, self.two
        return {
            "normexp": normexp.__version__,
            "dtype": self.form.name,
            "classes": int(self.x.size),
            "temperature": self.temperature,
            "target": self.target,
            "logits": {str(i): float(self.x[i]) for i in self.shown},
            "largest": facts.largest,
            "gap": written(facts.gap),
            "range": written(facts.span),
            "logsumexp": written(facts.logsumexp),
            "entropy": written(facts.entropy),
            "effective_classes": written(facts.effective),
            "stages": [document(stage) for stage in self.stages],
            "softmax_before_loss": two
            and {
                **document(two.stage),
                "lowest_loss": written(two.floor),
                "times_smaller": None if two.times_smaller is None else written(two.times_smaller),
            },
            "findings": [vars(one) for one in self.findings],
        }

    def __repr__(self) -> str:
        from normexp.explain.terminal import text

        return text(self)

    def _repr_html_(self) -> str:
        from normexp.explain.notebook import html

        return html(self)


def explanation(given: NDArray[np.longdouble], name: str, temperature: float, target: int | None) -> Explanation:
    """Explain one row.

    Parameters
    ----------
    given : ndarray of longdouble, shape (K,)
        The logits, at least one of them.
    name : {"float16", "bfloat16", "float32", "float64"}
        The format.
    temperature : float
        A number of this format, positive and finite.
    target : int or None
        A class.
    """
    form = Format(name)
    x = form.nearest(given)
    exact = Exact(x.astype(np.float64), temperature, target)
    computed = compute(form, x, temperature, target)
    truths = {key: exact.near(key) for key in computed.stages}
    errors = {key: near_errors(form, routes, truths[key]) for key, routes in computed.stages.items()}
    found = {
        key: {
            route: marks(form, got, truths[key], errors[key][route], key in GRADIENTS) for route, got in routes.items()
        }
        for key, routes in computed.stages.items()
    }
    shown = _choose(x, target, found, truths, errors)
    assembler = _Assembler(form, x, exact, computed, truths, shown, found)
    v = "x" if temperature == 1 else "z"
    stages = [assembler.stage(key, _TITLES[key].format(v=v)) for key in computed.stages if key != "twice"]
    two = assembler.two(target) if target is not None and exact.defined else None
    result = Explanation(x, form, temperature, target, exact.facts, shown, stages, two)
    result.findings.extend(Finding(*one) for one in findings(result, given))
    return result


def _choose(
    x: Array,
    target: int | None,
    found: Mapping[str, Mapping[str, Mapping[str, NDArray[np.intp]]]],
    truths: Mapping[str, Truth],
    errors: Mapping[str, Mapping[str, NDArray[np.float64]]],
) -> dict[int, str]:
    """Choose the classes to show: all of a short row; otherwise the largest, the target, and one of each failure."""
    values = x.astype(np.float64)
    reasons: dict[int, list[str]] = {i: [] for i in range(x.size)} if x.size <= _WHOLE else {}
    order = np.argsort(-values, kind="stable")
    for place, i in enumerate(order[:_LARGEST].tolist()):
        reasons.setdefault(i, []).append(("largest", "second", "third")[place])
    reasons.setdefault(int(order[-1]), []).append("smallest")
    if target is not None:
        reasons.setdefault(target, []).append("target")
    for key in _TOLD:
        for route, marked in found.get(key, {}).items():
            for mark, places in marked.items():
                there = np.zeros(x.size, bool)
                there[places] = True
                if there[list(reasons)].any():
                    continue
                # The worst of those that lost digits, and otherwise the largest, which matters most.
                size = errors[key][route] if mark == "L" else np.abs(truths[key].near)
                worst = int(places[np.argmax(np.nan_to_num(size[places]))])
                reasons.setdefault(worst, []).append(f"{mark} in {_TITLES[key].format(v='x')}")
    return {i: ", ".join(reasons[i]) for i in sorted(reasons)}


@dataclass(frozen=True)
class _Assembler:
    """Puts what was computed beside what is exact."""

    form: Format
    x: Array
    exact: Exact
    computed: Computed
    truths: dict[str, Truth]
    shown: dict[int, str]
    found: dict[str, dict[str, dict[str, NDArray[np.intp]]]]

    def stage(self, key: str, title: str) -> Stage:
        """Put one stage together: its lines, those of the whole row, and counts of the classes that have no line."""
        places, got = list(self.shown), self.computed.stages[key]
        values = self.exact.values(key, places)
        truth = self.truths[key].at(places, values)
        chosen = {route: vector[places] for route, vector in got.items()}
        rows = lines(
            self.form,
            [str(i) for i in places],
            chosen,
            values,
            self._texts(key, places, values),
            truth,
            key in GRADIENTS,
        )
        marked = {route: self._marked(route, by_mark, rows) for route, by_mark in self.found[key].items()}
        others = np.delete(np.arange(self.x.size), places)
        return Stage(
            key,
            title,
            rows + [self._total(key, label, routes) for label, routes in self.computed.totals.get(key, {}).items()],
            {route: self._counts(vector[others]) for route, vector in got.items()} if others.size else {},
            marked,
        )

    def two(self, target: int) -> TwoSoftmaxes:
        """Compare with a softmax layer before the loss."""
        alone, behind = (self.exact.values(key, [target])[0] for key in GRADIENTS)
        known = all(value.rel_accuracy_bits() > 20 and not value.is_zero() for value in (alone, behind))
        return TwoSoftmaxes(
            self.stage("twice", _TITLES["twice"]), self.exact.floor(), alone / behind if known else None
        )

    def _total(self, key: str, label: str, routes: Vectors) -> Line:
        value = self.exact.total(key, label)
        text = say_exp(value, self.exact.facts.logsumexp) if (key, label) == ("exp", "sum") else say(value)
        infinite = not self.exact.defined or (math.isinf(float(value)) and not value.is_finite())
        truth = Truth(*(np.array([one]) for one in (extended(value), not value.is_zero(), infinite)))
        return lines(self.form, [label], routes, [value], [text], truth)[0]

    def _texts(self, key: str, places: list[int], values: list[arb]) -> list[str]:
        logs = {"exp": "scale", "exp_shift": "shift", "p": "log_p"}
        if key not in logs:
            return [say(value) for value in values]
        powers = self.exact.values(logs[key], places)
        if key == "p":
            return [say_probability(*three) for three in zip(values, self.exact.others(places), powers, strict=True)]
        return [say_exp(*pair) for pair in zip(values, powers, strict=True)]

    def _marked(self, route: str, near: dict[str, NDArray[np.intp]], rows: list[Line]) -> dict[str, NDArray[np.intp]]:
        """Put right, by the exact values, what was found by those to 64 bits, where there are lines."""
        found = {}
        for mark in MARKS:
            there = np.zeros(self.x.size, bool)
            there[near.get(mark, [])] = True
            there[list(self.shown)] = [row.cells[route].mark == mark for row in rows]
            if there.any():
                found[mark] = np.flatnonzero(there)
        return found

    def _counts(self, values: Array) -> dict[str, int]:
        counts = np.bincount(self.form.states(values), minlength=len(STATES)).tolist()
        return {state: count for state, count in zip(STATES, counts, strict=True) if count}
