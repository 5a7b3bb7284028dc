"""linear_cross_entropy and everything that autograd, torch.func, autocast and the compiler do to it."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="opcheck imports it")
import torch
from linear_calls import GRID, OURS, SHAPED, Linear, answer, by_pytorch
from torch.library import opcheck
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

# Forward mode and the compiler make PyTorch script its own decompositions, and tell itself that it should not.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
FEW = {name: GRID[name] for name in ("mean biased", "sum smoothed soft", "none biased weighted ignored")}
some = pytest.mark.parametrize("call", FEW.values(), ids=FEW)


def split(call: Linear) -> tuple[tuple[torch.Tensor, ...], list[str], dict[str, torch.Tensor]]:
    """The tensors with derivatives, their names, and the others."""
    tensors = call.tensors()
    names = [name for name, t in tensors.items() if t.requires_grad]
    return (
        tuple(tensors.pop(name) for name in names),
        names,
        {**tensors, **call.keywords({"target": tensors["target"]})},
    )


@some
@pytest.mark.parametrize("shaped", [{}, *SHAPED.values()], ids=["plain", *SHAPED])
def test_gradcheck(call: Linear, shaped: dict[str, float]) -> None:
    leaves, names, others = split(Linear(**{**call.__dict__, "rows": 5, "features": 3, "classes": 4}))

    def function(*given: torch.Tensor) -> torch.Tensor:
        return OURS(**dict(zip(names, given, strict=True)), **others, **shaped, memory_budget=64)

    assert torch.autograd.gradcheck(function, leaves)
    assert torch.autograd.gradgradcheck(function, leaves)


@some
def test_backward_again(call: Linear) -> None:
    """The first backward takes the gradients that the forward has made; the others compute them again."""
    leaves, names, others = split(call)
    loss = OURS(**dict(zip(names, leaves, strict=True)), **others).sum()
    first, second, third = (torch.autograd.grad(loss * by, leaves, retain_graph=True) for by in (2.0, 1.0, 3.0))
    for one, two, three in zip(first, second, third, strict=True):
        assert_close(one, 2 * two, **CLOSE)
        assert_close(three, 3 * two, **CLOSE)


def test_gradients_that_were_handed_over_are_the_callers() -> None:
    """What is done to them afterwards changes no later backward."""
    leaves, names, others = split(FEW["mean biased"])
    loss = OURS(**dict(zip(names, leaves, strict=True)), **others)
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    kept = [gradient.clone() for gradient in first]
    for gradient in first:
        gradient.zero_()
    assert_close(torch.autograd.grad(loss, leaves), tuple(kept), **CLOSE)


@some
def test_gradients_add_up(call: Linear) -> None:
    leaves, names, others = split(call)
    for _ in range(2):
        OURS(**dict(zip(names, leaves, strict=True)), **others).sum().backward()
    want = torch.autograd.grad(by_pytorch(**dict(zip(names, leaves, strict=True)), **others).sum(), leaves)
    assert_close([leaf.grad for leaf in leaves], [2 * gradient for gradient in want], **CLOSE)


def test_arguments_changed_between_forward_and_backward() -> None:
    leaves, names, others = split(FEW["mean biased"])
    loss = OURS(**dict(zip(names, leaves, strict=True)), **others)
    with torch.no_grad():
        leaves[0].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_by_probabilities_and_by_the_weights_of_classes() -> None:
    call = GRID["mean soft weighted"]
    tensors = call.tensors()
    for name in ("target", "weight"):
        tensors[name].requires_grad_()
    assert_close(answer(OURS, call, tensors), answer(by_pytorch, call, tensors), **CLOSE)


@some
def test_torch_func(call: Linear) -> None:
    leaves, names, others = split(call)

    def value(function, *given: torch.Tensor) -> torch.Tensor:
        return function(**dict(zip(names, given, strict=True)), **others).sum()

    at = tuple(range(len(leaves)))
    got, want = (torch.func.grad(lambda *g, f=f: value(f, *g), argnums=at)(*leaves) for f in (OURS, by_pytorch))
    assert_close(got, want, **CLOSE)
    tangents = tuple(torch.ones_like(leaf) for leaf in leaves)
    got, want = (torch.func.jvp(lambda *g, f=f: value(f, *g), leaves, tangents) for f in (OURS, by_pytorch))
    assert_close(got, want, **CLOSE)
    batch = tuple(torch.stack([leaf.detach(), 2 * leaf.detach()]) for leaf in leaves)
    got, want = (torch.func.vmap(lambda *g, f=f: value(f, *g))(*batch) for f in (OURS, by_pytorch))
    assert_close(got, want, **CLOSE)


@some
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(call: Linear, reentrant: bool) -> None:
    leaves, names, others = split(call)

    def function(*given: torch.Tensor) -> torch.Tensor:
        return OURS(**dict(zip(names, given, strict=True)), **others).sum()

    got = checkpoint(function, *leaves, use_reentrant=reentrant)
    got.backward()
    want = torch.autograd.grad(function(*leaves), leaves)
    assert_close([leaf.grad for leaf in leaves], list(want), **CLOSE)


@some
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_without_a_graph_break(call: Linear, dynamic: bool) -> None:
    leaves, names, others = split(call)

    @torch.compile(fullgraph=True, dynamic=dynamic, backend="aot_eager")
    def function(*given: torch.Tensor) -> torch.Tensor:
        loss = OURS(**dict(zip(names, given, strict=True)), **others, softcap=3.0, memory_budget=1000)
        return (3 * loss).sum()

    with torch._functorch.config.patch(donated_buffer=False):  # as PyTorch asks of who keeps a compiled graph
        loss = function(*leaves)
        got = torch.autograd.grad(loss, leaves, retain_graph=True)
        again = torch.autograd.grad(loss, leaves)
    want = by_pytorch(**dict(zip(names, leaves, strict=True)), **others, softcap=3.0)
    assert_close(loss, (3 * want).sum(), **CLOSE)
    assert_close(got, torch.autograd.grad((3 * want).sum(), leaves), **CLOSE)
    assert_close(again, got, rtol=0, atol=0)


def test_compiled_by_inductor() -> None:
    leaves, names, others = split(FEW["mean biased"])

    @torch.compile(fullgraph=True)
    def function(*given: torch.Tensor) -> torch.Tensor:
        return 2 * OURS(**dict(zip(names, given, strict=True)), **others)

    got = torch.autograd.grad(function(*leaves), leaves)
    want = torch.autograd.grad(2 * by_pytorch(**dict(zip(names, leaves, strict=True)), **others), leaves)
    assert_close(got, want, **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@some
def test_opcheck(call: Linear, dtype: torch.dtype) -> None:
    tensors = call.tensors(dtype)
    reduction = {"none": 0, "mean": 1, "sum": 2}[call.options["reduction"]]
    problem = [tensors.get(name) for name in ("input", "linear_weight", "linear_bias", "target", "weight")]
    settings = (-100, call.options["label_smoothing"], reduction, 1.0, None, 0.0, None)
    wanted = [reduction != 0 and given is not None and given.requires_grad for given in problem[:3]]
    opcheck(torch.ops.normexp.linear_cross_entropy, (*problem, *settings, *wanted))
    detached = [None if given is None else given.detach() for given in problem]
    grad = torch.linspace(-1, 1, call.rows)
    asked = [given is not None for given in problem[:3]]
    opcheck(torch.ops.normexp.linear_cross_entropy_backward, (grad, *detached, *settings, *asked))


@some
def test_gradients_of_gradients_of_the_operators(call: Linear) -> None:
    """Within a mode that sees every call, the operators are what is differentiated."""
    leaves, names, others = split(call)

    def twice(function) -> tuple[torch.Tensor, ...]:
        loss = function(**dict(zip(names, leaves, strict=True)), **others).sum()
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        return torch.autograd.grad(sum(gradient.square().sum() for gradient in first), leaves)

    with torch.device("cpu"):
        got = twice(OURS)
    assert_close(got, twice(by_pytorch), **CLOSE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(dtype: torch.dtype) -> None:
    """As PyTorch's function: the products in the half type, and a loss of float32; gradients in float32."""
    call = GRID["mean biased"]
    tensors = call.tensors(torch.float32)
    with torch.autocast("cpu", dtype=dtype):
        got, want = (answer(f, call, tensors) for f in (OURS, torch.nn.functional.linear_cross_entropy))
    for one, other in zip(got, want, strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert_close(one, other, rtol=0.02, atol=0.01 * float(other.abs().max()))


def test_modes() -> None:
    """Fake tensors, a device mode and anomaly mode."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    call = FEW["mean biased"]
    want = answer(OURS, call, call.tensors())
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly(check_nan=True):
        assert_close(answer(OURS, call, call.tensors()), want, rtol=0, atol=0)
    tensors = call.tensors()
    with torch.device("cpu"):
        assert_close(answer(OURS, call, tensors), want, rtol=0, atol=0)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = {name: mode.from_tensor(t) for name, t in call.tensors().items()}
        assert OURS(**fake).shape == ()
        assert OURS(**fake, reduction="none").shape == (call.rows,)
    assert OURS(**{name: t.to("meta") for name, t in call.tensors().items()}).device.type == "meta"
