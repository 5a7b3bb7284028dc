"""Models that were never changed, run while normexp is behind PyTorch's operators: attention, transformers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")
import torch
from torch import nn
from torch_calls import assert_same

import normexp.torch as nxt


def attention(need_weights: bool) -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """Multi-head attention, its weights asked for or not."""
    module = nn.MultiheadAttention(32, 4, batch_first=True)

    def call(x: torch.Tensor) -> torch.Tensor:
        out, weights = module(x, x, x, need_weights=need_weights, average_attn_weights=False)
        return out if weights is None else torch.cat([out.flatten(), weights.flatten()])

    return module, call


def causal() -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """Attention with a mask of -inf."""
    module = nn.MultiheadAttention(32, 4, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(24)
    return module, lambda x: module(x, x, x, attn_mask=mask)[0]


def encoder() -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """A small transformer encoder."""
    layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, dropout=0.1, batch_first=True)
    module = nn.TransformerEncoder(layer, 2)
    return module, module


def padded() -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """The same with some of each sequence masked."""
    layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, dropout=0.0, batch_first=True)
    module = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    padding = torch.arange(24)[None, :] >= torch.tensor([24, 12, 18, 24, 7, 24, 20, 23])[:, None]
    return module, lambda x: module(x, src_key_padding_mask=padding)


def language_model() -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """A decoder whose loss is cross-entropy over positions: (N, C, d) logits."""
    module = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 50))
    target = torch.arange(8 * 24).reshape(8, 24) % 50
    loss = nn.CrossEntropyLoss(label_smoothing=0.1, reduction="none")
    return module, lambda x: loss(module(x).mT, target)


MODELS = {
    "attention": lambda: attention(False),
    "attention, weights": lambda: attention(True),
    "causal attention": causal,
    "encoder": encoder,
    "encoder, padded": padded,
    "language model": language_model,
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """Each model in turn, always the same one."""
    torch.manual_seed(0)
    return MODELS[request.param]()


X = torch.randn(8, 24, 32, generator=torch.Generator().manual_seed(1))


def outcome(model: tuple[nn.Module, Callable[..., torch.Tensor]]) -> list[torch.Tensor]:
    """The output, and the gradients of its sum of squares where there are any."""
    module, call = model
    torch.manual_seed(2)  # for dropout
    out = call(X)
    if not out.requires_grad:
        return [out]
    parameters = list(module.parameters())
    return [out.detach(), *torch.autograd.grad(out.square().sum(), parameters)]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True", "ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("mode", ["training", "evaluation", "inference"])
def test_the_same_to_float_rounding(model: tuple[nn.Module, Callable[..., torch.Tensor]], mode: str) -> None:
    """In training with gradients, in evaluation with them, and in evaluation without, where PyTorch has a fast path."""
    model[0].train(mode == "training")
    with torch.set_grad_enabled(mode != "inference"):
        want = outcome(model)
        with nxt.accelerated():
            got = outcome(model)
        after = outcome(model)
    assert_same(after, want)
    # Sums of hundreds of terms, rounded otherwise: a few hundred roundings beside the largest value, or derivative.
    for part in (slice(1), slice(1, None)):
        largest = max((float(t.detach().abs().max()) for t in want[part]), default=0.0)
        torch.testing.assert_close(got[part], want[part], rtol=1e-5, atol=300 * 2.0**-24 * largest)


def test_attention_runs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores far apart, where PyTorch's softmax is tens of ULP off: the weights are ours, bit for bit."""
    torch.manual_seed(0)
    module = nn.MultiheadAttention(32, 4, batch_first=True, bias=False)
    x, pytorchs, scores = X * 6, torch.nn.functional.softmax, []

    def softmax(input: torch.Tensor, dim: int) -> torch.Tensor:
        scores.append(input.clone())
        return pytorchs(input, dim)

    monkeypatch.setattr(torch.nn.functional, "softmax", softmax)
    with torch.no_grad():
        _, before = module(x, x, x, average_attn_weights=False)
        with nxt.accelerated():
            _, weights = module(x, x, x, average_attn_weights=False)
        assert_same([weights.view_as(scores[1])], [nxt.softmax(scores[1], -1)])
    assert not torch.equal(weights, before)
