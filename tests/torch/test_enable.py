"""enable, disable and accelerated: in effect while they say so, and undone to the last bit and table entry."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
from torch.nn import functional as F
from torch_calls import (
    LARGE,
    PYTORCH,
    assert_as_pytorch,
    assert_same,
    differentiable,
    of_floats,
    outputs_and_gradients,
    widened,
)

import normexp
import normexp.torch as nxt

# A row that is sure of its class, many times: PyTorch's float32 says that its loss is exactly 0 (it is 16 e^-40).
SURE = torch.zeros(512, 17)
SURE[:, 3] = 40.0
SURE_OF = torch.full((512,), 3)

WITNESSES: dict[str, Callable[[], torch.Tensor]] = {
    "log_softmax": lambda: F.log_softmax(SURE, dim=1)[:, 3],
    "Tensor.log_softmax": lambda: SURE.log_softmax(1)[:, 3],
    "torch.special.log_softmax": lambda: torch.special.log_softmax(SURE, 1)[:, 3],
    "LogSoftmax": lambda: torch.nn.LogSoftmax(1)(SURE)[:, 3],
    "cross_entropy": lambda: F.cross_entropy(SURE, SURE_OF),
    "cross_entropy, none": lambda: F.cross_entropy(SURE, SURE_OF, reduction="none"),
    "cross_entropy, weights": lambda: F.cross_entropy(SURE, SURE_OF, weight=torch.ones(17), reduction="sum"),
    "cross_entropy, probabilities": lambda: F.cross_entropy(SURE, F.one_hot(SURE_OF, 17).float()),
    "CrossEntropyLoss": lambda: torch.nn.CrossEntropyLoss()(SURE, SURE_OF),
    "log_softmax of columns": lambda: F.log_softmax(SURE.mT, dim=0)[3],
}


def in_effect() -> set[str]:
    """Which of PyTorch's own functions see the loss that is there."""
    return {name for name, call in WITNESSES.items() if call().any()}


def tables() -> dict[str, str]:
    """What the dispatcher would do, for each of PyTorch's operators and each kind of tensor."""
    names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    return {name: torch._C._dispatch_dump(name) for name in names}


def figures() -> list[torch.Tensor]:
    """Values and gradients of PyTorch's functions, where its roundings and ours differ."""
    found = []
    for call in LARGE.values():
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            tensors = differentiable(call.tensors(dtype), of_floats(call))
            found += outputs_and_gradients(call.theirs, tensors)
    return found


def test_in_effect() -> None:
    """The functions, the methods and the modules, by whatever name, and none of them before and after."""
    assert in_effect() == set()
    nxt.enable()
    assert in_effect() == set(WITNESSES)
    nxt.disable()
    assert in_effect() == set()


def test_undone_exactly() -> None:
    """The same kernels and the same bits as before, however often."""
    table, before = tables(), figures()
    for _ in range(3):
        nxt.enable()
        enabled = figures()
        nxt.disable()
        assert_same(figures(), before)
        assert tables() == table
    assert any(not torch.equal(one, other) for one, other in zip(enabled, before, strict=True))


