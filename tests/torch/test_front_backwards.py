"""The backward kernels of softmax and log_softmax: exact for what they are given, the same bits everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import numpy as np
import torch
from flint import arb, ctx
from support import BOUND, python
from torch import Tensor

import normexp
import normexp.torch as nxt
from normexp.torch import _tensors
from normexp.torch._tensors import LOG_SOFTMAX, LOG_SOFTMAX_BACKWARD, SOFTMAX, SOFTMAX_BACKWARD
from normexp.verify.measure import max_ulp

DTYPES = {name: getattr(torch, name) for name in BOUND}
BACKWARDS = {"softmax": (SOFTMAX, SOFTMAX_BACKWARD), "log_softmax": (LOG_SOFTMAX, LOG_SOFTMAX_BACKWARD)}


@pytest.fixture(params=BACKWARDS)
def name(request: pytest.FixtureRequest) -> str:
    """Each function in turn."""
    return request.param


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Each dtype in turn."""
    return DTYPES[request.param]


def normal(*shape: int, dtype: torch.dtype, spread: float = 1.0, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=random, dtype=torch.float64) * spread).to(dtype)


def result_of(name: str, x: Tensor, dim: int = -1) -> Tensor:
    found = _tensors.map_rows(BACKWARDS[name][0], x, dim, False)
    assert found is not None
    return found


def backward(name: str, g: Tensor, y: Tensor, dim: int = -1) -> Tensor:
    found = _tensors.map_backward(BACKWARDS[name][1], g, y, dim)
    assert found is not None
    return found


def exact(name: str, g: Tensor, y: Tensor) -> list[arb]:
    """Of one row: sum_j y_i y_j (g_i - g_j), which is y (g - sum(g y)) where y sums to 1; g - exp(y) sum(g)."""
    with ctx.workprec(600):
        gs, ys = ([arb(v) for v in row.double().tolist()] for row in (g, y))
        if name == "softmax":
            share, pull = sum(ys, arb(0)), sum((a * b for a, b in zip(gs, ys, strict=True)), arb(0))
            return [b * (a * share - pull) for a, b in zip(gs, ys, strict=True)]
        total = sum(gs, arb(0))
        return [a - b.exp() * total for a, b in zip(gs, ys, strict=True)]


def as_array(x: Tensor) -> np.ndarray:
    if x.dtype == torch.bfloat16:
        return x.view(torch.int16).numpy().view(normexp._arrays.bfloat16_dtype())
    return x.numpy()


