"""What normexp promises: how far a result may be off, and what it makes of special values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from flint import arb

import normexp
from normexp.verify import oracle
from normexp.verify.cases import DTYPES
from normexp.verify.measure import max_ulp
from normexp.verify.peers import Array, Implementation, UnsupportedError
from normexp.verify.words import numbers

# In units in the last place. The half types are computed in floats: half a unit for the last rounding and little else.
# docs/accuracy.md derives 0.88 for float32; 2 is the promise for float64.
BOUNDS: Final[Mapping[str, float]] = {"float32": 1.0, "float64": 2.0, "float16": 0.51, "bfloat16": 0.51}

_INF, _NAN = math.inf, math.nan


@dataclass(frozen=True)
class Special:
    """A row, the arguments that go with it, and what must come out; None stands for the exact values."""

    function: str
    row: Sequence[float]
    expected: Sequence[float] | float | None
    dtype: str = ""
    """The one dtype to try; empty: all floating-point formats."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    target: int | Sequence[float] | None = None
    """Of a loss: the class, or the probability of each."""

    @property
    def title(self) -> str:
        """What the table calls it."""
        target = "" if self.target is None else f", {self.target}"
        options = "".join(f", {name}={value}" for name, value in self.arguments.items())
        return f"{self.function}({numbers(self.row)}{target}{options}{', ' if self.dtype else ''}{self.dtype})"


_NONE: Final = {"where": [False, False]}
_FIRST: Final = {"where": [True, False]}
_IGNORED: Final = -100

SPECIALS: Final = (
    Special("softmax", [-_INF, -_INF], [_NAN, _NAN]),
    Special("softmax", [_INF, 0.0], [_NAN, _NAN]),
    Special("softmax", [_NAN, -_INF, 0.0], [_NAN, _NAN, _NAN]),
    Special("softmax", [_INF, _NAN], [_NAN, _NAN]),
    Special("softmax", [0.0, -_INF], [1.0, 0.0]),
    Special("softmax", [], []),
    Special("softmax", [5.0, 7.0], [0.0, 0.0], arguments=_NONE),
    Special("softmax", [5.0, _NAN], [1.0, 0.0], arguments=_FIRST),
    Special("softmax", [1, 2, 0], None, "uint8"),
    Special("softmin", [_INF, 0.0], [0.0, 1.0]),
    Special("log_softmax", [-_INF, -_INF], [_NAN, _NAN]),
    Special("log_softmax", [_INF, 0.0], [_NAN, _NAN]),
    Special("log_softmax", [_NAN, -_INF], [_NAN, _NAN]),
    Special("log_softmax", [0.0, -_INF], [0.0, -_INF]),
    Special("log_softmax", [5.0, 7.0], [-_INF, -_INF], arguments=_NONE),
    Special("log_softmax", [1, 2, 0], None, "uint8"),
    Special("logsumexp", [-_INF, -_INF], -_INF),
    Special("logsumexp", [_INF, 0.0], _INF),
    Special("logsumexp", [_INF, -_INF], _INF),
    Special("logsumexp", [_NAN, _INF], _NAN),
    Special("logsumexp", [], -_INF),
    Special("logsumexp", [5.0, 7.0], -_INF, arguments=_NONE),
    Special("logsumexp", [5.0, _NAN], 5.0, arguments=_FIRST),
    Special("cross_entropy", [20.0, 0.0], None, target=0),
    Special("cross_entropy", [1, 2, 0], None, "uint8", target=1),
    Special("cross_entropy", [-_INF, 0.0], _INF, target=0),
    Special("cross_entropy", [-_INF, -_INF], _NAN, target=0),
    Special("cross_entropy", [_INF, 0.0], _NAN, target=0),
    Special("cross_entropy", [_NAN, 0.0], _NAN, target=1),
    Special("cross_entropy", [_NAN, _INF], 0.0, target=_IGNORED),
    Special("cross_entropy", [5.0, 7.0], _NAN, arguments={"reduction": "mean"}, target=_IGNORED),
    Special("cross_entropy", [5.0, 7.0], 0.0, arguments={"reduction": "sum"}, target=_IGNORED),
    Special("cross_entropy", [5.0, -_INF], 0.0, target=[1.0, 0.0]),
    Special("cross_entropy", [5.0, -_INF], _INF, arguments={"label_smoothing": 0.1}, target=0),
    Special("cross_entropy_grad", [20.0, 0.0], None, target=0),
    Special("cross_entropy_grad", [-_INF, 0.0], [-1.0, 1.0], target=0),
    Special("cross_entropy_grad", [_INF, 0.0], [_NAN, _NAN], target=1),
    Special("cross_entropy_grad", [_NAN, _INF], [0.0, 0.0], target=_IGNORED),
    Special("cross_entropy_grad", [5.0, 7.0], [0.0, 0.0], arguments={"reduction": "mean"}, target=_IGNORED),
)


