"""Claims B1 to C1: overflow and underflow of the three forms."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np
from flint import arb, ctx

from normexp.verify import oracle
from normexp.verify.claims._trial import Trial, threshold
from normexp.verify.claims._values import EXTREME
from normexp.verify.contract import BOUNDS
from normexp.verify.measure import max_ulp
from normexp.verify.peers import Array, Implementation, naive, shifted
from normexp.verify.words import exact, number, numbers

_NAN: Final = math.nan


def naive_overflows(t: Trial) -> str:
    """Try B1: the article's row in float64 and float32, and where it begins."""
    t.three("softmax", EXTREME)
    for dtype, given in ((np.float64, [0, 0, 0, 0, _NAN]), (np.float32, [0, 0, 0, _NAN, _NAN])):
        got = naive(EXTREME.astype(dtype))
        t.notes.append(f"naive code in {dtype.__name__}: {numbers(got)}")
        t.refute(f"naive {dtype.__name__} code gives {numbers(got)}", not np.array_equal(got, given, equal_nan=True))
    limits = []
    for dtype in (np.float64, np.float32):
        first = threshold(lambda x: bool(np.isnan(naive(np.array([x, 0], x.dtype))[0])), 1, 2000, dtype)
        # exp overflows where its value is beyond the largest number by half a unit; the logarithm hardly knows.
        boundary = math.log(float(np.finfo(dtype).max))
        t.require(abs(first - boundary) < 1e-5, f"naive code gives NaN from {boundary}, not from {first}")
        limits.append(f"{first:.2f} in {dtype.__name__}")
    return f"one logit above {' or '.join(limits)} makes exp infinite, and inf / inf is NaN"


def naive_underflows(t: Trial) -> str:
    """Try B2: the denominator of a row that sinks, and what is left when it is 0."""
    row = np.array([-1000.0, -1000.0])
    t.three("softmax", row)
    t.notes.append(f"naive code in float64: {numbers(naive(row))}")
    sums = [float(np.exp(np.array([c, c])).sum()) for c in (-10.0, -100.0, -700.0, -740.0, -1000.0)]
    t.notes.append(f"its denominators at -10, -100, -700, -740, -1000: {', '.join(number(s) for s in sums)}")
    falls = all(a > b for a, b in itertools.pairwise(sums)) and sums[-1] == 0
    t.refute("the denominator does not fall to 0", not falls)
    t.refute("0 / 0 is not NaN", not np.isnan(naive(row)).all())
    first = threshold(lambda x: bool(np.isnan(naive(np.array([-x, -x]))[0])), 1, 2000, np.float64)
    # exp(-x) rounds to 0 below half the smallest subnormal number, 2^-1075.
    boundary = 1075 * math.log(2)
    t.require(abs(first - boundary) < 0.01, f"the denominator is 0 from {boundary:.2f} downwards, not from {first:.2f}")
    return f"it is exactly 0 once all float64 logits are below {-first:.2f}, and 0 / 0 is NaN"


def shift_invariance(t: Trial) -> str:
    """Try B3: shifts that lose no digit, then one that does."""
    for row in t.rows(50, spread=10.0):
        # Multiples of 1/16 below 2^19: x + 4096 is exact in float32.
        x = (np.round(row * 16) / 16).astype(np.float32)
        for c in (-4096.0, float(x.max()), 1e300):
            shifted_exactly = _softmax_of_sums(x, c)
            same = all(a.overlaps(b) for a, b in zip(oracle.softmax(x), shifted_exactly, strict=True))
            t.require(same, f"exact softmax(x + {c:g}) is softmax(x): {numbers(x)}")
        exact = oracle.softmax(x)
        for c in (0, 4096):
            error = max_ulp(t.ours("softmax", x + np.float32(c)), exact)
            t.require(
                error <= BOUNDS["float32"], f"normexp: softmax(x + {c}) is {error:.2f} ULP off softmax(x): {numbers(x)}"
            )
    x = np.array([0.1, 0.9], dtype=np.float32)
    t.three("softmax", x)
    t.three("softmax", x + np.float32(1e8), "softmax([0.1, 0.9] + 1e8), the sum rounded to float32")
    return (
        "softmax(x + c) = softmax(x); in floating point too wherever x + c is exact, and what is lost otherwise is "
        "lost in adding c, not in the softmax"
    )


def _softmax_of_sums(x: Array, c: float) -> list[arb]:
    """Softmax of x + c by definition, in exact arithmetic: exponentials of the sums, unshifted."""
    # 1100 bits hold the sum of any float32 and 1e300 exactly.
    with ctx.workprec(1200):
        exps = [(arb(v) + arb(c)).exp() for v in x.tolist()]
        total = sum(exps, arb(0))
        return [e / total for e in exps]


