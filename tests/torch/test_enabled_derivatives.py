"""Derivatives of PyTorch's own functions while normexp is behind their operators: all that autograd can ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch")
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, hessian, jacrev, jvp, vmap
from torch.utils.checkpoint import checkpoint
from torch_calls import (
    CALLS,
    LARGE,
    Call,
    assert_as_pytorch,
    assert_same,
    differentiable,
    of_floats,
    outputs_and_gradients,
    widened,
)

import normexp.torch as nxt

# Forward mode makes PyTorch script its own decompositions, and tell itself that it should not.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    with nxt.accelerated():
        yield


@pytest.fixture(params=CALLS | LARGE)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return (CALLS | LARGE)[request.param]


@pytest.mark.parametrize("name", CALLS)
def test_finite_differences(name: str) -> None:
    """First and second, reverse and forward mode, batched."""
    call = CALLS[name]
    tensors = differentiable(call.tensors(), of_floats(call))
    assert gradcheck(call.theirs, tensors, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call.theirs, tensors, check_fwd_over_rev=True, check_batched_grad=True)


def test_second_order(call: Call) -> None:
    """A penalty on the gradient, of sizes at which our kernels run; beside PyTorch alone."""

    def penalty() -> list[torch.Tensor]:
        tensors = differentiable(call.tensors(torch.float64), of_floats(call))
        (slope,) = torch.autograd.grad(call.theirs(*tensors).square().sum(), tensors[:1], create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), tensors[:1]))

    got = penalty()
    nxt.disable()
    torch.testing.assert_close(got, penalty(), rtol=1e-10, atol=1e-12)


def test_transforms(call: Call) -> None:
    """torch.func and dual numbers, beside PyTorch alone."""
    x, *others = call.tensors()

    def function(x: torch.Tensor) -> torch.Tensor:
        return call.theirs(x, *others)

    def everything() -> list[torch.Tensor]:
        tangent = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
        found = [grad(lambda x: function(x).sum())(x), *jvp(function, (x,), (tangent,))]
        if x.numel() < 50:
            found += [jacrev(function)(x), hessian(lambda x: function(x).sum())(x)]
        found.append(vmap(function)(torch.stack([x, x * 2])))
        with forward_ad.dual_level():
            found += forward_ad.unpack_dual(function(forward_ad.make_dual(x, tangent)))
        return found

    got = everything()
    nxt.disable()
    torch.testing.assert_close(got, everything(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_autocast(call: Call, dtype: torch.dtype) -> None:
    """The dtype that PyTorch chooses, and its value to its tolerances."""

    tensors = differentiable(call.tensors(dtype), of_floats(call))

    def value() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return call.theirs(*tensors)

    got = value()
    nxt.disable()
    assert_as_pytorch([got], [value()], [call.theirs(*map(widened, tensors))], call)


def test_modes(call: Call) -> None:
    """Checkpoints, kept graphs, no_grad and inference mode: the same bits."""
    tensors = differentiable(call.tensors(torch.float32), of_floats(call))
    want = outputs_and_gradients(call.theirs, tensors)
    assert_same(outputs_and_gradients(lambda *t: checkpoint(call.theirs, *t, use_reentrant=False), tensors), want)
    wanted = [t for t in tensors if t.requires_grad]
    total = call.theirs(*tensors).sum()
    once = torch.autograd.grad(total, wanted, retain_graph=True)
    assert_same(torch.autograd.grad(total, wanted), once)
    with torch.no_grad():
        assert_same([call.theirs(*tensors)], want[:1])
    with torch.inference_mode():
        assert_same([call.theirs(*tensors)], want[:1])


def test_meta_tensors(call: Call) -> None:
    """Tensors without numbers pass by."""
    tensors = tuple(t.to("meta") for t in call.tensors(torch.float32))
    got = call.theirs(*tensors)
    want = call.theirs(*call.tensors(torch.float32))
    assert (got.shape, got.dtype, got.stride()) == (want.shape, want.dtype, want.stride())
