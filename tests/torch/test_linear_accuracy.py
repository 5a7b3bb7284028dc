"""Errors of linear_cross_entropy against float64 beside those of PyTorch's loss of all logits, in the same dtype."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
import torch.nn.functional as F
from torch import Tensor

import normexp.torch as nxt

# N, H, V: one chunk; more rows than features; more rows than the budget holds, of few features and of many.
SHAPES = [(256, 64, 1000), (2048, 128, 5000), (64, 512, 20_000), (4096, 64, 12_000), (1024, 512, 8000)]
SPREADS = (1.0, 5.0)  # of the logits
# float32 errors are those of sums in another order, by the same library: another processor may throw the dice again.
LUCK = {torch.float32: 1.002, torch.bfloat16: 1.0, torch.float16: 1.0}


def by_pytorch(x: Tensor, weight: Tensor, target: Tensor, bias: Tensor, reduction: str) -> Tensor:
    return F.cross_entropy(F.linear(x, weight, bias), target, reduction=reduction)


def by_normexp(x: Tensor, weight: Tensor, target: Tensor, bias: Tensor, reduction: str) -> Tensor:
    return nxt.linear_cross_entropy(x, weight, target, linear_bias=bias, reduction=reduction)


def problem(shape: tuple[int, int, int], spread: float, dtype: torch.dtype) -> list[Tensor]:
    rows, features, classes = shape
    random = torch.Generator().manual_seed(rows + classes)
    x, weight, bias = (
        torch.randn(*size, generator=random) for size in ((rows, features), (classes, features), (classes,))
    )
    target = torch.randint(classes, (rows,), generator=random)
    return [x.to(dtype), (weight * (spread / math.sqrt(features))).to(dtype), target, bias.to(dtype)]


def results(function: Callable[..., Tensor], x: Tensor, weight: Tensor, target: Tensor, bias: Tensor) -> list[Tensor]:
    """Each row's loss, the mean, and its gradients."""
    leaves = [given.detach().requires_grad_() for given in (x, weight, bias)]
    mean = function(leaves[0], leaves[1], target, leaves[2], "mean")
    gradients = torch.autograd.grad(mean, leaves)
    return [function(x, weight, target, bias, "none"), mean.detach(), *gradients]


def errors(got: list[Tensor], exact: list[Tensor]) -> list[float]:
    """Relative, of each as a whole."""
    return [float((one.double() - other).norm() / other.norm()) for one, other in zip(got, exact, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_errors_are_no_larger_than_pytorchs(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    if dtype == torch.float16 and math.prod(shape) > 2**25:
        pytest.skip("PyTorch's products of float16 take minutes where the processor has none")
    for spread in SPREADS:
        arguments = problem(shape, spread, dtype)
        exact = results(by_pytorch, *(a.double() if a.is_floating_point() else a for a in arguments))
        each, mean, *gradients = errors(results(by_normexp, *arguments), exact)
        their_each, their_mean, *their_gradients = errors(results(by_pytorch, *arguments), exact)
        print(f"{dtype} {shape} spread {spread:g}: rows' losses, gradients by hidden, weight, bias")  # with pytest -s
        print(
            *(f"{e:.1e}" for e in (each, *gradients)), "PyTorch", *(f"{e:.1e}" for e in (their_each, *their_gradients))
        )
        for ours, theirs in zip((each, *gradients), (their_each, *their_gradients), strict=True):
            assert ours <= LUCK[dtype] * theirs, (spread, gradients, their_gradients)
        # A mean may be right by luck: then by the last place of ours.
        assert mean <= max(their_mean, 2.0**-24), spread
        if dtype != torch.float32:
            assert each <= their_each / 10, spread
            assert mean <= max(their_mean / 10, 2.0**-22), spread


@pytest.mark.parametrize("rows_that_count", [4096, 3000])
def test_gradients_by_weights_in_bfloat16_that_are_added_up(rows_that_count: int) -> None:
    """Of a dozen sums: what comes to labels must not swallow the small parts that come after it."""
    x, weight, target, bias = problem((4096, 128, 12_000), 1.0, torch.bfloat16)
    target[rows_that_count:] = -100

    def gradient(function: Callable[..., Tensor], dtype: torch.dtype) -> Tensor:
        leaf = weight.detach().to(dtype).requires_grad_()
        (found,) = torch.autograd.grad(function(x.to(dtype), leaf, target, bias.to(dtype), "mean"), leaf)
        return found

    def in_small_chunks(x: Tensor, weight: Tensor, target: Tensor, bias: Tensor, reduction: str) -> Tensor:
        return nxt.linear_cross_entropy(
            x, weight, target, linear_bias=bias, reduction=reduction, memory_budget=10 * 2**20
        )

    exact = [gradient(by_pytorch, torch.float64)]
    (ours,) = errors([gradient(in_small_chunks, torch.bfloat16)], exact)
    (theirs,) = errors([gradient(by_pytorch, torch.bfloat16)], exact)
    assert ours <= theirs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_losses_near_zero(dtype: torch.dtype) -> None:
    """A confident row's loss is what is left of it, not 0; its gradient, too."""
    x, weight, target = torch.eye(2).to(dtype) * 20, torch.eye(2).to(dtype), torch.tensor([0, 1])
    leaf = x.clone().requires_grad_()
    loss = nxt.linear_cross_entropy(leaf, weight, target)
    loss.backward()
    exact = math.log1p(math.exp(-20))
    assert float(loss.detach()) == pytest.approx(exact, rel=1e-6)
    # 1e-9 is below what float16 has.
    assert float(leaf.grad[0, 0]) == pytest.approx(
        -exact / 2, rel=torch.finfo(dtype).eps, abs=6e-8 * (dtype.itemsize < 4)
    )


def test_a_mean_of_many_rows_in_half_types() -> None:
    """70,000 rows of float16: PyTorch's mean is NaN."""
    x, weight = torch.ones(70_000, 1).half(), torch.zeros(3, 1).half()
    target = torch.zeros(70_000, dtype=torch.int64)
    assert float(nxt.linear_cross_entropy(x, weight, target)) == pytest.approx(math.log(3), rel=1e-6)