def shifted_is_safe(t: Trial) -> str:
    """Try B4: finite rows up to the largest numbers, then rows that are not finite, then many terms in float16."""
    for spread in (1.0, 1e3, 1e307):
        for row in t.rows(30, spread):
            with np.errstate(over="ignore"):  # x - max may pass the largest number, and exp of that is 0, rightly
                exps = np.exp(row - row.max())
            fine = exps.max() == 1 and 1 <= exps.sum() <= len(row)
            t.require(bool(fine), f"every exponential is in [0, 1] and their sum in [1, n]: {numbers(row)}")
    for infinite in ([math.inf, 0.0], [-math.inf, -math.inf]):
        got = t.three("softmax", infinite)
        t.refute(
            f"softmax({numbers(infinite)}) is NaN: the shift is inf - inf",
            bool(np.isnan(_shifted(np.array(infinite))).all() and np.isnan(got.normexp).all()),
        )
    least = threshold(lambda n: _float16_sum(int(n)) == math.inf, 1000, 200_000, np.float32)
    zeros = np.zeros(int(least), dtype=np.float16)
    three = t.three("softmax", zeros, f"softmax of {zeros.size} zeros, float16")
    t.refute(
        f"{zeros.size} equal float16 logits: the sum of their exponentials is inf in float16, so that the shifted form "
        f"gives {numbers(_shifted(zeros)[:1])} for {exact(three.exact[0])}",
        _float16_sum(zeros.size) == math.inf and _shifted(zeros)[0] == 0,
    )
    return (
        "for finite logits every exponential is in [0, 1] and the sum in [1, n]: it overflows only where n exceeds the "
        f"largest number of the format that holds the sum (float16: from {zeros.size} terms)"
    )


def _shifted(x: Array) -> Array:
    with np.errstate(all="ignore"):
        return shifted("softmax", x)


def _float16_sum(count: int) -> float:
    with np.errstate(over="ignore"):
        return float(np.ones(count, dtype=np.float16).sum())


def shifted_underflows(t: Trial) -> str:
    """Try B5: a gap that rounds to 0, and the gap where that begins in each format."""
    row = np.array([0.0, -1000.0])
    three = t.three("softmax", row)
    zero = bool(_shifted(row)[1] == 0 and three.exact[1] > 0)
    t.refute("the shifted form does not underflow", not zero)
    # That 0 is no fault: the value is nearer to it than to any other number.
    t.require(max_ulp(three.normexp, three.exact) <= 0.5, "0 is the correct rounding")
    begins = []
    for dtype in (np.float16, np.float32, np.float64):

        def underflows(g: Any) -> bool:  # noqa: ANN401 - a NumPy scalar
            return bool(_shifted(np.array([0, -g], dtype=g.dtype))[1] == 0)

        begins.append(f"{threshold(underflows, 1, 2000, dtype):.2f} in {dtype.__name__}")
    return f"from a gap of {', '.join(begins)} the value itself is below half the smallest number: 0 is its rounding"


def log_softmax_is_safe(t: Trial) -> str:
    """Try C1: differences beyond the largest number, values near 0, and values too near 0 for the format."""
    half = t.three("log_softmax", np.array([60000, -60000], dtype=np.float16))
    t.refute(
        f"log_softmax([60000, -60000])_1 in float16 is {number(half.normexp[1])}, exactly {exact(half.exact[1])}: "
        "differences of finite logits overflow",
        bool(np.isinf(half.normexp[1])) and half.exact[1].is_finite(),
    )
    x = np.array([20, 0], dtype=np.float32)
    near = t.three("log_softmax", x)
    textbook = shifted("log_softmax", x)[0]
    t.refute(
        f"log_softmax([20, 0])_0 is {exact(near.exact[0])}; form (3) in float32 gives {number(textbook)}",
        textbook == 0 and near.exact[0] < 0,
    )

    def begins(implementation: Implementation) -> float:
        def lost(g: Any) -> bool:  # noqa: ANN401 - a NumPy scalar
            return bool(implementation("log_softmax", np.array([g, 0], dtype=np.float32))[0] == 0)

        return threshold(lost, 1, 300, np.float32)

    form = threshold(lambda g: bool(shifted("log_softmax", np.array([g, 0], g.dtype))[0] == 0), 1, 300, np.float32)
    ours, theirs = begins(t.ours), f"{begins(t.torch):.2f}" if t.torch else None
    # log(1 + e^-g) is half the smallest subnormal number, 2^-150.
    boundary = -(arb(2) ** -150).expm1().log()
    t.show("gap from which log_softmax([g, 0])_0 is 0, float32", f"{ours:.2f}", theirs, exact(boundary, 5))
    tiny = t.three("log_softmax", np.array([105, 0], dtype=np.float32))
    t.refute(
        f"log_softmax([105, 0])_0 is {exact(tiny.exact[0])}, below every float32: even its correct rounding is 0",
        tiny.normexp[0] == 0 and tiny.exact[0] < 0 and max_ulp(tiny.normexp, tiny.exact) <= 0.5,
    )
    for gap in np.linspace(0.5, 100, 60).astype(np.float32):
        row = np.array([gap, 0], dtype=np.float32)
        t.require_accurate(t.ours("log_softmax", row), oracle.log_softmax(row), f"log_softmax([{gap:g}, 0])")
    return (
        "it overflows where a difference of logits exceeds the largest number; near 0 the textbook form loses all "
        f"digits from a gap of {form:.2f} in float32, and log1p keeps them up to {ours:.2f}, where the value itself "
        "underflows"
    )
