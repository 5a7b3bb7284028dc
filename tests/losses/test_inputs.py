"""Everything that counts as a target, or as logits."""

from __future__ import annotations

import numpy as np
import pytest
from support import DTYPES, assert_same_bits, assert_values
from test_special import ordinary

import normexp
from losses.problems import distributions, labels, weights


def test_integers_and_lists_are_float64() -> None:
    x = [[1, 2, 3], [3, 0, 0]]
    for given in (x, np.array(x), np.array(x, dtype=np.uint8)):
        loss, grad = normexp.cross_entropy_and_grad(given, [0, 2])
        assert loss.dtype == grad.dtype == np.float64
        assert_same_bits(loss, normexp.cross_entropy(np.array(x, float), [0, 2]))
        assert normexp.row_stats(given, (0, 2)).entropy.dtype == np.float64


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">u8"])
def test_any_integer_dtype(kind: str) -> None:
    x = ordinary(10, DTYPES["float32"])
    target = labels(x)
    ignore = int(target[3])
    for name in ("cross_entropy", "nll_loss"):
        function = getattr(normexp, name)
        for options in ({}, {"ignore_index": ignore}):
            assert_same_bits(function(x, target.astype(kind), **options), function(x, target, **options), name)
    assert_same_bits(normexp.row_stats(x, target.astype(kind)).rank, normexp.row_stats(x, target).rank)


@pytest.mark.parametrize(
    ("kind", "ignore"), [("u1", 255), ("i1", -128), ("u8", 2**63 - 1), ("i8", -(2**63)), ("u4", 2**32 - 1)]
)
def test_ignored_labels_at_the_ends(kind: str, ignore: int) -> None:
    x = ordinary(10, DTYPES["float32"], rows=20)
    target = labels(x).astype(kind)
    target[::2] = ignore
    loss = normexp.cross_entropy(x, target, ignore_index=ignore, reduction="none")
    assert not loss[::2].any()
    assert (loss[1::2] > 0).all()


def test_ignored_label_beyond_int64() -> None:
    """Any value, of any integer dtype."""
    x = ordinary(10, DTYPES["float32"], rows=4)
    target = np.array([1, 2**64 - 100, 3, 2**64 - 1], dtype=np.uint64)
    target[3] = 5
    loss = normexp.cross_entropy(x, target, ignore_index=2**64 - 100, reduction="none")
    assert_values(loss == 0, [False, True, False, False])


def test_targets_of_other_kinds(dtype: np.dtype) -> None:
    """Lists, tuples, scalars, tensors, views with strides, weights of any real dtype."""
    x = ordinary(6, dtype, rows=5)
    target, soft = labels(x), distributions(x)
    wanted, wanted_soft = normexp.cross_entropy(x, target), normexp.cross_entropy(x, soft)
    for given in (target.tolist(), tuple(target.tolist()), np.repeat(target, 2)[::2], target[::-1].copy()[::-1]):
        assert_same_bits(normexp.cross_entropy(x, given), wanted)
    for given in (np.repeat(soft, 2, axis=1)[:, ::2], soft.T.copy().T, soft[::-1, ::-1].copy()[::-1, ::-1]):
        assert_same_bits(normexp.cross_entropy(x, given), wanted_soft)
    assert_same_bits(normexp.cross_entropy(x, soft.astype(float).tolist()), wanted_soft)
    for scalar in (3, np.int8(3), np.uint64(3), np.array(3)):
        assert_same_bits(normexp.cross_entropy(x[0], scalar), normexp.cross_entropy(x[:1], [3]))
    weight = weights(6, dtype)
    wanted = normexp.cross_entropy_and_grad(x, target, weight=weight)
    for given in (weight.astype(float).tolist(), weight.astype(np.float64), np.repeat(weight, 3)[::3]):
        got = normexp.cross_entropy_and_grad(x, target, weight=given)
        assert_same_bits(got.loss, wanted.loss)
        assert_same_bits(got.grad, wanted.grad)
    ones = normexp.cross_entropy(x, target, weight=np.ones(6, np.int32), reduction="none")
    assert_same_bits(ones, normexp.cross_entropy(x, target, reduction="none"))


