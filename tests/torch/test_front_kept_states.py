"""The gradient that autograd gets from the rows' kept states is that of NumPy's front to the bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import numpy as np
import torch
from support import assert_same_bits
from torch.autograd.graph import saved_tensors_hooks

import normexp
import normexp.torch as nxt
from normexp.torch import _tensors
from normexp.torch._tensors import MEAN

CLASSES = (2, 10, 33, 255, 256, 257, 2047, 2048, 2049, 5000)
OPTIONS = {
    "plain": {},
    "weighted": {"weight": True},
    "some ignored": {"ignore_index": 1},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "smoothed": {"label_smoothing": 0.1},
}


def both(x: torch.Tensor, labels: torch.Tensor, **options: object) -> tuple[torch.Tensor, normexp.LossAndGrad]:
    """The gradient by autograd, and what NumPy's front gives."""
    options = dict(options)
    if options.pop("weight", False):
        options["weight"] = torch.linspace(0.5, 2, x.shape[1], dtype=x.dtype)
    leaf = x.detach().requires_grad_()
    loss = nxt.cross_entropy(leaf, labels, **options)
    loss.backward(torch.ones_like(loss))
    in_numpy = {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in options.items()}
    both = normexp.cross_entropy_and_grad(x.numpy(), labels.numpy(), axis=1, **in_numpy)
    assert_same_bits(loss.detach().numpy(), both.loss, "loss")
    assert leaf.grad is not None
    return leaf.grad, both


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_the_same_bits(dtype: torch.dtype, options: dict[str, object]) -> None:
    random = torch.Generator().manual_seed(0)
    for classes in CLASSES:
        x = (torch.randn(9, classes, generator=random, dtype=torch.float64) * 5).to(dtype)
        x[0, 0] = 50  # a sure row
        labels = torch.randint(classes, (9,), generator=random)
        labels[:2] = 0
        gradient, want = both(x, labels, **options)
        assert_same_bits(gradient.numpy(), want.grad, classes)


@pytest.mark.parametrize("shape", [(3, 700, 5), (2, 300, 4, 3), (5, 5000, 1)])
def test_classes_in_the_middle(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=random)
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), generator=random)
    for logits in (x, x.movedim(1, -1).contiguous().movedim(-1, 1)):
        gradient, want = both(logits, labels)
        assert_same_bits(gradient.numpy(), np.ascontiguousarray(want.grad))


def test_special_rows() -> None:
    x = torch.zeros(5, 300)
    x[0, 3], x[1, 3], x[2, 3] = float("nan"), float("inf"), float("-inf")
    x[3] = float("-inf")
    gradient, want = both(x, torch.tensor([0, 1, 3, 0, 2]))
    assert_same_bits(gradient.numpy(), want.grad)
    assert gradient[4].isfinite().all()


def test_the_number_of_threads_may_change_in_between(threads: Callable[[int], None]) -> None:
    """With two threads or more a few long rows would be split, and keep nothing."""
    x = torch.randn(2, 1 << 17, generator=torch.Generator().manual_seed(2))
    labels, found = torch.tensor([5, 7]), []
    for before, after in ((1, 1), (1, 7), (7, 1), (7, 7)):
        leaf = x.clone().requires_grad_()
        threads(before)
        loss = nxt.cross_entropy(leaf, labels)
        threads(after)
        loss.backward()
        found.append(leaf.grad)
    assert all(torch.equal(gradient, found[0]) for gradient in found)


@pytest.mark.parametrize("classes", CLASSES)
def test_little_is_kept(classes: int) -> None:
    kept: list[torch.Tensor] = []
    x = torch.randn(40, classes, requires_grad=True)
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        loss = nxt.cross_entropy(x, torch.zeros(40, dtype=torch.int64))
    loss.backward()
    ours = [t for t in kept if t.dtype == torch.float64]
    assert len(ours) == (classes >= 256)
    assert all(t.numel() * 8 * 25 <= x.numel() * 4 for t in ours)


def test_states_of_other_logits_are_refused() -> None:
    x, labels = torch.randn(4, 300), torch.zeros(4, dtype=torch.int64)
    made = _tensors.loss(x, labels, None, -100, 0.0, False, MEAN, True)
    assert made is not None
    with pytest.raises(ValueError, match="not those of these logits"):
        _tensors.loss_gradient(x[:3], labels[:3], None, -100, 0.0, 1.0, made[2])
