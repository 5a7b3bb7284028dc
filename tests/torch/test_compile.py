"""torch.compile without graph breaks and with dynamic shapes, and torch.export: the same bits as the eager call."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("torch")
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch_calls import CALLS, Call, Tensors, assert_same, differentiable, of_floats, outputs_and_gradients

import normexp.torch as nxt

# What PyTorch's compiler says to itself: of its own parts that are deprecated, and of one thread's worth of work.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

FEW = (
    "softmax, middle axis",
    "log_softmax, last axis",
    "softmin, first axis",
    "softmax, another dtype",
    "logsumexp, two axes",
    "logsumexp, kept axis",
    "nll_loss, (N, C), mean",
    "nll_loss, weights, ignored, mean",
    "cross_entropy, (N, C), mean",
    "cross_entropy, (N, C, d), none",
    "cross_entropy, everything, sum",
    "cross_entropy, probabilities, weights, mean",
)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Nothing that was compiled before, and no second compilation where one must do."""
    torch.compiler.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield
    torch.compiler.reset()


def of_size(call: Call, rows: int) -> Tensors:
    """The tensors of a call with so many rows, in float32."""
    shape = (rows, *call.shape[1:])
    return Call(call.function, shape, call.options, call.target, call.weighted).tensors(torch.float32)


@pytest.mark.parametrize("name", FEW)
def test_compiled(name: str) -> None:
    """One graph for all sizes, forwards and backwards, in training and without gradients."""
    call = CALLS[name]
    compiled = torch.compile(call.ours, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (7, 12, 31):
        tensors = differentiable(of_size(call, rows), of_floats(call))
        want = outputs_and_gradients(call.ours, tensors)
        assert_same(outputs_and_gradients(compiled, tensors), want, f"{rows} rows")


@pytest.mark.parametrize("name", FEW)
def test_compiled_without_gradients(name: str) -> None:
    call = CALLS[name]
    compiled = torch.compile(call.ours, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for rows in (7, 12):
            tensors = of_size(call, rows)
            assert_same([compiled(*tensors)], [call.ours(*tensors)], f"{rows} rows")


class Classifier(torch.nn.Module):
    """A model whose attention and loss are ours."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Linear(8, 5)
        self.loss = nxt.CrossEntropyLoss(label_smoothing=0.1)

    def forward(self, x: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed = nxt.softmax(x @ x.mT, dim=-1) @ x
        logits = self.body(mixed)
        return self.loss(logits, target), nxt.log_softmax(logits, 1)


def example(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An input of the classifier."""
    random = torch.Generator().manual_seed(rows)
    return torch.randn(rows, 8, generator=random), torch.randint(5, (rows,), generator=random)


@pytest.fixture
def model() -> Classifier:
    """The classifier, always the same one."""
    torch.manual_seed(0)
    return Classifier()


def losses_and_gradients(model: Callable[..., Any], parameters: list[torch.nn.Parameter], rows: int) -> list[Any]:
    """Of a step of training."""
    loss, log_probs = model(*example(rows))
    return [loss.detach(), log_probs.detach(), *torch.autograd.grad(loss, parameters)]


@pytest.mark.skipif(shutil.which("g++") is None, reason="TorchInductor calls g++")
def test_inductor(model: Classifier) -> None:
    """Our operators in code that PyTorch generates: its matrix products may round otherwise, to some roundings."""
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for rows in (6, 10):
        got, want = (losses_and_gradients(one, list(model.parameters()), rows) for one in (compiled, model))
        torch.testing.assert_close(got, want)


def test_the_graph_has_our_operators(model: Classifier) -> None:
    """Compiled code runs on the engine, and not on a decomposition into PyTorch's operators."""
    seen: set[str] = set()

    def compiler(graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        seen.update(str(node.target) for node in graph.graph.nodes)
        return make_boxed_func(graph.forward)

    compiled = torch.compile(model, fullgraph=True, backend=aot_autograd(fw_compiler=compiler, bw_compiler=compiler))
    losses_and_gradients(compiled, list(model.parameters()), 6)
    assert len({name for name in seen if name.startswith("normexp.")}) >= 3, seen
    assert not {name for name in seen if "softmax" in name and name.startswith("aten.")}, seen
    assert not {name for name in seen if "nll_loss" in name and name.startswith("aten.")}, seen


def test_exported(model: Classifier) -> None:
    """A program for any number of rows; saved, loaded and decomposed as well."""
    rows = torch.export.Dim("rows", min=2)
    program = torch.export.export(model, example(6), dynamic_shapes=({0: rows}, {0: rows}))
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    for one in (program, torch.export.load(stored), program.run_decompositions()):
        for count in (6, 11):
            assert_same(one.module()(*example(count)), model(*example(count)), f"{count} rows")


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_under_accelerated(backend: str) -> None:
    """A model that was never changed, traced and run while normexp is behind PyTorch's operators."""
    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Linear(8, 40), torch.nn.LogSoftmax(1))
    x, target = torch.randn(300, 8), torch.arange(300) % 40

    def step(x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(body(x), target)

    def outcome(function: Callable[..., torch.Tensor]) -> list[torch.Tensor]:
        value = function(x, target)
        return [value.detach(), *torch.autograd.grad(value, list(body.parameters()))]

    with nxt.accelerated():
        torch.testing.assert_close(outcome(torch.compile(step, fullgraph=True, backend=backend)), outcome(step))


def test_compiling_under_accelerated_leaves_nothing_behind() -> None:
    """PyTorch remembers for each operator where compiled calls go: composed or not, and so with tangents or not."""
    x, target = torch.randn(6, 5, dtype=torch.float64), torch.arange(6) % 5

    def tangent(a: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(lambda q: torch.nn.functional.cross_entropy(q, target), (a,), (a,))[1]

    def compiled() -> torch.Tensor:
        torch.compiler.reset()
        return torch.compile(tangent, fullgraph=True, backend="eager")(x)

    wanted = tangent(x)
    with nxt.accelerated():
        torch.compile(torch.nn.functional.cross_entropy, fullgraph=True, backend="eager")(x, target)
        torch.testing.assert_close(compiled(), wanted)
    torch.testing.assert_close(compiled(), wanted)
