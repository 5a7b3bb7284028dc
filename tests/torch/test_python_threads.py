"""Several Python threads at once, as DataParallel has them: forwards and backwards with the bits of one alone."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("torch")
import torch
from torch_calls import CALLS, LARGE, Call, Tensors, assert_same, differentiable, of_floats, outputs_and_gradients


@pytest.fixture(params=CALLS | LARGE)
def call(request: pytest.FixtureRequest) -> Call:
    """Each call in turn."""
    return (CALLS | LARGE)[request.param]


def in_threads(count: int, work) -> None:
    """Run it in so many threads at once."""
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        work()

    workers = [threading.Thread(target=run) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def test_a_graph_for_each(call: Call) -> None:
    tensors = differentiable(call.tensors(torch.float32), of_floats(call))
    want = outputs_and_gradients(call.ours, tensors)
    found: list[list[torch.Tensor]] = []

    def work() -> None:
        copies = differentiable(tensors, of_floats(call))
        found.extend(outputs_and_gradients(call.ours, copies) for _ in range(5))

    in_threads(4, work)
    assert len(found) == 20
    for got in found:
        assert_same(got, want)


def test_a_graph_for_all(call: Call) -> None:
    """One forward pass, and a backward pass of it in each thread."""
    tensors = differentiable(call.tensors(torch.float32), of_floats(call))
    wanted = [t for t in tensors if t.requires_grad]
    value = call.ours(*tensors).sum()
    want = torch.autograd.grad(value, wanted, retain_graph=True)
    found: list[Tensors] = []
    in_threads(3, lambda: found.append(torch.autograd.grad(value, wanted, retain_graph=True)))
    assert len(found) == 3
    for got in found:
        assert_same(got, want)


def test_the_first_forward_of_each_thread() -> None:
    """A module that all share, in training: what DataParallel does with its replicas."""
    model = torch.nn.Sequential(torch.nn.Linear(16, 12), torch.nn.ReLU())
    call = Call("cross_entropy", (64, 12), {}, "labels")
    x, target = torch.randn(64, 16), call.tensors()[1]
    want = torch.autograd.grad(call.ours(model(x), target), list(model.parameters()))
    found: list[Tensors] = []
    in_threads(4, lambda: found.append(torch.autograd.grad(call.ours(model(x), target), list(model.parameters()))))
    assert len(found) == 4
    for got in found:
        assert_same(got, want)