def rows(dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Logits and gradients: lengths around registers and blocks, sure rows, ties, one-hot gradients as of a loss."""
    found = []
    for n in (1, 2, 3, 15, 16, 17, 33, 100, 2047, 2049, 5000):
        for spread in (1.0, 20.0):
            found.append((normal(n, dtype=dtype, spread=spread, seed=n), normal(n, dtype=dtype, seed=n + 1)))
    for gap in (5.0, 10.0, 14.0, 20.0, 40.0):
        x = torch.tensor([0.0, gap, -1.0]).to(dtype)
        for at in range(3):
            one_hot = torch.zeros(3, dtype=dtype)
            one_hot[at] = -1
            found += [(x, one_hot), (x, one_hot + 1)]
    found.append((torch.zeros(20, dtype=dtype), normal(20, dtype=dtype)))
    return found


def test_exact(name: str, dtype: torch.dtype) -> None:
    kind = str(dtype).removeprefix("torch.")
    for x, g in rows(dtype):
        y = result_of(name, x)
        got = backward(name, g, y)
        assert got.dtype == dtype
        assert max_ulp(as_array(got), exact(name, g, y)) <= BOUND[kind], (len(x), g[:3])


def test_pytorch_is_off_there() -> None:
    """So that the bound above says something."""
    y = result_of("softmax", torch.tensor([20.0, 0.0]))
    g = torch.tensor([1.0, 0.0])
    theirs = torch._softmax_backward_data(g, y, 0, torch.float32)
    assert max_ulp(theirs.numpy(), exact("softmax", g, y)) > 1000


def layouts(x: Tensor) -> list[Tensor]:
    """The same tensor, lying differently in memory."""
    wide = x.new_zeros(*x.shape[:-1], 2 * x.shape[-1])
    wide[..., ::2] = x
    return [
        x,
        x.transpose(0, 1).contiguous().transpose(0, 1),
        x.movedim(-1, 0).contiguous().movedim(0, -1),
        wide[..., ::2],
    ]


@pytest.mark.parametrize("shape", [(20, 7, 40), (3, 2100, 17), (16, 64, 16)])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_layouts(name: str, dtype: torch.dtype, shape: tuple[int, ...], dim: int) -> None:
    """Row by row or sixteen at a time, copied or read in place: the same bits."""
    y, g = result_of(name, normal(*shape, dtype=dtype, spread=4.0), dim), normal(*shape, dtype=dtype, seed=1)
    want = backward(name, g.contiguous(), y.contiguous(), dim)
    assert want.abs().max() > 0
    for one in layouts(y):
        for other in layouts(g):
            assert torch.equal(backward(name, other, one, dim), want)


def test_broadcast_gradients(name: str) -> None:
    """What sum() gives: every element the same one in memory."""
    y = result_of(name, normal(5, 40, dtype=torch.float32))
    g = torch.tensor(3.0).expand(5, 40)
    assert torch.equal(backward(name, g, y), backward(name, g.contiguous(), y))


@pytest.mark.parametrize("shape", [(4000, 10), (300, 1000), (3, 100_000), (4, 1000, 64)])
def test_threads(name: str, threads: Callable[[int], None], shape: tuple[int, ...]) -> None:
    y, g = result_of(name, normal(*shape, dtype=torch.float32), 1), normal(*shape, dtype=torch.float32, seed=1)
    found = []
    for count in (1, 2, 7):
        threads(count)
        found.append(backward(name, g, y, 1))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def digest() -> str:
    """Of many gradients' bits; printed by the subprocesses below."""
    total = hashlib.sha256()
    for dtype in DTYPES.values():
        for name in BACKWARDS:
            found = [backward(name, g, result_of(name, x)) for x, g in rows(dtype)]
            y, g = result_of(name, normal(3, 50, 40, dtype=dtype), 1), normal(3, 50, 40, dtype=dtype, seed=1)
            for gradient in (*found, backward(name, g, y, 1)):
                total.update(gradient.contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def test_levels() -> None:
    script = "import sys; sys.path[:0] = sys.argv[1:]; import test_front_backwards as t; print(t.digest())"
    here = __file__.rpartition("/")[0]
    for level in normexp.show_config()["levels"]:
        result = python("-c", script, here, here.rpartition("/")[0], NORMEXP_CPU=level)
        assert result.stdout.strip() == digest(), (level, result.stderr)


@pytest.mark.parametrize("columns", [1, 20])
def test_special_values(name: str, dtype: torch.dtype, columns: int) -> None:
    """What is not finite comes out where it does of PyTorch's formulas; columns: sixteen rows at a time as well."""
    inf, nan = float("inf"), float("nan")
    y = result_of(name, torch.tensor([1.0, 2.0, -inf, 0.0], dtype=dtype), 0)
    for g in ([1.0, nan, 0.0, 2.0], [1.0, inf, 0.0, 2.0], [-inf, 1.0, 0.0, 2.0], [1.0, 2.0, inf, 3.0], [0.0] * 4):
        for result in (y, y * nan):
            grad = torch.tensor(g, dtype=dtype)
            theirs = torch._softmax_backward_data if name == "softmax" else torch._log_softmax_backward_data
            want = theirs(grad.double(), result.double(), 0, torch.float64)
            got = backward(name, grad[:, None].repeat(1, columns), result[:, None].repeat(1, columns), 0)
            for column in got.T:
                assert torch.equal(column.isfinite(), want.isfinite()), (g, column, want)
                if name == "softmax":  # of log_softmax the largest share's is taken from the others: other infinities
                    assert torch.equal(column.isnan(), want.isnan()), (g, column, want)


def test_rows_that_are_no_softmax(dtype: torch.dtype) -> None:
    """Whose sum is not 1 for more than rounding: the formula as it stands, y (g - sum(g y))."""
    y, g = torch.tensor([0.25, 0.0, 0.25], dtype=dtype), torch.tensor([1.0, 2.0, 3.0], dtype=dtype)
    want = torch.tensor([0.0, 0.0, 0.5], dtype=dtype)
    assert torch.equal(backward("softmax", g, y), want)
    assert torch.equal(backward("softmax", g[:, None].repeat(1, 16), y[:, None].repeat(1, 16), 0)[:, 3], want)


def test_what_the_engine_declines() -> None:
    y, g = torch.ones(3), torch.ones(3)
    for grad, result, dim in (
        (g.double(), y, 0),
        (g[:2], y, 0),
        (g, y, 1),
        (g.long(), y.long(), 0),
        (g.sum(), y.sum(), 0),
    ):
        assert _tensors.map_backward(SOFTMAX_BACKWARD, grad, result, dim) is None


@pytest.mark.parametrize("upstream", [torch.inf, torch.nan])
def test_an_ignored_row_has_no_gradient_whatever_comes_from_above(upstream: float) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    for smoothing in (0.0, 0.1):
        losses = nxt.cross_entropy(x, torch.tensor([1, -100, 2]), reduction="none", label_smoothing=smoothing)
        (grad,) = torch.autograd.grad(losses, x, torch.tensor([1.0, upstream, 1.0]))
        assert torch.equal(grad[1], torch.zeros(4))
        assert bool(grad[0].any())


def test_a_weight_of_what_costs_nothing_has_no_gradient() -> None:
    weight = torch.ones(2, requires_grad=True)
    loss = nxt.cross_entropy(torch.tensor([[0.0, -torch.inf]]), torch.tensor([[1.0, 0.0]]), weight)
    assert torch.equal(torch.autograd.grad(loss, weight)[0], torch.zeros(2))
