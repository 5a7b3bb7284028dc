"""A guarded program computes what it computes alone: bits, random numbers, graph, errors."""

from __future__ import annotations

import threading
import warnings

import pytest

pytest.importorskip("torch")
import torch
import torch.fx.traceback
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import normexp.torch as nxt


def quiet() -> nxt.guard:
    return nxt.guard(tell=lambda finding: None)


def names(watched: nxt.guard) -> list[str]:
    return [finding.kind.name for finding in watched.findings]


def seams() -> list[object]:
    """What guard replaces while it is at work."""
    return [
        torch._C._nn.cross_entropy_loss,
        torch._C._nn.nll_loss_nd,
        torch.kl_div,
        torch.binary_cross_entropy_with_logits,
        torch.autograd.backward,
        torch.autograd.grad,
        torch.fx.traceback.format_stack,
        torch.is_anomaly_enabled(),
        nxt._losses.engine_loss,
    ]


def probabilities(rows: int = 8, number: int = 10) -> torch.Tensor:
    return torch.linspace(-1, 1, rows * number).sin().mul(7).view(rows, number).softmax(1)


def trained(dtype: torch.dtype, autocast: bool) -> list[torch.Tensor]:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(12, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 10)).to(dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    values = []
    for _ in range(12):
        x, y = torch.randn(16, 12, dtype=dtype), torch.randint(10, (16,))
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            logits = model(x)
            loss = F.cross_entropy(logits, y) + F.nll_loss(logits.log_softmax(1), y)
            loss = (
                loss
                + F.kl_div(logits.softmax(1), logits.softmax(1).detach(), reduction="sum")
                + logits.exp().log().sum()
            )
        loss.backward()
        optimizer.step()
        values += [loss.detach(), *(one.grad.clone() for one in model.parameters())]
    return [*values, *(one.detach() for one in model.parameters()), torch.get_rng_state()]


@pytest.mark.parametrize("enabled", [False, True], ids=["", "enabled"])
@pytest.mark.parametrize("autocast", [False, True], ids=["", "autocast"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_bits_and_random_numbers(dtype, autocast, enabled):
    def both() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        alone = trained(dtype, autocast)
        with quiet() as watched:
            guarded = trained(dtype, autocast)
        assert watched.findings
        assert watched._trouble is None
        return alone, guarded

    if enabled:
        with nxt.accelerated():
            alone, guarded = both()
    else:
        alone, guarded = both()
    assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(alone, guarded, strict=True))


def test_everything_is_put_back():
    before = seams()
    with quiet():
        assert seams() != before
        with quiet():
            F.cross_entropy(probabilities(), torch.arange(8))
        assert seams() != before
    assert seams() == before
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert seams() == before


def test_public_functions_stay_themselves():
    mine = (F.cross_entropy, F.nll_loss, F.kl_div, torch.softmax, torch.Tensor.backward, nn.CrossEntropyLoss.forward)
    with quiet():
        assert mine == (
            F.cross_entropy, F.nll_loss, F.kl_div, torch.softmax, torch.Tensor.backward, nn.CrossEntropyLoss.forward
        )  # fmt: skip


def test_functions_imported_before_are_heard():
    from torch.nn.functional import cross_entropy

    with quiet() as watched:
        cross_entropy(probabilities(), torch.arange(8))
        nxt.cross_entropy(probabilities(), torch.arange(8))
        nxt.NLLLoss()(probabilities(), torch.arange(8))
    assert names(watched) == ["double-softmax", "double-softmax", "nll-on-probs"]


def test_the_graph_is_the_same():
    def kinds() -> list[str]:
        node, found = F.cross_entropy(probabilities().requires_grad_().log(), torch.arange(8)).grad_fn, []
        while node is not None:
            found.append(node.name())
            node = node.next_functions[0][0] if node.next_functions else None
        return found

    alone = kinds()
    with quiet():
        assert kinds() == alone


def test_errors_are_the_same():
    def error() -> str:
        with pytest.raises((IndexError, RuntimeError, ValueError)) as caught:
            F.cross_entropy(torch.zeros(3, 4), torch.tensor([1, 2, 9]))
        with pytest.raises(RuntimeError) as other:
            torch.zeros(3).sum().backward()
        return str(caught.value) + str(other.value)

    alone = error()
    with quiet():
        assert error() == alone


def test_nested_guards_each_find_it():
    with quiet() as outer, quiet() as inner:
        F.cross_entropy(probabilities(), torch.arange(8))
    assert names(outer) == names(inner) == ["double-softmax"]


def test_other_threads_are_seen():
    def work() -> None:
        for _ in range(20):
            F.cross_entropy(probabilities(), torch.arange(8))

    with quiet() as watched:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert names(watched) == ["double-softmax"]
    assert watched.findings[0].line.path == __file__


def test_as_a_decorator():
    told = []

    @nxt.guard(tell=told.append)
    def work(times: int) -> float:
        return sum(float(F.cross_entropy(probabilities(), torch.arange(8))) for _ in range(times))

    assert work(3) > 0
    assert [one.kind.name for one in told] == ["double-softmax"]
    assert work(3) > 0
    assert len(told) == 2


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_nothing_is_changed_by_what_cannot_be_read():
    """Transforms and tracers: values that are not there."""
    y = torch.arange(8)
    with quiet() as watched:
        gradient = torch.func.grad(lambda p: F.cross_entropy(p, y))(probabilities())
        rows = torch.func.vmap(F.cross_entropy)(probabilities(), y)
        with torch.device("meta"):
            assert F.cross_entropy(torch.zeros(3, 4), torch.zeros(3, dtype=torch.long)).is_meta
        traced = torch.jit.trace(lambda p: F.cross_entropy(p, y), probabilities())
    assert gradient.shape == (8, 10)
    assert rows.shape == (8,)
    assert traced(probabilities()) > 0
    assert watched._trouble is None


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_scripted_functions():
    def loss(p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(p, y)

    with quiet():
        inside = torch.jit.script(loss)(probabilities(), torch.arange(8))
    assert inside == torch.jit.script(loss)(probabilities(), torch.arange(8)) == loss(probabilities(), torch.arange(8))


@pytest.mark.filterwarnings("ignore")
def test_compiled_functions():
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))

    def loss(x: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(x), torch.arange(3))

    whole = torch.compile(loss, backend="aot_eager", fullgraph=True)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = torch.eye(3, 4)
    alone = whole(x)
    with quiet() as watched:
        for _ in range(4):
            assert torch.equal(whole(x), alone)
            F.cross_entropy(compiled(x), torch.arange(3)).backward()
    assert torch.equal(whole(x), alone)
    assert names(watched) == ["double-softmax"]
    assert watched._trouble is None


def test_modes_of_the_program_see_nothing_of_it():
    class Functions(TorchFunctionMode):
        def __init__(self) -> None:
            self.seen: list[object] = []

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    class Operators(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[object] = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    def seen(mode) -> list[object]:
        x, y = probabilities().requires_grad_(), torch.arange(8)
        with mode:
            F.cross_entropy(x * 1, y).backward()
        return mode.seen

    for kind in (Functions, Operators):
        alone = seen(kind())
        with quiet():
            assert seen(kind()) == alone


def test_the_programs_own_anomaly_mode_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with quiet(), torch.autograd.detect_anomaly():
            x = torch.zeros(3, requires_grad=True)
            for _ in range(8):
                with pytest.raises(RuntimeError, match="returned nan"):
                    (x.sqrt() * 0).sum().backward()
                assert torch.is_anomaly_enabled()
                assert torch.is_anomaly_check_nan_enabled()
        assert not torch.is_anomaly_enabled()


def test_checkpointed_parts_do_not_run_once_more():
    runs = []

    def part(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return torch.log(x * 0)

    layer = nn.Linear(4, 4)
    with quiet() as watched:
        for _ in range(3):
            h = checkpoint(part, layer(torch.ones(2, 4)), use_reentrant=False)
            F.cross_entropy(h * 1, torch.tensor([0, 1]))
    assert len(runs) == 3
    assert watched.findings


def test_a_tell_that_raises_stops_the_program():
    def stop(finding: object) -> None:
        raise AssertionError(str(finding))

    with pytest.raises(AssertionError, match="double-softmax"), nxt.guard(tell=stop):
        F.cross_entropy(probabilities(), torch.arange(8))
