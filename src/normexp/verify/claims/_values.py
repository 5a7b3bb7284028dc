"""Claims A1 to A5: what values softmax takes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from flint import arb, ctx

from normexp.verify import oracle
from normexp.verify.claims._trial import Trial, threshold
from normexp.verify.contract import BOUNDS
from normexp.verify.peers import Implementation, naive
from normexp.verify.words import exact, number, numbers

NARROW: Final = np.array([-0.5, -0.2, 0.0, 0.2, 0.5])
MIDDLE: Final = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
WIDE: Final = np.array([-5.0, -2.0, 0.0, 2.0, 5.0])
EXTREME: Final = np.array([-1000.0, -200.0, 0.0, 200.0, 1000.0])

# exp of anything in +-700 is a normal float64.
_EXP_RANGE: Final = 700.0

# The longest row of the project's bars.
_FOUR_MILLION: Final = 1 << 22


def probabilities(t: Trial) -> str:
    """Try A1: exactly between 0 and 1? In floating point? The sum, for four million logits?"""
    for row in t.rows(50):
        p = oracle.softmax(row)
        with ctx.workprec(128):
            t.require(all(0 < v < 1 for v in p), f"exact values lie in (0, 1): {numbers(row)}")
            t.require(sum(p, arb(0)).contains(1), f"exact values sum to 1: {numbers(row)}")
    three = t.three("softmax", EXTREME)
    t.refute(
        f"softmax({numbers(EXTREME)}) in float64 has an exact 0 (the value is {exact(three.exact[0])}) and an exact 1",
        three.normexp[0] == 0 and three.exact[0] > 0 and three.normexp[4] == 1 and three.exact[3] > 0,
    )
    lonely = oracle.softmax([3.0])[0]
    t.refute("softmax([3]) is exactly 1: a single logit has all of it", lonely == 1)

    def gaps(implementation: Implementation) -> str:
        def value(g: Any, index: int) -> float:  # noqa: ANN401 - a NumPy scalar
            return float(implementation("softmax", np.array([0, -g], dtype=np.float32))[index])

        zero = threshold(lambda g: value(g, 1) == 0, 1, 200, np.float32)
        one = threshold(lambda g: value(g, 0) == 1, 1, 200, np.float32)
        return f"{zero:.2f}, {one:.2f}"

    # 1 / (1 + e^g) is half the smallest subnormal, 2^-150; e^g / (1 + e^g) is half a unit below 1, 1 - 2^-25.
    boundaries = [exact((arb(2) ** bits - 1).log(), 5) for bits in (150, 25)]
    found = gaps(t.ours)
    theirs = gaps(t.torch) if t.torch else None
    t.show("gaps from which float32 rounds to 0 and to 1", found, theirs, ", ".join(boundaries))

    x = t.rng.normal(size=_FOUR_MILLION).astype(np.float32)
    ours = _sum(t.ours, x)
    # Each value is off by BOUNDS units at most, a unit being at most 2^-23 of the value; so then is the sum.
    bound = BOUNDS["float32"] * 2.0**-23
    t.require(abs(ours - 1) <= bound, f"normexp's values sum to 1 within {number(bound)}, not to {ours:.9f}")
    theirs = f"{_sum(t.torch, x):.9f}" if t.torch else None
    t.show("sum of the softmax of 4 million normal logits, float32", f"{ours:.9f}", theirs, "1")
    return (
        "for two or more finite logits the exact values lie in (0, 1) and sum to 1; in floating point the interval is "
        f"closed (float32: 0 from a gap of {boundaries[0]}, 1 from {boundaries[1]}) and the sum is 1 only to rounding"
    )


def _sum(implementation: Implementation, x: np.ndarray[Any, Any]) -> float:
    return float(implementation("softmax", x).sum(dtype=np.float64))


def naive_agrees(t: Trial) -> str:
    """Try A2: the article's figures, then the largest difference where no exponential overflows."""
    three = t.three("softmax", NARROW)
    t.figures([0.1145, 0.1546, 0.1888, 0.2307, 0.3114], three.exact, 4)
    t.notes.append(f"naive NumPy code: {numbers(naive(NARROW))}")
    if t.torch is None:
        t.unchecked = "PyTorch is missing"
        return ""
    widest = 0.0
    for spread in (1.0, 10.0, 100.0):
        for row in t.rows(100, spread):
            x = np.clip(row, -_EXP_RANGE, _EXP_RANGE)
            one, other = naive(x), t.torch("softmax", x)
            widest = max(widest, float(np.max(np.abs(one / other - 1))))
    # Each is within n + 2 max|x| rounding errors of 2^-53 of the exact value (Blanchard, Higham and Higham 2021).
    t.require(widest <= 4 * (_EXP_RANGE + 30) * 2.0**-53, f"they agree to 12 digits, not to {number(widest)}")
    if widest:
        t.bound = f"{number(widest, 2)} of the value"
    agree = f"to {t.bound}" if t.bound else "bit for bit"
    return f"in float64 they agree {agree} while no exponential overflows or underflows; then see B1"