def test_the_bits_are_those_of_our_functions() -> None:
    """There is one engine behind the functions and behind `enable`."""
    for name, call in LARGE.items():
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            tensors = differentiable(call.tensors(dtype), of_floats(call))
            want = outputs_and_gradients(call.ours, tensors)
            with nxt.accelerated():
                got = outputs_and_gradients(call.theirs, tensors)
            assert_same(got, want, f"{name}, {dtype}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_values_are_pytorchs(dtype: torch.dtype) -> None:
    """Within PyTorch's own tolerances, of a result that both round."""
    for name, call in LARGE.items():
        tensors = differentiable(call.tensors(dtype), of_floats(call))
        want = outputs_and_gradients(call.theirs, tensors)
        with nxt.accelerated():
            got = outputs_and_gradients(call.theirs, tensors)
        exact = outputs_and_gradients(call.theirs, tuple(map(widened, tensors)))
        assert_as_pytorch(got, want, exact, name)


def test_idempotent() -> None:
    table = tables()
    nxt.disable()
    assert tables() == table
    nxt.enable()
    enabled = tables()
    assert enabled != table
    nxt.enable()
    assert tables().keys() == enabled.keys()
    assert in_effect() == set(WITNESSES)
    nxt.disable()
    assert tables() == table
    nxt.disable()
    assert tables() == table


def test_nested() -> None:
    """Each scope leaves things as it found them."""
    with nxt.accelerated():
        with nxt.accelerated():
            assert in_effect()
        assert in_effect()
    assert not in_effect()
    nxt.enable()
    with nxt.accelerated():
        assert in_effect()
    assert in_effect()


def test_exceptions_inside() -> None:
    table = tables()
    with pytest.raises(ZeroDivisionError), nxt.accelerated():
        raise ZeroDivisionError
    assert tables() == table
    with pytest.raises(IndexError), nxt.accelerated():
        F.cross_entropy(SURE, SURE_OF + 17)
    assert tables() == table


def test_as_a_decorator_and_again() -> None:
    """A scope can be entered as often as one likes."""
    for _ in range(3):
        with nxt.accelerated():
            assert in_effect()
        assert not in_effect()


def test_in_effect_in_every_thread() -> None:
    """Operators belong to the process; so does `enable`."""
    found: list[set[str]] = []
    with nxt.accelerated():
        worker = threading.Thread(target=lambda: found.append(in_effect()))
        worker.start()
        worker.join()
    assert found == [set(WITNESSES)]


def test_graphs_that_cross_the_border() -> None:
    """Forwards enabled and backwards not, and the other way round: the gradients are right."""
    for name, call in LARGE.items():
        for first in (True, False):
            tensors = differentiable(call.tensors(torch.float32), of_floats(call))
            wanted = [t for t in tensors if t.requires_grad]
            want = torch.autograd.grad(call.theirs(*tensors).sum(), wanted)
            if first:
                nxt.enable()
            value = call.theirs(*tensors).sum()
            nxt.disable() if first else nxt.enable()
            got = torch.autograd.grad(value, wanted)
            nxt.disable()
            torch.testing.assert_close(got, want, msg=lambda text, name=name: f"{name}: {text}")


def test_tiny_tensors() -> None:
    """Whoever computes them: the results are PyTorch's to its tolerances, for every size from nothing up."""
    for count in (0, 1, 2, 3, 5, 8, 10, 16, 17, 33, 64, 100):
        for classes in (1, 2, 3, 10, 17):
            x = torch.randn(count, classes)
            target = torch.arange(count) % classes
            want = [F.softmax(x, 1), F.log_softmax(x, 0) if count else x, F.cross_entropy(x, target, reduction="none")]
            with nxt.accelerated():
                got = [
                    F.softmax(x, 1),
                    F.log_softmax(x, 0) if count else x,
                    F.cross_entropy(x, target, reduction="none"),
                ]
            torch.testing.assert_close(got, want, msg=lambda text, size=(count, classes): f"{size}: {text}")


def test_show_config() -> None:
    """It names the operators that are ours at the moment: those whose tables have changed, and no others."""
    before, table = str(normexp.show_config()), tables()
    assert "softmax" not in before
    with nxt.accelerated():
        during, changed = str(normexp.show_config()), tables()
    assert str(normexp.show_config()) == before
    operators = {name.removeprefix("aten::").partition(".")[0] for name in table if table[name] != changed[name]}
    assert {"_softmax", "_log_softmax"} <= operators
    for operator in operators:
        assert operator in during, f"{operator} is overridden and not named in:\n{during}"


def test_out_of_place_and_into_tensors() -> None:
    """out= of PyTorch's functions, while ours compute."""
    x = torch.randn(300, 40)
    want = torch.softmax(x, 1)
    with nxt.accelerated():
        out = torch.empty_like(x)
        assert torch.softmax(x, 1, out=out) is out
        torch.testing.assert_close(out, want)
        lse = torch.empty(300)
        torch.logsumexp(x, 1, out=lse)
    torch.testing.assert_close(lse, PYTORCH.logsumexp(x, 1))


def test_accelerated_restores_what_was_before() -> None:
    nxt.enable()
    try:
        with nxt.accelerated():
            nxt.disable()
        assert normexp.show_config()["accelerated"]
    finally:
        nxt.disable()
