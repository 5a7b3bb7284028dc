"""opcheck of every operator under torch.ops.normexp, called as the public functions call it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="opcheck imports it")
import torch
from torch.library import opcheck
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch_calls import CALLS, DTYPES, differentiable

import normexp.torch as nxt

NAMES = sorted(name for name in torch._C._dispatch_get_all_op_names() if name.startswith("normexp::"))
CALLS_OF_EACH = 6  # a tenth of a second each

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Recorder(TorchDispatchMode):
    """The calls of normexp's operators that pass through PyTorch's dispatcher, below autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[Any, dict[str, Arguments]] = defaultdict(dict)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "normexp":
            # What a call is like: two that differ in numbers alone are one.
            like = tree_map(
                lambda leaf: (leaf.dtype, leaf.ndim) if isinstance(leaf, torch.Tensor) else leaf, (args, kwargs)
            )
            self.calls[func][repr(like)] = tree_map(detached, (args, dict(kwargs or {})))
        return func(*args, **(kwargs or {}))


def detached(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf


def recorded() -> dict[Any, list[Arguments]]:
    """Calls of each operator, spread over all that the public functions make, forwards and backwards."""
    with Recorder() as recorder:
        for dtype in DTYPES:
            for call in CALLS.values():
                value = call.ours(*differentiable(call.tensors(dtype), (0, 1)))
                value.sum().backward()
            x = torch.randn(3, 4).to(dtype)
            nxt.row_stats(x)
            nxt.row_stats(x, torch.tensor([0, 3, 1]))
            for reduction in ("mean", "none"):
                hidden, weight = x.clone().requires_grad_(), x.clone().requires_grad_()
                loss = nxt.linear_cross_entropy(hidden, weight, torch.tensor([0, 2, 1]), reduction=reduction)
                loss.sum().backward()
    return {op: list(calls.values()) for op, calls in recorder.calls.items()}


RECORDED = recorded()


def test_every_operator_is_called() -> None:
    """None that is registered is left out below."""
    assert NAMES
    called = {op.name().removesuffix(f".{op._overloadname}") for op in RECORDED}
    assert {name.partition(".")[0] for name in NAMES} == {name.partition(".")[0] for name in called}


@pytest.mark.parametrize("op", RECORDED, ids=str)
def test_opcheck(op: Any) -> None:
    """Schema, fake kernel, autograd registration and compilation with dynamic shapes."""
    calls = RECORDED[op]
    for args, kwargs in calls[:: -(-len(calls) // CALLS_OF_EACH)]:
        opcheck(op, args, kwargs)
        if torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "Autograd"):
            leaves = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and t.is_floating_point()]
            leaves[0].requires_grad_()
            opcheck(op, args, kwargs)


def test_opcheck_would_notice() -> None:
    """A kernel that returns its input, which its schema denies."""

    @torch.library.custom_op("normexp_test::same", mutates_args=())
    def same(x: torch.Tensor) -> torch.Tensor:
        return x

    with pytest.raises(Exception, match="alias"):
        opcheck(same, (torch.ones(2),))