def polarizes(t: Trial) -> str:
    """Try A3: scaling a row up, and rows that are wider without being scaled."""
    t.three("softmax", NARROW)
    t.three("softmax", MIDDLE)
    t.figures([0.0, 0.0009, 0.0064, 0.0471, 0.9456], t.three("softmax", WIDE).exact, 4)
    for row in t.rows(50):
        for scale in (1.5, 4.0):
            # Powers of two and their halves scale these rows of few bits without rounding.
            x = np.round(row * 64) / 64
            if x.max() == x.min():
                continue
            before, after = oracle.softmax(x), oracle.softmax(scale * x)
            top, bottom = int(x.argmax()), int(x.argmin())
            t.require(
                after[top] > before[top] and after[bottom] < before[bottom],
                f"scaling by {scale} raises the largest value and lowers the smallest: {numbers(x)}",
            )
            ours = [t.ours("softmax", y) for y in (x, scale * x)]
            t.require(ours[1].max() >= ours[0].max(), f"normexp's largest value does not fall: {numbers(x)}")
    for _ in range(1000):
        narrow, wide = t.rng.integers(-3, 4, size=(2, 4)).astype(float)
        p, q = oracle.softmax(narrow), oracle.softmax(wide)
        if np.ptp(wide) > np.ptp(narrow) and q[int(wide.argmax())] < p[int(narrow.argmax())]:
            one, other = (t.three("softmax", x).exact for x in (narrow, wide))
            largest = max(one), max(other)
            t.refute(
                f"{numbers(wide)} spans more than {numbers(narrow)}, yet its largest value is {exact(largest[1])} "
                f"and not above {exact(largest[0])}",
                largest[1] < largest[0],
            )
            break
    return (
        "scaling one row by c > 1 (temperature 1/c) raises its largest value and lowers its smallest, unless all are "
        "equal; a wider range alone does not"
    )


def signs(t: Trial) -> str:
    """Try A4: the same gaps with other signs, and the bounds that do hold."""
    negative, positive = (t.three("softmax", [a, b]) for a, b in ((-5.0, -4.0), (5.0, 6.0)))
    same = all(a.overlaps(b) for a, b in zip(negative.exact, positive.exact, strict=True))
    t.refute(
        f"softmax([-5, -4]) and softmax([5, 6]) are the same {numbers(positive.exact)}",
        same and positive.exact[0] < arb(0.5) < negative.exact[1],
    )
    far = t.three("softmax", [500.0, 600.0]).exact[0], t.three("softmax", [-500.0, -400.0]).exact[1]
    t.refute(
        f"in softmax([500, 600]) a large positive input gives {exact(far[0])}, in softmax([-500, -400]) a large "
        "negative one gives 1, less as little",
        far[0] < 1e-40 and far[1] > 1 - arb(10) ** -9,
    )
    for row in t.rows(50, spread=20.0):
        p, m = oracle.softmax(row), arb(float(row.max()))
        with ctx.workprec(128):
            for v, x in zip(p, row.tolist(), strict=True):
                limit = (arb(x) - m).exp()
                inside = v <= limit or v.overlaps(limit)
                t.require(inside and v >= limit / len(row), f"e^-g / n <= softmax_i <= e^-g: {numbers(row)}")
    return (
        "only differences count: with g_i = max x - x_i, softmax_i lies between e^(-g_i) / n and e^(-g_i); "
        "what polarizes is the gap (or 1 / temperature), whatever the signs"
    )


def spreads(t: Trial) -> str:
    """Try A5: rows scaled up, with one maximum and with several."""
    for scale in (1.0, 10.0, 100.0):
        t.three("softmax", scale * MIDDLE)
    for row in t.rows(50):
        top, second = np.sort(row)[[-1, -2]]
        # The second then is at least 100 below the maximum.
        p = oracle.softmax(row * (100 / (top - second)))
        t.require(
            p[int(row.argmax())] > 1 - arb(10) ** -9 and p[int(row.argmin())] < 1e-40,
            f"a single maximum tends to 1, the minimum to 0: {numbers(row)}",
        )
    for scale in (1.0, 1000.0):
        tied = t.three("softmax", [scale, scale, -scale]).exact[0]
        t.refute(
            f"softmax([{scale:g}, {scale:g}, {-scale:g}])_0 is {exact(tied)}: two tied maxima share",
            scale == 1000 and tied > 0 and abs(tied - arb(0.5)) < 1e-9,
        )
    equal = t.three("softmax", [1e6, 1e6]).exact[0]
    t.refute("softmax([1e6, 1e6]) is [1/2, 1/2]: a common offset is no spread", abs(equal - arb(0.5)) < 1e-30)
    return (
        "as a row is scaled up, k tied maxima tend to 1/k each and everything below them to 0; "
        "equal logits stay at 1/n, whatever their common offset"
    )
