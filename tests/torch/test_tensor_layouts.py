"""Strides, offsets and batches: the bits of contiguous tensors, and results laid out as PyTorch lays them out."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
import torch
from torch_calls import CALLS, LARGE, Call, Tensors, assert_same, differentiable, of_floats, outputs_and_gradients

Layout = str
LAYOUTS = ("transposed", "every other", "channels last", "offset")


def laid_out(t: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The same numbers elsewhere in memory, as far as its shape has such a layout."""
    if layout == "transposed":
        axes = tuple(range(t.ndim))[::-1]
        return t.permute(axes).contiguous().permute(axes)
    if layout == "every other":
        return torch.stack([t, t + 1 if t.is_floating_point() else t], dim=-1)[..., 0]
    if layout == "channels last" and t.ndim == 4:
        return t.contiguous(memory_format=torch.channels_last)
    if layout == "offset":
        return torch.cat([t.new_zeros(1), t.flatten()])[1:].view(t.shape)
    return t.contiguous()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS | LARGE)
def test_layouts(name: str, layout: Layout) -> None:
    call = (CALLS | LARGE)[name]
    tensors = call.tensors(torch.float32)
    want = outputs_and_gradients(call.ours, differentiable(tensors, of_floats(call)))
    assert_same(outputs_and_gradients(call.ours, leaves(tensors, call, layout)), want, layout)


def leaves(tensors: Tensors, call: Call, layout: Layout) -> Tensors:
    """Copies that require gradients, in that layout (`differentiable` clones, and so keeps dense layouts alone)."""
    return tuple(
        laid_out(t.detach(), layout).requires_grad_(t.is_floating_point() and i in of_floats(call))
        for i, t in enumerate(tensors)
    )


@pytest.mark.parametrize("name", [name for name in CALLS if "softm" in name])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_are_contiguous_like_pytorchs(name: str, layout: Layout) -> None:
    """Strides of the results are what code that goes on with `view` relies on."""
    call = CALLS[name]
    x = laid_out(call.tensors(torch.float32)[0], layout)
    assert call.ours(x).stride() == call.theirs(x).stride()


@pytest.mark.parametrize("name", ["softmax, last axis", "cross_entropy, (N, C), mean", "logsumexp, last axis"])
def test_broadcast(name: str) -> None:
    """Rows that share their memory have their own gradients, which add up."""
    call = CALLS[name]
    x, *others = call.tensors(torch.float32)
    row = x[:1].clone().requires_grad_()
    rows = row.expand_as(x)
    assert rows.stride(0) == 0
    copies = row.detach().repeat(len(x), 1).requires_grad_()
    got, want = (call.ours(given, *others) for given in (rows, copies))
    assert_same([got.detach()], [want.detach()])
    got.square().sum().backward()
    want.square().sum().backward()
    torch.testing.assert_close(row.grad, copies.grad.sum(0, keepdim=True))


WITH_ROWS = [name for name, call in CALLS.items() if len(call.shape) > 1 and call.options.get("dim") in (None, -1, 1)]


@pytest.mark.parametrize("name", WITH_ROWS)
def test_batches_of_nothing(name: str) -> None:
    """No rows: PyTorch's shapes, and its NaN for a mean over nothing."""
    call = CALLS[name]
    tensors = call.tensors(torch.float32)
    rows, rest = (tensors[:-1], tensors[-1:]) if call.weighted else (tensors, ())
    empty = (*(t[:0] for t in rows), *rest)
    got, want = (
        outputs_and_gradients(function, differentiable(empty, of_floats(call))) for function in (call.ours, call.theirs)
    )
    torch.testing.assert_close(got, want, equal_nan=True)
