"""What a graph keeps until its backward pass: of cross-entropy, nothing of the logits' size but the logits."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch_calls import Call, Tensors, differentiable, of_floats

import normexp.torch as nxt

SHAPE = (300, 50)
LOSSES = {
    f"{target or 'labels'}{', weights' * weighted}, {options}": Call("cross_entropy", SHAPE, options, target, weighted)
    for target in ("labels", "probabilities")
    for weighted in (False, True)
    for options in ({}, {"reduction": "sum"}, {"reduction": "none"}, {"label_smoothing": 0.1})
}


@pytest.fixture(params=LOSSES)
def call(request: pytest.FixtureRequest) -> Call:
    """Each loss in turn."""
    return LOSSES[request.param]


def storages(tensors: list[torch.Tensor]) -> set[int]:
    """Where those as large as the logits lie."""
    size = 4 * SHAPE[0] * SHAPE[1]
    return {t.untyped_storage().data_ptr() for t in tensors if t.untyped_storage().nbytes() >= size}


def given(call: Call) -> Tensors:
    return differentiable(call.tensors(torch.float32), of_floats(call))


def saved(tensors: Tensors, function: Callable[..., torch.Tensor]) -> list[torch.Tensor]:
    """What autograd is told to save."""
    found: list[torch.Tensor] = []
    with saved_tensors_hooks(lambda t: found.append(t) or t, lambda t: t):
        value = function(*tensors)
    assert value.grad_fn is not None
    return found


def test_saved(call: Call) -> None:
    tensors = given(call)
    assert storages(saved(tensors, call.ours)) <= storages(list(tensors))


def test_saved_when_enabled(call: Call) -> None:
    """PyTorch's own function, with normexp behind its operators."""
    tensors = given(call)
    with nxt.accelerated():
        assert storages(saved(tensors, call.theirs)) <= storages(list(tensors))


def test_pytorch_saves_more(call: Call) -> None:
    """So that the test above is one."""
    tensors = given(call)
    assert storages(saved(tensors, call.theirs)) - storages(list(tensors))


def test_nothing_is_kept_behind_autograds_back(call: Call) -> None:
    """Nor does any object that came into being hold such a tensor."""
    tensors = given(call)
    gc.freeze()  # whoever is there is not among the collector's objects
    try:
        value = call.ours(*tensors)
        new = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    finally:
        gc.unfreeze()
    assert any(one is value for one in new)
    assert storages(new) <= storages(list(tensors))


def test_hooks_may_move_what_is_saved(call: Call) -> None:
    """Packed as copies and unpacked as other copies, as offloading does: the same gradients."""
    tensors = given(call)
    wanted = [t for t in tensors if t.requires_grad]
    want = torch.autograd.grad(call.ours(*tensors).sum(), wanted)
    with saved_tensors_hooks(lambda t: t.clone(), lambda t: t.clone()):
        value = call.ours(*tensors)
    for one, other in zip(torch.autograd.grad(value.sum(), wanted), want, strict=True):
        assert torch.equal(one, other)
