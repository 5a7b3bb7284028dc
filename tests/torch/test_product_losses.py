"""Losses of logits that a product rounded to bfloat16; those that matter are computed again (product_losses.hpp)."""

from __future__ import annotations

import hashlib

import pytest
from support import python

pytest.importorskip("torch")
import torch
from torch import Tensor

import normexp
import normexp.torch
from normexp import _engine

ROUNDING = 2.0**-8  # of bfloat16, relative
# Sums of one-word exponentials are good to this (csrc/single.hpp), float dot products of these sizes to less.
FLOAT = 2.0**-20


def problem(rows: int, features: int, classes: int, spread: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, features, generator=random).bfloat16()
    weight = (torch.randn(classes, features, generator=random) * spread / features**0.5).bfloat16()
    return hidden, weight, torch.randint(classes, (rows,), generator=random)


def losses(hidden, weight, labels, bias=None, class_weight=None, gain=1.0, upstream=None):
    """The sum, each row's loss, the gradient by the logits."""
    logits = torch.mm(hidden, weight.t()) if bias is None else torch.addmm(bias, hidden, weight.t())
    each = torch.full((len(hidden),), -1.0)
    total = _engine.product_losses(
        logits, hidden, weight, bias, labels, class_weight, gain, upstream, each, with_gradient=True
    )
    return total, each, logits


def exact(hidden, weight, labels, bias=None):
    """The loss and softmax - onehot of unrounded logits, and those logits, in float64."""
    x = hidden.double() @ weight.double().t() + (0 if bias is None else bias.double())
    p = x.softmax(1)
    gradient = p.clone()
    rows = torch.arange(len(x))
    others = p.clone()
    others[rows, labels] = 0
    gradient[rows, labels] = -others.sum(1)
    top = x.max(1, keepdim=True)
    rest = (x - top.values).exp()
    rest[rows, top.indices.squeeze(1)] = 0
    return rest.sum(1).log1p() + (top.values.squeeze(1) - x[rows, labels]), gradient, x


@pytest.mark.parametrize("classes", [1, 2, 5, 17, 300])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_where_all_logits_matter_nothing_of_the_rounding_is_left(classes, spread):
    hidden, weight, labels = problem(37, 70, classes, spread)
    total, each, gradient = losses(hidden, weight, labels)
    loss, expected, x = exact(hidden, weight, labels)
    # The logits that were left rounded, if any, have less than 1/1024 of the rest each.
    left = ROUNDING / 32 * x.abs().max() * (classes > 17)
    assert ((each - loss).abs() <= (FLOAT + left) * loss + 2.0**-22 * x.abs().max()).all()
    assert total == pytest.approx(float(each.double().sum()), rel=2.0**-23, abs=1e-30)
    matter = expected.abs() > (expected.sum(1, keepdim=True).abs() + 1) / 512
    error = ((gradient.double() - expected).abs() / expected.abs())[matter]
    assert not len(error) or error.max() <= ROUNDING * 1.02 + 2.0**-20 * x.abs().max()


@pytest.mark.parametrize("spread", [1.0, 5.0])
def test_many_classes(spread):
    hidden, weight, labels = problem(64, 64, 5000, spread)
    _, each, gradient = losses(hidden, weight, labels)
    loss, expected, x = exact(hidden, weight, labels)
    assert ((each - loss).abs() <= ROUNDING / 32 * x.abs().amax(1)).all()
    assert float((gradient.double() - expected).norm() / expected.norm()) <= ROUNDING
    # The same logits without a second look: what is gained.
    rounded = torch.nn.functional.cross_entropy(torch.mm(hidden, weight.t()).double(), labels, reduction="none")
    assert (each - loss).norm() <= (rounded - loss).norm() / 10


@pytest.mark.parametrize("at", [0, 1, 2])
def test_confident_rows_keep_their_digits(at):
    """Logits 20 + 2^-5, 0, 20 (bfloat16 has steps of 2^-3 there): the order of the largest two is lost in rounding."""
    hidden = torch.tensor([[4.0, 2.0**-5]]).bfloat16()
    weight = torch.tensor([[5.0, 1.0], [0.0, 0.0], [5.0, 0.0]]).bfloat16()
    _, each, gradient = losses(hidden, weight, torch.tensor([at]))
    loss, expected, _ = exact(hidden, weight, torch.tensor([at]))
    assert float(each) == pytest.approx(float(loss), rel=FLOAT)
    assert gradient.double()[0].tolist() == pytest.approx(expected[0].tolist(), rel=ROUNDING)


def test_a_sure_row():
    hidden, weight = torch.tensor([[20.0]]).bfloat16(), torch.tensor([[1.0], [0.0]]).bfloat16()
    _, each, gradient = losses(hidden, weight, torch.tensor([0]))
    assert float(each) == pytest.approx(2.0611536e-9, rel=FLOAT)
    assert gradient[0].tolist() == pytest.approx([-2.0611536e-9, 2.0611536e-9], rel=ROUNDING)


