"""Problems of linear_cross_entropy for the tests of its PyTorch front, and PyTorch's own answer to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import normexp.torch as nxt


@dataclass(frozen=True)
class Linear:
    """Shapes and options of a call."""

    rows: int = 19
    features: int = 7
    classes: int = 23
    options: dict[str, Any] = field(default_factory=dict)
    probabilities: bool = False
    biased: bool = False
    weighted: bool = False
    ignored: bool = False
    spread: float = 1.0

    def tensors(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, Tensor]:
        """The arguments, the same numbers for every dtype as far as it has them; leaves that require gradients."""
        random = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        made = {
            "input": normal(self.rows, self.features),
            "linear_weight": normal(self.classes, self.features) * (self.spread / self.features**0.5),
        }
        if self.biased:
            made["linear_bias"] = normal(self.classes)
        made = {name: t.to(dtype).requires_grad_() for name, t in made.items()}
        if self.probabilities:
            made["target"] = normal(self.rows, self.classes).softmax(1).to(dtype)
        else:
            made["target"] = torch.randint(self.classes, (self.rows,), generator=random)
        if self.weighted:
            made["weight"] = (torch.rand(self.classes, generator=random, dtype=torch.float64) + 0.25).to(dtype)
        return made

    def keywords(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """The options, of which one depends on the labels."""
        ignored = {"ignore_index": int(tensors["target"][0])} if self.ignored else {}
        return {**self.options, **ignored}


def answer(function: Callable[..., Tensor], call: Linear, tensors: dict[str, Tensor], **more: Any) -> list[Tensor]:
    """The loss, and the derivatives of its product with some tensor by all tensors that require gradients."""
    loss = function(**tensors, **call.keywords(tensors), **more)
    random = torch.Generator().manual_seed(1)
    direction = torch.randn(loss.shape, generator=random, dtype=torch.float64).bfloat16().to(loss.dtype)
    wanted = [t for t in tensors.values() if t.requires_grad]
    return [loss.detach(), *torch.autograd.grad(loss, wanted, direction)]


def by_pytorch(
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    input: Tensor,
    linear_weight: Tensor,
    linear_bias: Tensor | None = None,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """What `nxt.linear_cross_entropy` should give, from all logits."""
    logits = F.linear(input, linear_weight, linear_bias)
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = logits / temperature
    ignored = -100 if ignore_index is None else ignore_index
    options = {"weight": weight, "ignore_index": ignored, "label_smoothing": label_smoothing}
    loss = F.cross_entropy(logits, target, reduction=reduction, **options)
    if not z_loss:
        return loss
    each = z_loss * torch.logsumexp(logits, 1) ** 2
    shares = torch.ones(len(each), dtype=each.dtype)
    if not target.is_floating_point():
        kept = target != ignored
        shares = torch.where(kept, 1.0 if weight is None else weight[target.where(kept, 0)], 0.0).to(each.dtype)
        each = each.where(kept, 0.0)
    return loss + {"none": each, "sum": each.sum(), "mean": each.sum() / shares.sum()}[reduction]


def grid() -> Iterator[tuple[str, Linear]]:
    """Every combination of what a loss may be told."""
    for reduction, smoothing, probabilities, biased, weighted, ignored in itertools.product(
        ("mean", "sum", "none"), (0.0, 0.1), *[(False, True)] * 4
    ):
        if probabilities and ignored:
            continue
        named = {"smoothed": smoothing, "soft": probabilities, "biased": biased, "weighted": weighted}
        name = " ".join([reduction, *(word for word, at_work in {**named, "ignored": ignored}.items() if at_work)])
        options = {"reduction": reduction, "label_smoothing": smoothing}
        yield (
            name,
            Linear(options=options, probabilities=probabilities, biased=biased, weighted=weighted, ignored=ignored),
        )


GRID = dict(grid())
SHAPED = {
    "softcap": {"softcap": 1.5},
    "temperature": {"temperature": 0.7},
    "z-loss": {"z_loss": 0.01},
    "all three": {"softcap": 2.0, "temperature": 1.3, "z_loss": 0.1},
}
OURS = nxt.linear_cross_entropy
