"""The same arithmetic a second time, with mpmath: each operation exactly, then rounded by the definition."""

from __future__ import annotations

import ml_dtypes
import mpmath
import numpy as np
from mpmath import mpf


def precise(x):
    return mpf(float(x))


def rounded(value, dtype):
    """The number of the format next to an exact one, ties to even."""
    info = ml_dtypes.finfo(dtype)
    if mpmath.isnan(value) or mpmath.isinf(value) or value == 0:
        return float(value)
    exponent = max(mpmath.frexp(value)[1] - 1, int(info.minexp)) - int(info.nmant)
    whole = mpmath.nint(mpmath.ldexp(value, -exponent))
    if abs(whole) >= mpf(2) ** (int(info.maxexp) - exponent):
        return float("inf") if value > 0 else float("-inf")
    return float(mpmath.ldexp(whole, exponent))


def routes(x, dtype):
    """All three routes on finite logits whose exponentials neither overflow nor vanish all at once."""

    def r(values):
        return [rounded(value, dtype) for value in values]

    def total(values):
        s = values[0]
        for value in values[1:]:
            s = rounded(mpf(s) + mpf(value), dtype)
        return s

    e = r(mpmath.exp(precise(v)) for v in x)
    d = r(precise(v) - precise(max(x)) for v in x)
    f = r(mpmath.exp(mpf(v)) for v in d)
    s, t = total(e), total(f)
    log_t = rounded(mpmath.log(mpf(t)), dtype)
    log_p = r(mpf(v) - mpf(log_t) for v in d)
    p = {
        "naive": r(mpf(v) / mpf(s) for v in e),
        "shifted": r(mpf(v) / mpf(t) for v in f),
        "log": r(mpmath.exp(mpf(v)) for v in log_p),
    }
    logs = {
        "naive": r(mpmath.log(mpf(v)) if v else mpf("-inf") for v in p["naive"]),
        "shifted": r(mpmath.log(mpf(v)) if v else mpf("-inf") for v in p["shifted"]),
        "log": log_p,
    }
    return {
        "exp": {"naive": e},
        "shift": {"shifted, log": d},
        "exp_shift": {"shifted, log": f},
        "p": p,
        "log_p": logs,
        "sums": (s, t, log_t),
    }


def exact(x, temperature, target):
    """By the definitions, to a thousand digits."""
    z = [precise(v) / precise(temperature) for v in x]
    e = [mpmath.exp(v) for v in z]
    s = mpmath.fsum(e)
    p = [v / s for v in e]
    y = [int(i == target) for i in range(len(x))]
    inner = [mpmath.exp(v) for v in p]
    q = [v / mpmath.fsum(inner) for v in inner]
    g = [a - b for a, b in zip(q, y, strict=True)]
    mean = mpmath.fsum(a * b for a, b in zip(p, g, strict=True))
    return {
        "exp": e,
        "shift": [v - max(z) for v in z],
        "exp_shift": [mpmath.exp(v - max(z)) for v in z],
        "p": p,
        "log_p": [mpmath.log(v) for v in p],
        "grad": [a - b for a, b in zip(p, y, strict=True)],
        "twice": [a * (b - mean) for a, b in zip(p, g, strict=True)],
        "sum": s,
        "loss": -mpmath.log(p[target]),
        "loss after a softmax": -mpmath.log(q[target]),
        "entropy": -mpmath.fsum(v * mpmath.log(v) for v in p),
        "logsumexp": mpmath.log(s),
    }


def rows(dtype, count=6):
    """Rows of this format that keep the naive route alive."""
    rng = np.random.default_rng(5)
    for spread in (0.5, 2.0, 4.0) if dtype.name == "float16" else (0.5, 5.0, 30.0):
        for size in rng.integers(2, 12, count // 3):
            yield (rng.normal(size=size) * spread).astype(np.float32).astype(dtype)
