"""linear_cross_entropy in float64 is PyTorch's, over every combination of options, in any number of chunks."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
import torch
from linear_calls import GRID, OURS, SHAPED, Linear, answer, by_pytorch
from torch.testing import assert_close

# Sums of 19 x 23 terms, rounded in float64, in another order: some 1e-15 of the largest.
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
BUDGETS = {"one chunk": None, "chunks of three rows": 3 * 23 * 8, "rows one by one": 1}


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("call", GRID.values(), ids=GRID)
def test_values_and_gradients(call: Linear, budget: int | None) -> None:
    tensors = call.tensors()
    assert_close(answer(OURS, call, tensors, memory_budget=budget), answer(by_pytorch, call, tensors), **CLOSE)


@pytest.mark.parametrize("shaped", SHAPED.values(), ids=SHAPED)
@pytest.mark.parametrize("call", GRID.values(), ids=GRID)
def test_what_is_done_to_logits(call: Linear, shaped: dict[str, float]) -> None:
    tensors = call.tensors()
    got = answer(OURS, call, tensors, memory_budget=3 * 23 * 8, **shaped)
    assert_close(got, answer(by_pytorch, call, tensors, **shaped), **CLOSE)


@pytest.mark.parametrize("name", ["mean", "sum", "none"])
def test_the_formula_is_that_of_pytorchs_function(name: str) -> None:
    tensors = GRID[name].tensors()
    theirs = answer(torch.nn.functional.linear_cross_entropy, GRID[name], tensors)
    assert_close(answer(by_pytorch, GRID[name], tensors), theirs, **CLOSE)


@pytest.mark.parametrize("wanted", ["input", "linear_weight", "linear_bias"])
@pytest.mark.parametrize("name", ["mean biased", "none biased ignored", "sum smoothed biased weighted"])
def test_frozen_parts(name: str, wanted: str) -> None:
    """A trunk, a head or all but the bias without gradients: what is left is the same, and the rest is not computed."""
    call = GRID[name]
    tensors = call.tensors()
    names = [given for given in tensors if tensors[given].requires_grad]
    every = dict(zip(names, answer(OURS, call, tensors)[1:], strict=True))
    for given in names:
        tensors[given].requires_grad_(given == wanted)
    _, only = answer(OURS, call, tensors)
    assert_close(only, every[wanted], **CLOSE)


def test_without_gradients() -> None:
    call = GRID["mean biased"]
    tensors = call.tensors()
    with torch.no_grad():
        loss = OURS(**tensors)
    assert not loss.requires_grad
    assert_close(loss, by_pytorch(**tensors).detach(), **CLOSE)
    with torch.inference_mode():
        assert_close(OURS(**tensors), loss, rtol=0, atol=0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_one_row_without_a_batch(reduction: str) -> None:
    x, weight, target = torch.randn(5).double(), torch.randn(7, 5).double(), torch.tensor(3)
    x.requires_grad_(), weight.requires_grad_()
    want = torch.nn.functional.linear_cross_entropy(x, weight, target, reduction=reduction)
    got = OURS(x, weight, target, reduction=reduction)
    assert got.shape == want.shape
    assert_close(torch.autograd.grad(got, (x, weight)), torch.autograd.grad(want, (x, weight)), **CLOSE)
    assert_close(got, want, **CLOSE)


def test_weights_of_several_dimensions_are_pytorchs() -> None:
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ((4, 3), (5, 2, 3), (5, 2)))
    target = torch.randint(5, (4, 2))
    for given in (x, weight, bias):
        given.requires_grad_()
    want = torch.nn.functional.linear_cross_entropy(x, weight, target, linear_bias=bias)
    got = OURS(x, weight, target, linear_bias=bias)
    inputs = (x, weight, bias)
    assert_close([got, *torch.autograd.grad(got, inputs)], [want, *torch.autograd.grad(want, inputs)], **CLOSE)


LAYOUTS = {
    "transposed weights": lambda t: t.t().contiguous().t(),
    "every other element": lambda t: torch.stack([t, t], -1).flatten(-2)[..., ::2],
    "every other row": lambda t: torch.stack([t, t], 1).flatten(0, 1)[::2],
    "at an odd offset": lambda t: torch.cat([t.new_zeros(1), t.flatten()])[1:].view(t.shape),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("which", ["input", "linear_weight"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(layout, which: str, dtype: torch.dtype) -> None:
    call = GRID["mean biased ignored"]
    tensors = call.tensors(dtype)
    want = answer(OURS, call, tensors)
    tensors[which] = layout(tensors[which].detach()).requires_grad_()
    # The products of the platform may add in another order.
    apart = {torch.float64: 1e-14, torch.float32: 1e-6}.get(dtype, 2 * torch.finfo(dtype).eps)
    for one, other in zip(answer(OURS, call, tensors), want, strict=True):
        assert_close(one, other, rtol=apart, atol=apart * float(other.abs().max()))


@pytest.mark.parametrize("which", ["input", "linear_weight", "target"])
def test_expanded_arguments(which: str) -> None:
    call = GRID["sum"]
    tensors = call.tensors()
    tensors[which] = tensors[which].detach()[:1].expand(tensors[which].shape)
    assert_close(OURS(**tensors), torch.nn.functional.linear_cross_entropy(**tensors), **CLOSE)
