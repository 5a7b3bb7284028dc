"""The ways of autograd: graphs used twice, checkpoints, autocast, inference, hooks, tensors changed in place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
from torch.utils.checkpoint import checkpoint
from torch_calls import CALLS, DTYPES, LARGE, Call, assert_same, differentiable, of_floats, outputs_and_gradients


@pytest.fixture(params=CALLS | LARGE)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return (CALLS | LARGE)[request.param]


def made(call: Call, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """Tensors that require gradients where there are any."""
    return differentiable(call.tensors(dtype), of_floats(call))


def test_backward_twice(call: Call) -> None:
    """A graph that is kept gives the same gradients again, they accumulate, and one that is not kept says so."""
    tensors = made(call)
    wanted = [t for t in tensors if t.requires_grad]
    value = call.ours(*tensors)
    once = torch.autograd.grad(value.sum(), wanted, retain_graph=True)
    assert_same(list(torch.autograd.grad(value.sum(), wanted, retain_graph=True)), list(once))
    value.sum().backward(retain_graph=True)
    value.sum().backward()
    assert_same([t.grad for t in wanted], [2 * g for g in once])
    with pytest.raises(RuntimeError, match="second time"):
        value.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(call: Call, reentrant: bool) -> None:
    tensors = made(call)

    def kept(*given: torch.Tensor) -> torch.Tensor:
        return checkpoint(call.ours, *given, use_reentrant=reentrant)

    if reentrant:  # which knows backward alone
        values = []
        for function in (kept, call.ours):
            copies = differentiable(tensors, of_floats(call))
            function(*copies).square().sum().backward()
            values.append([t.grad for t in copies if t.requires_grad])
        assert_same(*values)
    else:
        assert_same(outputs_and_gradients(kept, tensors), outputs_and_gradients(call.ours, tensors))


def test_without_gradients(call: Call) -> None:
    """no_grad, inference mode, and tensors that require none: the same bits, and no graph."""
    tensors = made(call)
    want = call.ours(*tensors)
    assert want.requires_grad
    plain = tuple(t.detach() for t in tensors)
    value = call.ours(*plain)
    assert not value.requires_grad
    assert_same([value], [want.detach()])
    with torch.no_grad():
        value = call.ours(*tensors)
        assert not value.requires_grad
        assert_same([value], [want.detach()])
    with torch.inference_mode():
        value = call.ours(*tensors)
        assert value.is_inference()
        assert_same([value], [want.detach()])
    inferred = torch.inference_mode()(lambda: tuple(t.clone() for t in plain))()
    assert_same([call.ours(*inferred).clone()], [want.detach()])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("given", DTYPES, ids=str)
def test_autocast(call: Call, dtype: torch.dtype, given: torch.dtype) -> None:
    """PyTorch's choice of dtype, forwards and backwards, by function and by module."""
    tensors = made(call, given)
    with torch.autocast("cpu", dtype=dtype):
        got, want = (outputs_and_gradients(function, tensors) for function in (call.ours, call.theirs))
    torch.testing.assert_close(got, want)


def test_second_order_by_hand(call: Call) -> None:
    """create_graph: the gradient of a gradient's norm, which a penalty needs."""
    tensors = made(call, torch.float64)

    def penalty(function: Callable[..., torch.Tensor]) -> list[torch.Tensor]:
        (slope,) = torch.autograd.grad(function(*tensors).square().sum(), tensors[:1], create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), tensors[:1]))

    torch.testing.assert_close(penalty(call.ours), penalty(call.theirs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("changed", ["input", "output"])
def test_tensors_changed_in_place(call: Call, changed: str) -> None:
    """Between forwards and backwards: an error or the right gradient, and never a wrong one."""
    tensors = made(call)
    wanted = [t for t in tensors if t.requires_grad]
    body = tensors[0] * 1
    value = call.ours(body, *tensors[1:])
    want = torch.autograd.grad(value.sum(), wanted, retain_graph=True)
    total = value.sum()
    with torch.no_grad():
        (body if changed == "input" else value).mul_(2)
    try:
        got = torch.autograd.grad(total, wanted)
    except RuntimeError as error:
        got, reason = None, str(error)
    if got is None:
        assert "modified by an inplace operation" in reason
    else:
        assert_same(list(got), list(want))


def test_directions(call: Call) -> None:
    """A direction of zeros, one that is broadcast, one that is not contiguous."""
    tensors = made(call)
    value = call.ours(*tensors)
    wanted = [t for t in tensors if t.requires_grad]
    directions = [torch.zeros_like(value), torch.full((), 0.5).expand_as(value)]
    if value.ndim:
        directions.append(torch.randn(*value.shape, 2)[..., 0].to(value.dtype))
        directions.append(torch.randn(value.shape[::-1]).permute(*reversed(range(value.ndim))).to(value.dtype))
    for direction in directions:
        got = torch.autograd.grad(value, wanted, direction.to(value.dtype), retain_graph=True)
        plain = direction.to(value.dtype).contiguous()
        assert_same(list(got), list(torch.autograd.grad(value, wanted, plain, retain_graph=True)))
        other = torch.autograd.grad(call.theirs(*tensors), wanted, plain)
        torch.testing.assert_close(got, other)
    if call.target != "probabilities":  # p - 1 times 0 is 0
        assert not any(g.any() for g in torch.autograd.grad(value, wanted, directions[0], retain_graph=True))


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_hooks_and_anomaly_mode(call: Call) -> None:
    """A hook sees the gradient; anomaly mode finds nothing."""
    tensors = made(call)
    seen: list[torch.Tensor] = []
    with torch.autograd.detect_anomaly(check_nan=True):
        body = tensors[0] * 1
        body.register_hook(lambda g: seen.append(g.clone()) or g * 3)
        value = call.ours(body, *tensors[1:])
        (got,) = torch.autograd.grad(value.sum(), tensors[:1])
    (want,) = torch.autograd.grad(call.ours(*tensors).sum(), tensors[:1])
    assert_same([seen[0], got], [want, 3 * want])
