"""Bad calls of linear_cross_entropy raise what PyTorch raises and allocate nothing; empty ones and ignored rows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import torch
import torch.nn.functional as F
from linear_calls import OURS
from torch import Tensor
from torch.testing import assert_close

X, W, T = torch.randn(4, 3), torch.randn(5, 3), torch.tensor([1, 0, 4, 3])

# The exception of PyTorch's function, which takes no `temperature` and the like; what ours says.
BAD: dict[str, tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = {
    "a label beyond the classes": (IndexError, r"target\[1\] is 5", (X, W, torch.tensor([1, 5, 0, 0])), {}),
    "a negative label": (IndexError, r"target\[3\] is -1", (X, W, torch.tensor([1, 0, 0, -1])), {}),
    "a label too few": (ValueError, r"shape \(3,\); expected \(4,\)", (X, W, T[:3]), {}),
    "a label too many": (ValueError, r"shape \(5,\)", (X, W, torch.zeros(5, dtype=torch.int64)), {}),
    "labels in a column": (RuntimeError, r"shape \(4, 1\)", (X, W, T[:, None]), {}),
    "int32 labels": (RuntimeError, "dtype torch.int32; expected int64", (X, W, T.int()), {}),
    "bool labels": (RuntimeError, "dtype torch.bool", (X, W, T.bool()), {}),
    "floats for labels": (RuntimeError, "dtype torch.float32; expected int64", (X, W, T.float()), {}),
    "three dimensions": (RuntimeError, "dimensionality 1 or 2, got 3", (X[None], W, T[None]), {}),
    "no dimension": (RuntimeError, "dimensionality 1 or 2, got 0", (X[0, 0], W, T), {}),
    "weights of one dimension": (RuntimeError, "at least 2, got 1", (X, W[0], T), {}),
    "features that differ": (RuntimeError, "last dimensions", (X, W[:, :2], T), {}),
    "weights the wrong way round": (RuntimeError, "last dimensions", (X, W.t(), T), {}),
    "dtypes that differ": (RuntimeError, "one dtype", (X, W.double(), T), {}),
    "a bias of another length": (RuntimeError, r"bias shape \(5,\)", (X, W, T), {"linear_bias": torch.ones(4)}),
    "class weights of another length": (RuntimeError, r"expected \(5,\)", (X, W, T), {"weight": torch.ones(4)}),
    "integer class weights": (
        RuntimeError,
        "one floating weight",
        (X, W, T),
        {"weight": torch.ones(5, dtype=torch.int64)},
    ),
    "an unknown reduction": (ValueError, "average is not a valid value", (X, W, T), {"reduction": "average"}),
    "too much smoothing": (RuntimeError, "from 0 to 1", (X, W, T), {"label_smoothing": 1.5}),
    "ignored probabilities": (RuntimeError, "ignore_index cannot", (X, W, torch.rand(4, 5)), {"ignore_index": 1}),
    "a list": (TypeError, "input must be a tensor, not list", (X.tolist(), W, T), {}),
    "no target": (TypeError, "target must be a tensor", (X, W, None), {}),
    "an unknown option": (TypeError, "unexpected keyword", (X, W, T), {"axis": 1}),
}
OURS_ALONE = {
    "negative smoothing": (RuntimeError, "from 0 to 1", {"label_smoothing": -0.5}),
    "temperature 0": (ValueError, "temperature must be positive", {"temperature": 0.0}),
    "temperature that is no number": (TypeError, "temperature must be a number", {"temperature": "1"}),
    "softcap 0": (ValueError, "softcap must be positive and finite", {"softcap": 0}),
    "negative z_loss": (ValueError, "z_loss must be finite", {"z_loss": -1.0}),
    "no memory": (ValueError, "memory_budget must be a positive", {"memory_budget": 0}),
    "memory that is no integer": (TypeError, "memory_budget must be an integer", {"memory_budget": 1e9}),
    "ignore_index beyond 64 bits": (ValueError, "ignore_index must have 64 bits", {"ignore_index": 2**63}),
    "ignore_index that is no integer": (TypeError, "ignore_index must be an integer", {"ignore_index": 1.5}),
}


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="PyTorch before 2.13 has no linear_cross_entropy")
@pytest.mark.parametrize("case", BAD)
def test_pytorchs_exceptions(case: str) -> None:
    kind, says, args, options = BAD[case]
    with pytest.raises((kind, AttributeError) if kind is TypeError else kind):
        F.linear_cross_entropy(*args, **options)
    with pytest.raises(kind, match=says):
        OURS(*args, **options)


@pytest.mark.parametrize("case", OURS_ALONE)
def test_our_own_options(case: str) -> None:
    kind, says, options = OURS_ALONE[case]
    with pytest.raises(kind, match=says):
        OURS(X, W, T, **options)


def peak() -> int:
    """The largest resident size so far, in bytes."""
    return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])


def enormous() -> tuple[Tensor, Tensor, Tensor]:
    """Arguments whose logits would take 256 GiB, which themselves take next to nothing."""
    return torch.zeros(1, 1).expand(2**16, 8), torch.zeros(1, 1).expand(2**20, 8), torch.zeros(2**16, dtype=torch.int64)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x, w, t: (x, w, t.index_fill(0, torch.tensor([2**16 - 1]), 2**20)), IndexError),
        (lambda x, w, t: (x, w, t[:-1]), ValueError),
        (lambda x, w, t: (x[:, :7], w, t), RuntimeError),
        (lambda x, w, t: (x.double(), w, t), RuntimeError),
        (lambda x, w, t: (x, w, t.int()), RuntimeError),
    ],
    ids=["label", "rows", "features", "dtypes", "int32"],
)
def test_bad_calls_allocate_nothing(change, kind: type[Exception]) -> None:
    x, weight, target = change(*enormous())
    x.requires_grad_(), weight.requires_grad_()
    before = peak()
    with pytest.raises(kind):
        OURS(x, weight, target)
    assert peak() - before < 2**23


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "rows", [torch.full((4,), -100), torch.zeros(0, dtype=torch.int64)], ids=["all ignored", "no rows"]
)
def test_nothing_to_do(rows: Tensor, dtype: torch.dtype, smoothing: float, reduction: str) -> None:
    """NaN for the mean, 0 for the sum, and gradients of 0: as PyTorch."""
    x, weight, bias = (torch.randn(shape, dtype=dtype) for shape in ((len(rows), 3), (5, 3), (5,)))
    for given in (x, weight, bias):
        given.requires_grad_()
    options = {"reduction": reduction, "label_smoothing": smoothing, "linear_bias": bias}
    want = F.linear_cross_entropy(x, weight, rows, **options)
    got = OURS(x, weight, rows, **options)
    assert_close(got.to(dtype), want, equal_nan=True)
    got, want = (torch.autograd.grad(loss.sum(), (x, weight, bias)) for loss in (got, want))
    assert_close(got, want, rtol=0, atol=0)


def test_class_weights_that_add_up_to_nothing() -> None:
    weights = torch.tensor([0.0, 0, 1, 1, 1])
    for smoothing in (0.0, 0.1):
        loss = OURS(X, W, torch.tensor([0, 1, 1, 0]), weight=weights, label_smoothing=smoothing)
        assert loss.isnan()


def test_no_features_and_no_classes() -> None:
    assert_close(OURS(torch.zeros(4, 0), torch.zeros(5, 0), T), torch.tensor(5.0).log())
    for function in (OURS, F.linear_cross_entropy):
        with pytest.raises(IndexError):
            function(X, W[:0], torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ignored_rows_may_hold_anything(reduction: str) -> None:
    x, weight = X.clone(), W.clone()
    x[1], x[3] = torch.nan, torch.inf
    x.requires_grad_(), weight.requires_grad_()
    target = torch.tensor([1, -100, 4, -100])
    got = OURS(x, weight, target, reduction=reduction)
    want = OURS(x.detach()[::2].requires_grad_(), weight, target[::2], reduction=reduction)
    assert_close(got if reduction != "none" else got[::2], want)
    by_x, by_weight = torch.autograd.grad(got.sum(), (x, weight))
    assert by_x[1::2].eq(0).all()
    assert_close(by_weight, torch.autograd.grad(want.sum(), weight)[0])


def test_rows_without_a_loss() -> None:
    """A NaN or an infinite logit makes its row NaN, and no other."""
    x = X.clone()
    x[2, 0] = torch.nan
    each = OURS(x, W, T, reduction="none")
    assert each.isnan().tolist() == [False, False, True, False]
    bias = torch.tensor([0.0, -torch.inf, 0, 0, 0])
    each = OURS(X, W, T, linear_bias=bias, reduction="none")
    assert_close(each, F.linear_cross_entropy(X, W, T, linear_bias=bias, reduction="none"))
    assert each[0] == torch.inf
