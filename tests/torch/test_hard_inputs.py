"""Hard inputs beside exact values: our error keeps the contract, and is never larger than PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support import BOUND, eps, smallest

pytest.importorskip("torch")
pytest.importorskip("flint", reason="exact values come from python-flint")
import torch
from flint import arb, ctx
from torch_calls import PYTORCH

import normexp.torch as nxt
from normexp.verify import oracle
from normexp.verify.cases import DTYPES, FAMILIES, Case, Family
from normexp.verify.measure import Ruler
from normexp.verify.tensors import from_tensor, to_tensor

LONGEST = 3000  # longer rows are measured in places; exact values of their gradients take too long
GRID = [
    family
    for family in FAMILIES
    if "rows of" not in family.name and "a row of" not in family.name and family.name != "temperatures"
]
ROWS = 24  # of a case: exact arithmetic takes a few microseconds an element

Front = Any
Exact = list[arb]


@dataclass(frozen=True)
class Figure:
    """Something that both fronts compute of rows of logits, and its exact values."""

    compute: Callable[[Front, torch.Tensor, torch.Tensor], torch.Tensor]
    exact: Callable[[oracle.Row, np.ndarray, int], Exact]
    """Of a row, given its elements and its label."""
    contract: bool = True
    """Whether the accuracy contract speaks of it; else the ruler is the largest value of the row."""
    saved: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """How much the result can change, in roundings, if the softmax y that is saved for a backward pass is rounded."""


def direction(count: int) -> np.ndarray:
    """What the results of a row are multiplied by before they are added up: numbers that all dtypes have."""
    return ((np.arange(count) * 7) % 5 - 1.5) / 2


def pulled(front: Front, name: str, x: torch.Tensor, **options: Any) -> torch.Tensor:
    """The derivative of a function by the logits, from `direction`."""
    x = x.clone().requires_grad_()
    value = getattr(front, name)(x, 1, **options)
    g = torch.from_numpy(direction(x.shape[1])).to(x.dtype)
    return torch.autograd.grad(
        value, x, (g if value.ndim > 1 else torch.full((), 0.75, dtype=x.dtype)).expand_as(value)
    )[0]


def loss_gradient(front: Front, x: torch.Tensor, labels: torch.Tensor, **options: Any) -> torch.Tensor:
    """The derivative of the sum of the losses."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(front.cross_entropy(x, labels, reduction="sum", **options), x)[0]


def softmax_gradient(row: oracle.Row, x: np.ndarray, label: int) -> Exact:
    """y (g - sum of g y)."""
    y, g = row.softmax(), [arb(float(v)) for v in direction(x.size)]
    inner = sum((a * b for a, b in zip(g, y, strict=True)), arb(0))
    return [a * (b - inner) for a, b in zip(y, g, strict=True)]


def log_softmax_gradient(row: oracle.Row, x: np.ndarray, label: int) -> Exact:
    """g - y sum of g."""
    y, g = row.softmax(), [arb(float(v)) for v in direction(x.size)]
    total = sum(g, arb(0))
    return [b - a * total for a, b in zip(y, g, strict=True)]