def test_broadcast_targets(dtype: np.dtype) -> None:
    """One label, or one distribution, for all rows, without a copy."""
    x = ordinary(10, dtype, rows=40)
    for target in (np.broadcast_to(np.int64(7), 40), np.broadcast_to(distributions(x[:1]), (40, 10))):
        for logits in (x, np.broadcast_to(x[:1], (40, 10)), np.broadcast_to(x[:, :1], (40, 10))):
            got = normexp.cross_entropy_and_grad(logits, target)
            wanted = normexp.cross_entropy_and_grad(logits.copy(), target.copy())
            assert_same_bits(got.loss, wanted.loss)
            assert_same_bits(got.grad, wanted.grad)
            got.grad[3, 4] = -77  # a place of its own
            assert (got.grad == -77).sum() == 1


def test_torch_tensors(dtype: np.dtype) -> None:
    torch = pytest.importorskip("torch")
    x = ordinary(6, dtype, rows=5)
    target, soft = labels(x), distributions(x)
    if dtype.name == "bfloat16":
        logits, probabilities = (torch.from_numpy(v.view(np.int16)).view(torch.bfloat16) for v in (x, soft))
    else:
        logits, probabilities = torch.from_numpy(x), torch.from_numpy(soft)
    for kind in (torch.int64, torch.int32, torch.uint8):
        got = normexp.cross_entropy_and_grad(logits, torch.from_numpy(target).to(kind))
        assert_same_bits(got.grad, normexp.cross_entropy_and_grad(x, target).grad)
        assert type(got.grad) is np.ndarray
    assert_same_bits(normexp.cross_entropy(logits, probabilities), normexp.cross_entropy(x, soft))
    weight = torch.linspace(0.5, 2, 6, dtype=torch.float64)
    assert_same_bits(
        normexp.cross_entropy(logits, torch.from_numpy(target), weight=weight),
        normexp.cross_entropy(x, target, weight=weight.numpy()),
    )
    assert_same_bits(
        normexp.row_stats(logits, torch.from_numpy(target)).log_prob, normexp.row_stats(x, target).log_prob
    )


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_other_byte_order_and_alignment(kind: str) -> None:
    x = ordinary(21, np.dtype(kind), rows=20)
    soft, target = distributions(x), labels(x)
    wanted = normexp.cross_entropy_and_grad(x, soft).grad
    swapped = [v.astype(v.dtype.newbyteorder()) for v in (x, soft, target)]
    assert_same_bits(normexp.cross_entropy_and_grad(swapped[0], swapped[1]).grad, wanted)
    assert_same_bits(normexp.cross_entropy(swapped[0], swapped[2]), normexp.cross_entropy(x, target))
    odd = []
    for v in (x, soft, target):
        memory = np.zeros(v.nbytes + 1, np.uint8)[1:].view(v.dtype).reshape(v.shape)
        memory[...] = v
        assert not memory.flags.aligned
        odd.append(memory)
    assert_same_bits(normexp.cross_entropy_and_grad(odd[0], odd[1]).grad, wanted)
    assert_same_bits(normexp.cross_entropy(odd[0], odd[2]), normexp.cross_entropy(x, target))


def test_read_only_arguments() -> None:
    x = ordinary(21, DTYPES["float32"], rows=20)
    arguments = [x, labels(x), weights(21, x.dtype)]
    for argument in arguments:
        argument.flags.writeable = False
    logits, target, weight = arguments
    loss, grad = normexp.cross_entropy_and_grad(logits, target, weight=weight)
    assert np.isfinite(loss)
    assert grad.flags.writeable
    normexp.row_stats(logits, target)


def test_nothing_given_is_changed(dtype: np.dtype) -> None:
    for length in (10, 1000):
        x = ordinary(length, dtype, rows=20)
        arguments = [x, labels(x), distributions(x), weights(length, dtype)]
        before = [v.copy() for v in arguments]
        for target in arguments[1:3]:
            for reduction in ("none", "mean"):
                normexp.cross_entropy_and_grad(x, target, weight=arguments[3], reduction=reduction, label_smoothing=0.1)
        for v, was in zip(arguments, before, strict=True):
            assert_same_bits(v, was)
