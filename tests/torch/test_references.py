"""Nobody holds on to tensors: arguments have as many references after a call as before it, and results die."""

from __future__ import annotations

import contextlib
import sys
import weakref

import pytest

pytest.importorskip("torch")
import torch
from torch_calls import CALLS, LARGE, Call, differentiable, of_floats

import normexp.torch as nxt


@pytest.fixture(params=CALLS | LARGE)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return (CALLS | LARGE)[request.param]


@pytest.mark.parametrize("enabled", [False, True])
def test_references(call: Call, enabled: bool) -> None:
    """Forwards and backwards, without a backward, and without gradients; by our functions and while enabled."""
    tensors = differentiable(call.tensors(torch.float32), of_floats(call))
    wanted = [t for t in tensors if t.requires_grad]
    before = [sys.getrefcount(t) for t in tensors]
    with nxt.accelerated() if enabled else contextlib.nullcontext():
        function = call.theirs if enabled else call.ours
        for _ in range(3):
            torch.autograd.grad(function(*tensors).sum(), wanted)
            value = function(*tensors)
            with torch.no_grad():
                function(*tensors)
    seen = weakref.ref(value)
    del value
    assert seen() is None
    assert [sys.getrefcount(t) for t in tensors] == before


@pytest.mark.parametrize("enabled", [False, True])
def test_references_after_errors(enabled: bool) -> None:
    x, target = torch.randn(300, 40, requires_grad=True), torch.full((300,), 40)
    front = torch.nn.functional if enabled else nxt
    before = sys.getrefcount(x), sys.getrefcount(target)
    with nxt.accelerated() if enabled else contextlib.nullcontext():
        for _ in range(3):
            with pytest.raises(IndexError):
                front.cross_entropy(x, target)
    assert (sys.getrefcount(x), sys.getrefcount(target)) == before
