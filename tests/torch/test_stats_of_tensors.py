"""row_stats of tensors: the bits of the NumPy front's, for all dtypes, strides, dimensions and modes."""

from __future__ import annotations

import pytest
from support import assert_same_bits, made

pytest.importorskip("torch")
import torch

import normexp
import normexp.torch as nxt
from normexp.verify.cases import DTYPES
from normexp.verify.tensors import from_tensor, to_tensor

SHAPES = [((50, 10), 1), ((7, 5, 4), 1), ((300, 40), 0), ((9,), 0), ((3, 70_001), -1), ((0, 4), 1), ((6, 1), 1)]


def assert_equal(tensors: nxt.RowStats, arrays: normexp._stats.RowStats, what: object) -> None:
    """Each field of the one is that of the other."""
    assert tensors._fields == arrays._fields
    for name, tensor, array in zip(arrays._fields, tensors, arrays, strict=True):
        if array is None:
            assert tensor is None, (what, name)
        else:
            assert not tensor.requires_grad
            assert_same_bits(from_tensor(tensor, array.dtype), array, (what, name))


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_bits_of_the_numpy_front(kind: str, shape: tuple[int, ...], dim: int) -> None:
    x = made(shape, kind)
    rows = [n for axis, n in enumerate(shape) if axis != dim % len(shape)]
    target = torch.randint(shape[dim], tuple(rows), generator=torch.Generator().manual_seed(0))
    tensor = to_tensor(x)
    assert_equal(nxt.row_stats(tensor, dim=dim), normexp.row_stats(x, axis=dim), "no target")
    assert_equal(nxt.row_stats(tensor, target, dim=dim), normexp.row_stats(x, target.numpy(), axis=dim), "a target")
    assert_equal(nxt.row_stats(tensor, target.int(), dim=dim), normexp.row_stats(x, target.numpy(), axis=dim), "int32")
    strided = torch.stack([tensor, tensor], -1)[..., 0]
    assert_equal(nxt.row_stats(strided, target, dim=dim), normexp.row_stats(x, target.numpy(), axis=dim), "strided")


def test_hard_rows() -> None:
    """NaN, infinities, ties, rows of -inf."""
    rows = [
        [0, 1, 1, 0],
        [float("nan"), 0, 5, 1],
        [float("inf"), 0, 0, 1],
        [float("-inf")] * 4,
        [0, float("-inf"), 2, 2],
    ]
    x, target = torch.tensor(rows), torch.tensor([2, 1, 0, 3, 1])
    assert_equal(nxt.row_stats(x, target), normexp.row_stats(x.numpy(), target.numpy()), rows)


def test_no_gradients() -> None:
    """A tensor that requires gradients is read, and the figures have none."""
    x = torch.randn(5, 4, requires_grad=True)
    assert not any(figure.requires_grad for figure in nxt.row_stats(x) if figure is not None)
    with torch.inference_mode():
        assert_equal(nxt.row_stats(x), normexp.row_stats(x.detach().numpy()), "inference mode")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((torch.zeros(2, 3), torch.tensor([0, 3])), {}, IndexError, "3, which is no class: expected 0 to 2"),
        ((torch.zeros(2, 3), torch.tensor([-1, 0])), {}, IndexError, "-1"),
        ((torch.zeros(2, 3), torch.tensor([0])), {}, ValueError, r"shape \(1,\)"),
        ((torch.zeros(2, 3), torch.tensor([0.0, 1.0])), {}, TypeError, "integers"),
        ((torch.zeros(2, 3),), {"dim": 2}, IndexError, "dim is 2"),
        ((torch.zeros(2, 0),), {}, ValueError, "no classes"),
        ((torch.zeros(2, 3, dtype=torch.int64),), {}, TypeError, "int64"),
        ((torch.zeros(2, 3, device="meta"),), {}, TypeError, "meta"),
        (([1.0, 2.0],), {}, TypeError, "list"),
    ],
)
def test_bad_calls(arguments: tuple, options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        nxt.row_stats(*arguments, **options)
