"""Derivatives beside finite differences in float64: first and second, reverse and forward mode, batched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.gradcheck import GradcheckError
from torch_calls import CALLS, Call, Tensors, differentiable, of_floats

# Forward mode makes PyTorch script its own decompositions, and tell itself that it should not.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

PROBABILITIES = [name for name, call in CALLS.items() if call.target == "probabilities"]


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return CALLS[request.param]


def test_first(call: Call) -> None:
    """By the logits, by target probabilities, and by the weights where PyTorch has such a derivative."""
    tensors = differentiable(call.tensors(), of_floats(call))
    assert gradcheck(
        call.ours, tensors, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )


def test_second(call: Call) -> None:
    tensors = differentiable(call.tensors(), of_floats(call))
    assert gradgradcheck(call.ours, tensors, check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True)


@pytest.mark.parametrize("name", PROBABILITIES)
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,)])
def test_one_of_the_derivatives(name: str, wanted: tuple[int, ...]) -> None:
    """Only that by the logits, or only that by the probabilities or the weights."""
    tensors = differentiable(CALLS[name].tensors(), wanted)
    if any(t.requires_grad for t in tensors):
        assert gradcheck(CALLS[name].ours, tensors, check_forward_ad=True)
        assert gradgradcheck(CALLS[name].ours, tensors)


def test_weights_of_labels_have_the_derivative_that_pytorch_gives_them() -> None:
    """None, but where smoothing multiplies by them."""
    for call in (one for one in CALLS.values() if one.weighted and one.target == "labels"):
        tensors = differentiable(call.tensors())
        wanted = [t for t in tensors if t.requires_grad]
        got, want = (derivatives(function, tensors, wanted) for function in (call.ours, call.theirs))
        if isinstance(want, type):
            assert got == want, call
        else:
            torch.testing.assert_close(got, want)


def derivatives(function: Callable[..., torch.Tensor], tensors: Tensors, wanted: list[torch.Tensor]) -> object:
    """Those by the wanted tensors, or the type of the error."""
    try:
        return torch.autograd.grad(function(*tensors).sum(), wanted, allow_unused=True)
    except RuntimeError as error:
        return type(error)


def test_a_wrong_derivative_would_be_noticed() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.softmax(-1)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * x.softmax(-1)

    with pytest.raises(GradcheckError):
        gradcheck(Wrong.apply, differentiable(CALLS["softmax, last axis"].tensors()))
