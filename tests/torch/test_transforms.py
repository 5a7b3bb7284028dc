"""torch.func and forward mode: grad, jvp, vjp, jacobians, hessians, and vmap over whatever can be batched."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
from torch.autograd import forward_ad
from torch.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch_calls import CALLS, Call, Tensors

# Forward mode makes PyTorch script its own decompositions, and tell itself that it should not.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

BATCH = 3


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return CALLS[request.param]


def assert_agree(got: object, want: object, what: object = None) -> None:
    """To a thousand roundings of float64, which is what sums of tens of terms of size one may lose."""
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-13, msg=lambda text: f"{what}: {text}")


def of_logits(function: Callable[..., torch.Tensor], tensors: Tensors) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function with the other tensors given."""
    return lambda x: function(x, *tensors[1:])


def test_derivatives(call: Call) -> None:
    tensors = call.tensors()
    ours, theirs = of_logits(call.ours, tensors), of_logits(call.theirs, tensors)
    x, tangent = tensors[0], torch.randn_like(tensors[0])
    assert_agree(grad(lambda x: ours(x).sum())(x), grad(lambda x: theirs(x).sum())(x))
    assert_agree(
        grad_and_value(lambda x: ours(x).square().sum())(x), grad_and_value(lambda x: theirs(x).square().sum())(x)
    )
    assert_agree(jvp(ours, (x,), (tangent,)), jvp(theirs, (x,), (tangent,)))
    value, back = vjp(ours, x)
    assert_agree(back(torch.ones_like(value)), vjp(theirs, x)[1](torch.ones_like(value)))
    assert_agree(jacrev(ours)(x), jacrev(theirs)(x))
    assert_agree(jacfwd(ours)(x), jacfwd(theirs)(x))
    assert_agree(hessian(lambda x: ours(x).sum())(x), hessian(lambda x: theirs(x).sum())(x))


def test_forward_mode(call: Call) -> None:
    """Dual numbers, as autograd.forward_ad has them."""
    x, *others = call.tensors()
    tangent = torch.randn_like(x)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, tangent)
        got, want = (forward_ad.unpack_dual(function(dual, *others)) for function in (call.ours, call.theirs))
        assert_agree(got.primal, want.primal)
        assert got.tangent is not None
        assert_agree(got.tangent, want.tangent)


def test_batches(call: Call) -> None:
    """vmap over any of the tensors, wherever their batches are, is the call of each in turn."""
    alone, batched = call.tensors(), call.tensors(batch=(BATCH,))
    for chosen in itertools.product((False, True), repeat=len(alone)):
        if not any(chosen):
            continue
        given = tuple(many if yes else one for one, many, yes in zip(alone, batched, chosen, strict=True))
        want = torch.stack(
            [call.theirs(*(t[i] if yes else t for t, yes in zip(given, chosen, strict=True))) for i in range(BATCH)]
        )
        first, last = (tuple(axis if yes else None for yes in chosen) for axis in (0, -1))
        moved = tuple(t.movedim(0, -1) if yes else t for t, yes in zip(given, chosen, strict=True))
        for dims, tensors in ((first, given), (last, moved)):
            try:
                vmap(call.theirs, dims)(*tensors)
            except RuntimeError:  # PyTorch's smoothed loss masks in place, and cannot have batches of labels alone
                assert call.options.get("label_smoothing")
                continue
            assert_agree(vmap(call.ours, dims)(*tensors), want, chosen)
            assert_agree(vmap(call.ours, dims, out_dims=-1)(*tensors), want.movedim(0, -1), chosen)


def test_batches_of_batches(call: Call) -> None:
    tensors = call.tensors(batch=(2, BATCH))
    want = torch.stack([torch.stack([call.ours(*(t[i, j] for t in tensors)) for j in range(BATCH)]) for i in range(2)])
    assert_agree(vmap(vmap(call.ours))(*tensors), want)


def test_gradients_of_each_sample(call: Call) -> None:
    """vmap of grad, for the gradient of each row of a batch; and the other way round."""
    tensors = call.tensors(batch=(BATCH,))
    slope = grad(lambda *given: call.ours(*given).sum())
    want = torch.stack([slope(*(t[i] for t in tensors)) for i in range(BATCH)])
    assert_agree(vmap(slope)(*tensors), want)
    assert_agree(grad(lambda x: vmap(call.ours)(x, *tensors[1:]).sum())(tensors[0]), want)
    hand = torch.stack(
        [grad(lambda x, i=i: call.theirs(x, *(t[i] for t in tensors[1:])).sum())(tensors[0][i]) for i in range(BATCH)]
    )
    assert_agree(want, hand)
