"""A softmax in float64, rounded once, and ten faults to put into it."""

import numpy as np


def wrong(**faults):
    """A softmax or logsumexp in float64, rounded once, with special values as PyTorch has them; and faults in it."""

    def function(x, temperature=1.0):
        kind = x.dtype if x.dtype.kind != "u" else np.float64
        y = x.astype(np.float64) / (1.0 if faults.get("cold") else temperature)
        if y.shape[-1] == 0:
            return x
        with np.errstate(all="ignore"):
            m = faults.get("max", lambda y: y.max(axis=-1, keepdims=True))(y)
            exps = np.exp(y - m)
            p = exps / faults.get("sum", lambda e: e.sum(axis=-1, keepdims=True))(exps)
        return faults.get("after", lambda p, y: p)(p, y).astype(kind)

    return function


def wrong_logsumexp(x):
    """Infinities are infinite, as they should be, but ties are counted once."""
    y = x.astype(np.float64)
    if y.shape[-1] == 0:
        return np.full(x.shape[:-1], -np.inf, x.dtype)
    return np.array([np.logaddexp.reduce(np.unique(row)) for row in y]).astype(x.dtype)


def in_float16(exps):
    return np.cumsum(exps, axis=-1, dtype=np.float16)[..., -1:].astype(np.float64)


def last_block_left_out(exps):
    return exps[..., : max(1, exps.shape[-1] // 64 * 64)].sum(axis=-1, keepdims=True)


def twice_where_equal(exps):
    return np.stack([(row * (1 + (np.isclose(row, row.max()).sum() > 1) * (row == row.max()))).sum(keepdims=True)
                     for row in exps])  # fmt: skip


def no_nan(p, y):
    return np.where(np.isnan(y).any(axis=-1, keepdims=True), np.nan_to_num(p), p)


def zero_where_masked(p, y):
    return np.where(np.isneginf(y).all(axis=-1, keepdims=True), 0.0, p)


FAULTS = {
    "no shift": ({"max": lambda y: np.zeros_like(y[..., :1])}, "spread x1000"),
    "wrong axis": ({"sum": lambda e: e.sum(axis=0, keepdims=True)}, "spread x1"),
    "missing keepdims": ({"sum": lambda e: e.sum(axis=-1)}, "spread x1"),
    "accumulated in float16": ({"sum": in_float16}, "every length to 130"),
    "one short at the end": ({"sum": lambda e: e[..., : max(1, e.shape[-1] - 1)].sum(-1, keepdims=True)}, "spread x1"),
    "NaN dropped by max": (
        {"max": lambda y: np.fmax.reduce(y, axis=-1, keepdims=True), "after": no_nan},
        "special values",
    ),
    "a row of -inf made 0": ({"after": zero_where_masked}, "special values"),
    "temperature forgotten": ({"cold": True}, "temperatures"),
    "last block left out": ({"sum": last_block_left_out}, "every length to 130"),
    "ties counted twice": ({"sum": twice_where_equal}, "ties"),
}
# The reference is off by the rounding of float64, once x - max is done: the rest is float32's own half unit.
ENOUGH = 0.51