@dataclass(frozen=True)
class SpecialResult:
    """What everyone made of one special row, in words; normexp, the first, is held against the contract."""

    title: str
    expected: str
    got: dict[str, str]
    failure: str

    @property
    def passed(self) -> bool:
        """Whether normexp gave what its contract says, in every format."""
        return not self.failure

    def document(self) -> dict[str, Any]:
        """Return this row for the JSON file."""
        return {"case": self.title, "expected": self.expected, "got": self.got, "passed": self.passed}


def check(special: Special, ours: Implementation, peers: Sequence[Implementation]) -> SpecialResult:
    """Try one special row on everyone: normexp in every format, the peers in the first and without a mask."""
    dtypes = [np.dtype(special.dtype)] if special.dtype else list(DTYPES.values())
    failures = [failure for dtype in dtypes if (failure := _failure(special, ours, dtype))]
    first = np.array(special.row, dtype=dtypes[0])
    got = {ours.name: _said(special, ours, first)}
    for peer in peers:
        # `where` is normexp's own.
        got[peer.name] = "-" if "where" in special.arguments else _said(special, peer, first)
    return SpecialResult(special.title, numbers(_expected(special)), got, failures[0] if failures else "")


def _expected(special: Special) -> list[arb]:
    if special.expected is None:
        of_target = () if special.target is None else (special.target,)
        exact = getattr(oracle, special.function)(special.row, *of_target)
        return exact if isinstance(exact, list) else [exact]
    return [arb(float(value)) for value in np.atleast_1d(special.expected)]


def _call(special: Special, implementation: Implementation, x: Array) -> Array:
    if special.target is not None:
        target = np.array([special.target])
        if target.ndim > 1:
            target = target.astype(x.dtype)
        result = implementation.loss(special.function, x[None], target, **special.arguments)
        return result[0] if result.ndim > 1 else np.atleast_1d(result)
    if not special.arguments:
        return np.atleast_1d(implementation(special.function, x))
    where = np.array(special.arguments["where"])
    return np.atleast_1d(getattr(normexp, special.function)(x, where=where))


def failure(
    special: Special, implementation: Implementation, dtype: np.dtype, bounds: Mapping[str, float] = BOUNDS
) -> str:
    """Return what is wrong with an answer, or nothing; what it raises goes on."""
    got = _call(special, implementation, np.array(special.row, dtype=dtype))
    expected = _expected(special)
    # Integers count as numbers of some floating-point format; a special value is met exactly.
    kind = got.dtype if special.dtype else dtype
    if got.dtype == kind and kind.name in bounds and got.shape == (len(expected),):
        allowed = bounds[kind.name] if special.expected is None else 0.0
        if max_ulp(got, expected) <= allowed:
            return ""
    return f"{special.title}, {dtype}: {got.dtype} {numbers(got.ravel())} instead of {numbers(expected)}"


def _failure(special: Special, ours: Implementation, dtype: np.dtype) -> str:
    """Return what is wrong with normexp's answer, or nothing; anything raised is wrong, and integers give float64."""
    try:
        only = {"float64": BOUNDS["float64"]} if special.dtype else BOUNDS
        return failure(special, ours, dtype, only)
    except Exception as error:
        return f"{special.title}, {dtype}: raised {error!r}"


def _said(special: Special, implementation: Implementation, x: Array) -> str:
    try:
        return numbers(_call(special, implementation, x))
    except UnsupportedError:
        return "-"
    except Exception as error:  # a peer may refuse such a row in any way it likes
        return f"raises {type(error).__name__}"