def softmax_saved(y: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Of y (g - sum of g y): the factor y, the sum, and the result itself are each rounded once."""
    inner, size = (g * y).sum(), (np.abs(g) * y).sum()
    return y * (2 * np.abs(g - inner) + size)


def log_softmax_saved(y: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Of g - exp(log y) sum of g, whose saved log y is rounded in proportion to itself."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.where(y > 0, y * np.abs(np.log(y)), 0)
    return np.abs(g.sum()) * size + np.abs(g - y * g.sum())


def smoothed(label: int, count: int) -> oracle.Target:
    return oracle.Target(label, count, label_smoothing=0.125)


FIGURES = {
    "softmax": Figure(lambda f, x, t: f.softmax(x, 1), lambda row, x, t: row.softmax()),
    "log_softmax": Figure(lambda f, x, t: f.log_softmax(x, 1), lambda row, x, t: row.log_softmax()),
    "logsumexp": Figure(lambda f, x, t: f.logsumexp(x, 1), lambda row, x, t: [row.logsumexp()]),
    "cross_entropy": Figure(
        lambda f, x, t: f.cross_entropy(x, t, reduction="none"),
        lambda row, x, t: [row.cross_entropy(oracle.Target(t, x.size))],
    ),
    "cross_entropy, smoothed": Figure(
        lambda f, x, t: f.cross_entropy(x, t, reduction="none", label_smoothing=0.125),
        lambda row, x, t: [row.cross_entropy(smoothed(t, x.size))],
    ),
    "gradient of cross_entropy": Figure(
        loss_gradient, lambda row, x, t: row.cross_entropy_grad(oracle.Target(t, x.size))
    ),
    "gradient of cross_entropy, smoothed": Figure(
        lambda f, x, t: loss_gradient(f, x, t, label_smoothing=0.125),
        lambda row, x, t: row.cross_entropy_grad(smoothed(t, x.size)),
        contract=False,  # p A - a cancels where p is the target (tests/losses/exact.py)
    ),
    "gradient of logsumexp": Figure(
        lambda f, x, t: pulled(f, "logsumexp", x), lambda row, x, t: [0.75 * y for y in row.softmax()], contract=False
    ),
    "gradient of softmax": Figure(lambda f, x, t: pulled(f, "softmax", x), softmax_gradient, False, softmax_saved),
    "gradient of log_softmax": Figure(
        lambda f, x, t: pulled(f, "log_softmax", x), log_softmax_gradient, False, log_softmax_saved
    ),
}


def measured(case: Case, figure: Figure, dtype: np.dtype) -> list[float]:
    """The largest errors of both fronts, and the largest that a rounding of what is saved excuses.

    In units of the last place: of each value, or of the largest one of its row.
    """
    step = max(1, len(case.x) // ROWS)
    rows, labels = case.x[::step], case.labels[::step]
    with ctx.workprec(256):
        exact = [figure.exact(oracle.Row(row), row, label) for row, label in zip(rows, labels.tolist(), strict=True)]
    found = []
    for front in (nxt, PYTORCH):
        got = from_tensor(figure.compute(front, to_tensor(rows), torch.from_numpy(labels)).detach().contiguous(), dtype)
        errors = Ruler([value for row in exact for value in row], dtype).errors(got)
        found.append(errors.reshape(len(rows), -1) * units(exact, dtype, figure.contract))
    excused = 0.0
    if figure.saved is not None:
        g = direction(rows.shape[1])
        y = [np.array([float(v) for v in oracle.Row(row).softmax()]) for row in rows]
        roundings = np.array([figure.saved(one, g) for one in y]) * eps(dtype) / 2
        largest = np.array([[max(float(abs(v)) for v in row)] for row in exact])
        excused = float((roundings / spacing(largest, dtype)).max())
    return [*(float(one.max(initial=0)) for one in found), excused]


def spacing(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The unit in the last place of numbers of that size, subnormal ones included."""
    exponent = np.floor(np.log2(np.maximum(np.abs(values), smallest(dtype))))
    return np.maximum(np.exp2(exponent) * eps(dtype), smallest(dtype))


def units(exact: list[Exact], dtype: np.dtype, each: bool) -> np.ndarray:
    """The factor from the unit of a value to the one that counts: its own, or that of the largest of its row."""
    if each:
        return np.ones((len(exact), 1))
    own = spacing(np.array([[float(value) for value in row] for row in exact]), dtype)
    return own / own.max(axis=1, keepdims=True)


# In float64 logits as large as its numbers are apart by more than it can say (tests/losses/test_accuracy.py).
BEYOND = {("largest numbers", "float64", "cross_entropy, smoothed")}


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("family", GRID, ids=lambda family: family.name)
def test_never_further_off_than_pytorch(family: Family, kind: str) -> None:
    """The worst of a family of inputs; where the contract speaks, the contract holds as well."""
    cases = [case for case in family.cases(kind) if case.x.shape[1] <= LONGEST]
    if family.name == "every length to 130":
        cases = cases[::4]
    for name, figure in FIGURES.items():
        ours, theirs, excused = np.max([measured(case, figure, DTYPES[kind]) for case in cases], axis=0)
        what = f"{name}: {ours:.4g} ULP, where PyTorch has {theirs:.4g}"
        assert ours <= max(theirs, excused, BOUND[kind]), what
        assert ours <= BOUND[kind] or not figure.contract or (family.name, kind, name) in BEYOND, what


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "cross_entropy", "gradient of cross_entropy"])
def test_long_rows(name: str, kind: str) -> None:
    """Rows of 100,000, by some of their elements."""
    (family,) = (family for family in FAMILIES if family.name == "rows of 100,000")
    dtype, front = DTYPES[kind], FIGURES[name].compute
    for case in family.cases(kind):
        x, labels, at = to_tensor(case.x), torch.from_numpy(case.labels), case.positions
        row, target = oracle.Row(case.x[0]), oracle.Target(int(case.labels[0]), case.x.shape[1])
        exact = {
            "softmax": lambda row=row, at=at: row.softmax(at),
            "log_softmax": lambda row=row, at=at: row.log_softmax(at),
            "logsumexp": lambda row=row: [row.logsumexp()],
            "cross_entropy": lambda row=row, target=target: [row.cross_entropy(target)],
            "gradient of cross_entropy": lambda row=row, target=target, at=at: row.cross_entropy_grad(target, at),
        }[name]()
        ruler = Ruler(exact, dtype)
        ours, theirs = (
            float(ruler.errors(from_tensor(got if len(exact) == 1 else got[0, at], dtype)).max())
            for got in (front(one, x, labels).detach() for one in (nxt, PYTORCH))
        )
        assert ours <= BOUND[kind], f"{ours:.4g} ULP, where PyTorch has {theirs:.4g}"


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_means_over_many_rows(kind: str, reduction: str) -> None:
    """70,000 rows: more than float16 can count, and more than a float32 sum keeps the digits of."""
    dtype, count = DTYPES[kind], 70_000
    rows = (np.random.default_rng(5).standard_normal((16, 5)) * 2).astype(dtype)
    labels = np.arange(16) % 5
    times = np.bincount(np.arange(count) % 16)
    with ctx.workprec(256):
        losses = [oracle.cross_entropy(row, int(label)) for row, label in zip(rows, labels, strict=True)]
        total = sum((loss * int(n) for loss, n in zip(losses, times, strict=True)), arb(0))
        exact = [total / count if reduction == "mean" else total]
    index = np.arange(count) % 16
    x, t = to_tensor(rows[index]), torch.from_numpy(labels[index])
    ruler = Ruler(exact, dtype)
    ours, theirs = (
        float(ruler.errors(from_tensor(front.cross_entropy(x, t, reduction=reduction), dtype)).max())
        for front in (nxt, PYTORCH)
    )
    assert ours <= BOUND[kind], f"{ours:.4g} ULP, where PyTorch has {theirs:.4g}"
