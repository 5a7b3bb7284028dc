"""Transforms of torch.func inside what records calls (the compiler, make_fx, dispatch modes): PyTorch's results."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import normexp.torch as nxt

Call = Callable[[Tensor], Tensor]
TARGET = torch.tensor([0, 1, 2, 3, 4, 0])
CALLS: dict[str, tuple[Call, Call]] = {
    "softmax": (lambda q: nxt.softmax(q, 1).pow(2).sum(), lambda q: F.softmax(q, 1).pow(2).sum()),
    "log_softmax": (lambda q: nxt.log_softmax(q, 1)[:, 0].sum(), lambda q: F.log_softmax(q, 1)[:, 0].sum()),
    "logsumexp": (lambda q: nxt.logsumexp(q, 1).sum(), lambda q: torch.logsumexp(q, 1).sum()),
    "cross_entropy": (lambda q: nxt.cross_entropy(q, TARGET), lambda q: F.cross_entropy(q, TARGET)),
    "nll_loss": (lambda q: nxt.nll_loss(q, TARGET), lambda q: F.nll_loss(q, TARGET)),
}
TRANSFORMS: dict[str, Callable[[Call], Call]] = {
    "grad": lambda f: lambda a: torch.func.grad(f)(a),
    "jvp": lambda f: lambda a: torch.func.jvp(f, (a,), (a,))[1],
    "vmap": lambda f: lambda a: torch.vmap(f)(torch.stack([a, 2 * a])),
    "vmap of grad": lambda f: lambda a: torch.vmap(torch.func.grad(f))(torch.stack([a, 2 * a])),
    "hessian": lambda f: lambda a: torch.func.hessian(f)(a),
}
pytestmark = pytest.mark.filterwarnings("ignore")  # the compiler's own


@pytest.fixture
def x() -> Tensor:
    return torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", CALLS)
def test_under_the_compiler(x: Tensor, name: str, transform: str) -> None:
    ours, theirs = (TRANSFORMS[transform](f) for f in CALLS[name])
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), theirs(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", CALLS)
def test_in_a_dispatch_mode(x: Tensor, name: str, transform: str) -> None:
    ours, theirs = (TRANSFORMS[transform](f) for f in CALLS[name])
    with FlopCounterMode(display=False):
        result = ours(x)
    torch.testing.assert_close(result, theirs(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(make_fx(ours)(x)(x), theirs(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CALLS)
def test_dual_numbers_under_the_compiler(x: Tensor, name: str) -> None:
    ours, theirs = CALLS[name]
    compiled = torch.compile(ours, backend="eager")
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, x)
        wanted = forward_ad.unpack_dual(theirs(dual)).tangent
        got = forward_ad.unpack_dual(compiled(dual)).tangent
        assert got is not None
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def test_plain_calls_are_still_recorded(x: Tensor) -> None:
    graph = make_fx(lambda q: nxt.softmax(q, 1))(x)
    assert "normexp.softmax" in graph.code


@pytest.mark.parametrize("reduction", [0, 1, 2])
def test_losses_as_operators_under_vmap(x: Tensor, reduction: int) -> None:
    logits, labels = torch.stack([x, 2 * x, -x]), torch.stack([TARGET, TARGET.flip(0), TARGET])
    for op in (torch.ops.normexp.cross_entropy, torch.ops.normexp.nll_loss):

        def one(a: Tensor, t: Tensor, op: Callable[..., Tensor] = op) -> Tensor:
            return op(a, t, None, -100, 0.0, reduction)

        wanted = torch.stack([one(a, t) for a, t in zip(logits, labels, strict=True)])
        assert torch.equal(torch.vmap(one)(logits, labels), wanted)
        assert torch.equal(torch.vmap(one, in_dims=(0, None))(logits, TARGET)[0], one(x, TARGET))
        assert torch.equal(torch.vmap(one, in_dims=(2, None))(logits.movedim(0, 2), TARGET)[1], one(2 * x, TARGET))


def test_logsumexp_as_an_operator_knows_its_dimensions(x: Tensor) -> None:
    op = torch.ops.normexp.logsumexp
    assert torch.equal(op(x, [-1], False), op(x, [1], False))
    batch = torch.stack([x, 2 * x])
    assert torch.equal(torch.vmap(lambda q: op(q, [-1], False))(batch)[1], op(2 * x, [1], False))
    for where in (x, x.to("meta")):
        with pytest.raises(IndexError):
            op(where, [7], False)
