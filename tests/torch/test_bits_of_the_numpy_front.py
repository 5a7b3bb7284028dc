"""One engine behind both fronts: tensors have the bits of arrays, whose accuracy other tests prove."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from support import assert_same_bits, assert_values, made

pytest.importorskip("torch")
import torch
from losses.problems import Problem
from losses.test_against_torch import LAYOUTS, index_problems, probability_problems, weighs_nothing

import normexp
import normexp.torch as nxt
from normexp.verify.cases import DTYPES
from normexp.verify.tensors import from_tensor, to_tensor

SHAPES = [(5,), (7, 10), (300, 17), (40, 1000), (3, 70_001), (6, 5, 4), (2, 21, 7, 9), (0, 4), (4, 0), (3, 1), (600, 2)]
NAN, INF = float("nan"), float("inf")
SPECIAL = [
    [0.0, NAN, 1.0, 2.0],
    [INF, 0.0, 1.0, 2.0],
    [-INF, 0.0, 1.0, 2.0],
    [-INF] * 4,
    [INF, -INF, NAN, 0.0],
    [INF, INF, 0.0, 1.0],
    [-0.0, 0.0, -0.0, 0.0],
    [60000.0, -60000.0, 0.0, 1.0],
    [20.0, 0.0, -20.0, 1.0],
]


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin", "logsumexp"])
def test_functions(name: str, kind: str) -> None:
    for shape in SHAPES:
        x = made(shape, kind)
        for axis in range(len(shape)):
            if name == "logsumexp" and shape[axis] == 0:
                continue
            got = getattr(nxt, name)(to_tensor(x), axis)
            assert_same_bits(from_tensor(got, x.dtype), getattr(normexp, name)(x, axis=axis), (shape, axis))


@pytest.mark.parametrize("kind", DTYPES)
def test_logsumexp_over_several_axes(kind: str) -> None:
    x = made((4, 5, 6, 7), kind)
    for axes in itertools.chain.from_iterable(itertools.combinations(range(4), n) for n in (2, 3, 4)):
        for keep in (False, True):
            got = nxt.logsumexp(to_tensor(x), axes, keep)
            assert_same_bits(from_tensor(got, x.dtype), normexp.logsumexp(x, axis=axes, keepdims=keep), (axes, keep))


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("rows", [1, 50])
def test_special_values(kind: str, rows: int) -> None:
    """Few rows and many, which other kernels take: NaN, infinities, signs of 0."""
    x = np.repeat(np.array(SPECIAL), rows, axis=0).astype(DTYPES[kind])
    for name in ("softmax", "log_softmax", "softmin", "logsumexp"):
        got = getattr(nxt, name)(to_tensor(x), 1)
        assert_same_bits(from_tensor(got, x.dtype), getattr(normexp, name)(x, axis=1), name)
    shares = np.zeros(x.shape, x.dtype)
    shares[:, 1], shares[:, 3] = 0.25, 0.75
    for target, ignore, smoothing in itertools.product((np.arange(len(x)) % 4, shares), (-100, 2), (0.0, 0.1)):
        if ignore == 2 and target.ndim == 2:
            continue
        options = {"label_smoothing": smoothing} | ({} if ignore < 0 else {"ignore_index": ignore})
        for reduction in ("none", "mean", "sum"):
            assert_same_loss(Problem(x, target, 1, options | {"reduction": reduction}))


def with_classes_second(array: np.ndarray, problem: Problem) -> np.ndarray:
    """As PyTorch has them."""
    return array if array.ndim < 2 or array.ndim < problem.logits.ndim else np.moveaxis(array, problem.axis, 1)


def assert_same_loss(problem: Problem) -> None:
    """The loss, alone and with its gradient, and the gradient: the bits of the arrays'."""
    x = to_tensor(with_classes_second(problem.logits, problem)).requires_grad_()
    target = problem.target
    if target.dtype.kind in "iu":
        t = torch.from_numpy(np.ascontiguousarray(target).astype(np.int64).reshape(target.shape))
    else:
        t = to_tensor(with_classes_second(target, problem))
    options: dict[str, Any] = dict(problem.options)
    if options.get("weight") is not None:
        options["weight"] = to_tensor(options["weight"])
    want, grad = problem.loss_and_grad()
    got = nxt.cross_entropy(x, t, **options)
    what, dtype = (problem.logits.shape, problem.axis, problem.options), problem.logits.dtype
    equal = assert_same_bits if problem.logits.size else assert_values  # PyTorch's sum over nothing is -0
    for value in (got.detach(), nxt.cross_entropy(x.detach(), t, **options)):
        equal(from_tensor(value, dtype), np.asarray(want), what)
    slope = from_tensor(torch.autograd.grad(got.sum(), x)[0].contiguous(), dtype)
    equal(slope, np.ascontiguousarray(with_classes_second(grad, problem)), what)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_losses(layout: str, kind: str) -> None:
    """A fifth of all combinations of labels or probabilities, weights, ignored rows, smoothing and reductions."""
    problems = itertools.chain(index_problems(layout, DTYPES[kind]), probability_problems(layout, DTYPES[kind]))
    for problem in itertools.islice(problems, 0, None, 5):
        if not weighs_nothing(problem):  # whose gradient is no number
            assert_same_loss(problem)


@pytest.mark.parametrize("kind", DTYPES)
def test_nll_loss(kind: str) -> None:
    for layout in LAYOUTS:
        for problem in itertools.islice(index_problems(layout, DTYPES[kind], smoothings=(0.0,)), 0, None, 7):
            options = {name: value for name, value in problem.options.items() if name != "label_smoothing"}
            want = normexp.nll_loss(problem.logits, problem.target, axis=problem.axis, **options)
            if options["weight"] is not None:
                options["weight"] = to_tensor(options["weight"])
            x = to_tensor(with_classes_second(problem.logits, problem))
            t = torch.from_numpy(np.ascontiguousarray(problem.target).astype(np.int64).reshape(problem.target.shape))
            got = nxt.nll_loss(x, t, **options)
            assert_same_bits(from_tensor(got, problem.logits.dtype), np.asarray(want), (layout, options))
