"""Print the constants of csrc/ (exp, single, steps, log1p and evaluate), with the error of each polynomial.

Remez exchange in 60-digit arithmetic. Run ``python tools/minimax.py`` (needs mpmath) and compare with the
constants in the headers; tests/test_constants.py does so, and measures what rounding the coefficients adds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from mpmath import cos, exp, log, log1p, lu_solve, matrix, mp, mpf, pi, sqrt, workprec

mp.dps = 60
Function = Callable[[mpf], mpf]


def remez(target: Function, weight: Function, low: mpf, high: mpf, terms: int) -> tuple[list[mpf], mpf]:
    """Minimax sum(c[k] r^k) for ``target`` on [low, high], minimizing the largest |weight * error|."""
    count = terms + 1
    nodes = [(low + high) / 2 - (high - low) / 2 * cos(pi * k / terms) for k in range(count)]
    # The middle one of three may be where the weight, and so the error, is 0: there is nothing to be learnt there.
    nodes = [x + (high - low) / 8 if low < x < high and weight(x) < mpf("1e-20") else x for x in nodes]
    grid = [low + (high - low) * k / 4000 for k in range(4001)]
    for _ in range(12):
        rows = [[x**k for k in range(terms)] + [(-1) ** i / weight(x)] for i, x in enumerate(nodes)]
        solution = lu_solve(matrix(rows), matrix([target(x) for x in nodes]))
        coefficients = [solution[k] for k in range(terms)]

        def error(x: mpf, c: list[mpf] = coefficients) -> mpf:
            return weight(x) * (sum(a * x**k for k, a in enumerate(c)) - target(x))

        values = [error(x) for x in grid]
        starts = [0] + [i for i in range(1, len(grid)) if values[i] * values[i - 1] < 0] + [len(grid)]
        peaks = [max(range(a, b), key=lambda i: abs(values[i])) for a, b in itertools.pairwise(starts)]
        exchanged = [grid[i] for i in peaks]
        if len(peaks) != count or exchanged == nodes:
            break
        nodes = exchanged
    return coefficients, max(abs(v) for v in values)


HALF_LN2 = log(2) / 2


def exp_narrow() -> tuple[list[mpf], mpf]:
    """(e^r - 1) / r on |r| <= ln(2)/2, relative to e^r / r: seven coefficients, c0 = 1 left exact."""
    return remez(
        lambda r: (exp(r) - 1) / r if r else mpf(1),
        lambda r: abs(r) / exp(r) if r else mpf("1e-30"),
        -HALF_LN2 * mpf("1.0001"),
        HALF_LN2 * mpf("1.0001"),
        7,
    )


def exp_single() -> tuple[list[mpf], mpf]:
    """(e^r - 1 - r) / r^2 on |r| <= 0.0226, relative to e^r / r^2, to degree 1."""
    return remez(
        lambda r: (exp(r) - 1 - r) / r**2 if abs(r) > mpf("1e-25") else mpf("0.5"),
        lambda r: r**2 / exp(r) if r else mpf("1e-30"),
        mpf("-0.0226"),
        mpf("0.0226"),
        2,
    )


def exp_brief() -> tuple[list[mpf], mpf]:
    """(e^r - 1) / r on |r| <= 0.0226, relative to e^r / r, to degree 1."""
    return remez(
        lambda r: (exp(r) - 1) / r if abs(r) > mpf("1e-25") else mpf(1),
        lambda r: abs(r) / exp(r) if r else mpf("1e-30"),
        mpf("-0.0226"),
        mpf("0.0226"),
        2,
    )


def exp_step() -> tuple[list[mpf], mpf]:
    """(e^r - 1 - r) / r^2 on |r| <= 0.0218, relative to e^r / r^2, to degree 5."""
    return remez(
        lambda r: (exp(r) - 1 - r) / r**2 if abs(r) > mpf("1e-25") else mpf("0.5"),
        lambda r: r**2 / exp(r) if r else mpf("1e-30"),
        mpf("-0.0218"),
        mpf("0.0218"),
        6,
    )


def powers(rounded: Callable[[mpf], float]) -> tuple[list[float], list[float]]:
    """2^(k/16) for k = 0 .. 15: rounded, and what that misses, relative to it, rounded again."""
    exact = [mpf(2) ** (mpf(k) / 16) for k in range(16)]
    firsts = [rounded(p) for p in exact]
    return firsts, [rounded(p / f - 1) for p, f in zip(exact, firsts, strict=True)]


def nearest_float(x: mpf) -> float:
    """``x`` in 24 bits."""
    with workprec(24):
        return float(+x)


def exp2_rough() -> tuple[list[mpf], mpf]:
    """(2^r - 1) / r on |r| <= 1/2, relative to 2^r / r, to degree 4."""
    return remez(
        lambda r: (mpf(2) ** r - 1) / r if abs(r) > mpf("1e-25") else log(2),
        lambda r: abs(r) / mpf(2) ** r if r else mpf("1e-30"),
        -mpf("0.5001"),
        mpf("0.5001"),
        5,
    )


def exp_wide() -> tuple[list[mpf], mpf]:
    """(e^r - 1 - r) / r^2 on |r| <= ln(2)/2, relative to e^r / r^2: c0 = c1 = 1 left exact."""
    return remez(
        lambda r: (exp(r) - 1 - r) / r**2 if abs(r) > mpf("1e-25") else mpf("0.5"),
        lambda r: r**2 / exp(r) if r else mpf("1e-30"),
        -HALF_LN2 * mpf("1.0001"),
        HALF_LN2 * mpf("1.0001"),
        11,
    )


def log_tail() -> tuple[list[mpf], mpf]:
    """(2 atanh(s) - 2 s) / s^3 as a polynomial in s^2, |s| <= (sqrt 2 - 1) / (sqrt 2 + 1)."""
    top = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * mpf("1.0001")

    def target(z: mpf) -> mpf:
        if z < mpf("1e-18"):
            return mpf(2) / 3 + 2 * z / 5
        s = sqrt(z)
        return (log1p(2 * s / (1 - s)) - 2 * s) / (s * z)

    return remez(target, lambda z: z / 2 if z else mpf("1e-30"), mpf(0), top, 7)


def exp_exact() -> list[tuple[float, float]]:
    """1/k! as unevaluated sums of two doubles."""
    factorial, out = mpf(1), []
    for k in range(25):
        factorial = factorial * k if k else mpf(1)
        high = float(1 / factorial)
        out.append((high, float(1 / factorial - mpf(high))))
    return out


def ln2_words() -> tuple[float, float, float]:
    """ln 2 = first + second + third; the first two have 40 bits, so n * word is exact for |n| < 2^13."""
    rest, words = log(2), []
    for _ in range(2):
        scale = mpf(2) ** (40 - int(mp.floor(log(rest, 2))) - 1)
        word = mp.floor(rest * scale) / scale
        words.append(float(word))
        rest -= word
    return words[0], words[1], float(rest)


if __name__ == "__main__":
    for name, (coefficients, error) in {
        "exp single": exp_single(),
        "exp brief": exp_brief(),
        "exp step": exp_step(),
        "exp narrow": exp_narrow(),
        "exp wide": exp_wide(),
        "exp2 rough": exp2_rough(),
        "log tail": log_tail(),
    }.items():
        print(f"{name}: error 2^{float(log(error, 2)):.1f}")
        print("    " + ", ".join(float(c).hex() for c in coefficients))
    for kind, rounded in ("floats", nearest_float), ("doubles", float):
        for name, values in zip(("2^(k/16)", "its rests"), powers(rounded), strict=True):
            print(f"{name} in {kind}: " + ", ".join(v.hex() for v in values))
    print("1/k! in two doubles")
    for high, low in exp_exact():
        print(f"    {{{high.hex()}, {low.hex()}}},")
    print("ln 2:", ", ".join(w.hex() for w in ln2_words()), " log2(e):", float(1 / log(2)).hex())