def test_rows_of_ties_and_of_nothing_that_matters():
    hidden, weight = torch.ones(2, 8).bfloat16(), torch.zeros(5000, 8).bfloat16()
    _, each, gradient = losses(hidden, weight, torch.tensor([4999, 0]))
    assert each.tolist() == pytest.approx([8.517193191416238] * 2, rel=FLOAT)  # log 5000
    assert gradient[0, 4999] == torch.tensor(1 / 5000 - 1).bfloat16()
    assert set(gradient[1, 1:].tolist()) == {float(torch.tensor(1 / 5000).bfloat16())}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_without_a_value_is_nan_and_alone(bad):
    hidden, weight, labels = problem(3, 16, 2500, 1.0)
    clean = losses(hidden, weight, labels)
    hidden[1, 3] = bad
    total, each, gradient = losses(hidden, weight, labels)
    assert total != total
    assert each.isnan().tolist() == [False, True, False]
    assert gradient[1].isnan().all()
    assert torch.equal(gradient[[0, 2]], clean[2][[0, 2]])


def test_weights_bias_gain_upstream():
    hidden, weight, labels = problem(20, 32, 50, 2.0)
    random = torch.Generator().manual_seed(1)
    bias = torch.randn(50, generator=random).bfloat16()
    class_weight = torch.rand(50, generator=random).double()
    upstream = torch.rand(20, generator=random)
    _, each, gradient = losses(hidden, weight, labels, bias, class_weight, 0.25, upstream)
    loss, expected, x = exact(hidden, weight, labels, bias)
    factor = class_weight[labels]
    # Classes with less than 1/1024 of the rest are left rounded.
    torch.testing.assert_close(each.double(), loss * factor, rtol=4 * FLOAT, atol=2.0**-22)
    expected *= (0.25 * factor * upstream).unsqueeze(1)
    # Rounded as a result, and those classes as logits.
    rounded = ROUNDING * (1 + float(x.abs().max()))
    torch.testing.assert_close(gradient.double(), expected, rtol=rounded, atol=0)


def test_the_loss_alone_leaves_the_logits():
    hidden, weight, labels = problem(5, 16, 3000, 1.0)
    total, each, _ = losses(hidden, weight, labels)
    logits = torch.mm(hidden, weight.t())
    before, alone = logits.clone(), torch.empty(5)
    assert total == _engine.product_losses(
        logits, hidden, weight, None, labels, None, 1.0, None, alone, with_gradient=False
    )
    assert torch.equal(logits, before)
    assert torch.equal(alone, each)


BITS = """
import sys, normexp.torch
sys.path[:0] = sys.argv[1:]
import test_product_losses as t
print(t.bits())
"""


def bits() -> str:
    hidden, weight, labels = problem(70, 50, 4500, 3.0)
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(70, 4500, generator=random).mul_(3).bfloat16()  # products are the platform's
    each = torch.empty(70)
    total = _engine.product_losses(logits, hidden, weight, None, labels, None, 1.0, None, each, with_gradient=True)
    data = logits.view(torch.int16).numpy().tobytes() + each.numpy().tobytes() + total.hex().encode()
    return hashlib.sha256(data).hexdigest()


def test_the_same_bits_on_all_levels_and_threads(request):
    threads = normexp.get_num_threads()
    try:
        found = {bits()}
        for count in (1, 3):
            normexp.set_num_threads(count)
            found.add(bits())
    finally:
        normexp.set_num_threads(threads)
    here, above = str(request.path.parent), str(request.path.parent.parent)
    for level in _engine.levels():
        result = python("-c", BITS, here, above, NORMEXP_CPU=level)
        assert result.returncode == 0, result.stderr
        found.add(result.stdout.strip())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(3, 4)}, "logits must be bfloat16"),
        ({"hidden": torch.zeros(2, 2).bfloat16()}, "do not go together"),
        ({"weight": torch.zeros(2, 4).bfloat16().t()}, "must be contiguous"),
        ({"labels": torch.zeros(3)}, "labels must be int64"),
        ({"bias": torch.zeros(3).bfloat16()}, "bias must be bfloat16"),
        ({"each": torch.zeros(4)}, "each must be float32"),
        ({"upstream": torch.zeros(6)[::2]}, "upstream must be contiguous"),
    ],
)
def test_refusals(change, message):
    given = {
        "logits": torch.zeros(3, 4).bfloat16(),
        "hidden": torch.zeros(3, 2).bfloat16(),
        "weight": torch.zeros(4, 2).bfloat16(),
        "bias": None,
        "labels": torch.zeros(3, dtype=torch.int64),
        "class_weight": None,
        "gain": 1.0,
        "upstream": None,
        "each": None,
        "with_gradient": True,
    }
    with pytest.raises(ValueError, match=message):
        _engine.product_losses(**(given | change))


def test_a_label_that_is_no_class_counts_for_nothing():
    """The front has checked labels; another thread may have changed one since."""
    hidden, weight, labels = problem(3, 16, 40, 1.0)
    labels[1] = 40
    _, each, gradient = losses(hidden, weight, labels)
    assert each[1] == 0
    assert not gradient[1].any()
