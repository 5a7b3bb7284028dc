"""Print digests of the bits of many results, as JSON: run by test_levels.py once for each CPU level."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from typing import Any

import numpy as np
from losses.problems import LOSSES, distributions, labels
from support import DTYPES, FUNCTIONS, MAPS, bits, largest, smallest

import normexp
from normexp import _engine

INF, NAN = math.inf, math.nan
digests: defaultdict[str, Any] = defaultdict(hashlib.sha256)


def record(section: str, result: Any) -> None:
    """Add the result's bits, all NaNs alike, to the section's digest."""
    result = np.asarray(result)
    digests[section].update(repr((result.shape, result.dtype.name)).encode() + bits(result).tobytes())


def ordinary(rng: np.random.Generator, name: str, kind: str) -> None:
    """Lengths around every block and register, spreads, offsets."""
    for length in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 1000, 2047, 2049, 4097, 50_001):
        for spread, offset in ((1, 0), (10, 1e3), (100, 0), (1000, -1e4)):
            x = (rng.standard_normal((3, length)) * spread + offset).astype(DTYPES[kind])
            record(f"{name} {kind} rows", FUNCTIONS[name](x))
            record(f"{name} {kind} masked", FUNCTIONS[name](x, where=rng.random(x.shape) < 0.6))
            if name != "logsumexp":
                record(f"{name} {kind} temperature", FUNCTIONS[name](x, temperature=0.7))


def layouts(rng: np.random.Generator, name: str, kind: str) -> None:
    """Columns, strides, several axes, one long row, in place."""
    x = (rng.standard_normal((37, 41, 19)) * 5).astype(DTYPES[kind])
    for axis in (0, 1, 2, (0, 2), (1, 2), None):
        record(f"{name} {kind} axes", FUNCTIONS[name](x, axis=axis))
        record(f"{name} {kind} strides", FUNCTIONS[name](x[::-2, ::3, ::-1], axis=axis))
    record(f"{name} {kind} many short rows", FUNCTIONS[name](x.reshape(-1, 19)[:, :10]))
    record(f"{name} {kind} one long row", FUNCTIONS[name]((rng.standard_normal(1_000_003) * 5).astype(DTYPES[kind])))
    if name in MAPS:
        record(f"{name} {kind} in place", FUNCTIONS[name](x, out=x))


def special(name: str, kind: str) -> None:
    """Infinities, NaN, subnormal and huge numbers, certainty, cancellation."""
    dtype = DTYPES[kind]
    top, tiny = largest(dtype), smallest(dtype)
    rows = [[0, -gap, 0.5 - gap] for gap in range(0, 760, 3)]
    rows += [
        [INF, 1, 2],
        [-INF, 1, 2],
        [NAN, 1, -INF],
        [-INF] * 3,
        [INF, -INF, 0],
        [top, -top, 0],
        [top] * 3,
        [-top] * 3,
    ]
    rows += [
        [tiny, 0, -tiny],
        [20, 0, 0],
        [-0.0, 0.0, -0.0],
        [-math.log(3)] * 3,
        [-1e-17, -50, -60],
        [math.log(1 / 2)] * 3,
    ]
    x = np.array(rows).astype(dtype)
    record(f"{name} {kind} special", FUNCTIONS[name](x))
    record(f"{name} {kind} special", FUNCTIONS[name](np.ascontiguousarray(x.T), axis=0))
    for row in x:
        record(f"{name} {kind} special alone", FUNCTIONS[name](np.tile(row, 33)))


def stream(rng: np.random.Generator, kind: str) -> None:
    """LogSumExp in blocks and merged; logsumexp of log-probabilities."""
    x = (rng.standard_normal((5, 3000)) * 5).astype(DTYPES[kind])
    states = [normexp.LogSumExp().update(block) for block in np.split(x, [1, 10, 700, 2999], axis=1)]
    for state in states[1:]:
        record(f"LogSumExp {kind}", states[0].merge(state).value)
    for length in (2, 3, 10, 100, 1000):
        record(f"cancelling {kind}", normexp.logsumexp(np.log(rng.dirichlet(np.ones(length), 50)).astype(DTYPES[kind])))


def evaluation(rng: np.random.Generator, kind: str) -> None:
    """The sums of an evaluation, over few classes and many."""
    for classes in (1, 3, 10, 33, 100, 5000):
        x = (rng.standard_normal((37, classes)) * 5).astype(DTYPES[kind])
        x[:, ::7] -= np.arange(37)[:, None]
        target = rng.integers(classes, size=37)
        for sums in (_engine.evaluate(x, target, 2, temperature) for temperature in (0.2, 1.0, 3.0)):
            record(f"evaluation {kind}", np.hstack(sums))


def losses(rng: np.random.Generator, kind: str) -> None:
    """Losses, gradients and figures of rows: lengths, layouts, certainty, what cancels, what is no number."""
    dtype = DTYPES[kind]
    for name, function in LOSSES.items():
        section = "row_stats" if name.startswith("row ") else f"loss {name}"  # several integers are those of any dtype
        for length in (1, 2, 3, 7, 10, 16, 17, 33, 100, 1000, 2047, 2049, 4097):
            for rows, spread, offset in ((3, 1, 0), (37, 5, 1e3), (3, 100, 0)):
                x = (rng.standard_normal((rows, length)) * spread + offset).astype(dtype)
                record(f"{section} {kind} rows", function(x))
                record(f"{section} {kind} rows", function(np.ascontiguousarray(x.T), axis=0))
        x = (rng.standard_normal((7, 21, 19, 5)) * 5).astype(dtype)
        for axis in range(4):
            record(f"{section} {kind} axes", function(x, axis=axis))
            record(f"{section} {kind} strides", function(x[::-1, ::2, ::-3], axis=axis))
        record(f"{section} {kind} one long row", function((rng.standard_normal((1, 300_003)) * 5).astype(dtype)))
        gaps = np.array([[0, -gap, 0.5 - gap] for gap in range(0, 760, 3)]).astype(dtype)
        special = np.array([[INF, 1, 2], [-INF, 1, 2], [NAN, 1, -INF], [-INF] * 3, [-0.0, 0, -0.0]]).astype(dtype)
        top = largest(dtype) * np.array([[1, -1, 0], [1, 1, 1], [-1, -1, -1], [0.5, 0.25, 1]])
        for block in (gaps, special, top.astype(dtype)):
            record(f"{section} {kind} special", function(block))
            record(f"{section} {kind} special", [function(row[None]) for row in block])


def cancelling(rng: np.random.Generator, kind: str) -> None:
    """Gradients where softmax is nearly the target, and so in more digits."""
    for length in (2, 10, 100, 3000):
        x = (rng.standard_normal((20, length)) * 2).astype(DTYPES[kind])
        for target, options in (
            (normexp.softmax(x), {}),
            (labels(x), {"label_smoothing": 1.0}),
            (distributions(x), {}),
        ):
            near = np.log(np.full_like(x, 1 / length, dtype=float)).astype(x.dtype) if options else x
            result = normexp.cross_entropy_and_grad(near, target, reduction="none", **options)
            record(f"loss {kind} cancelling {'smoothed' if options else 'soft'}", result.grad)


if __name__ == "__main__":
    generator = np.random.default_rng(20)
    for one_kind in DTYPES:
        for one_name in FUNCTIONS:
            ordinary(generator, one_name, one_kind)
            layouts(generator, one_name, one_kind)
            special(one_name, one_kind)
        stream(generator, one_kind)
        evaluation(generator, one_kind)
        losses(generator, one_kind)
        cancelling(generator, one_kind)
    print(json.dumps({"level": normexp.show_config()["level"], **{key: d.hexdigest() for key, d in digests.items()}}))
