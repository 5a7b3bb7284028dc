"""patch_transformers on small Llama models with random weights: loss and gradients as before, no logits in training."""

from __future__ import annotations

import copy
import re
import sys
from typing import Any

import pytest
from support import python

pytest.importorskip("torch")
pytest.importorskip("transformers", reason="transformers is not installed; the dependency group `test` has it")
import torch
import transformers
from torch.testing import assert_close

import normexp.torch as nxt

VOCABULARY = 101


def llama(dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    """A model of two layers."""
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    made = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=1, **{**small, **config})
    )
    return made.to(dtype).train()


def batch(rows: int = 3, length: int = 9) -> dict[str, torch.Tensor]:
    """Tokens, of which some are padding, and their labels."""
    random = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCABULARY, (rows, length), generator=random)
    labels = tokens.clone()
    labels[0, -4:] = -100
    return {"input_ids": tokens, "labels": labels}


def answer(model: Any, **inputs: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss, and the gradients of all parameters."""
    model.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


CALLS: dict[str, dict[str, Any]] = {
    "labels": {},
    "a number of items": {"num_items_in_batch": 17},
    "a number of items, a tensor": {"num_items_in_batch": torch.tensor(17)},
    "shifted labels": {"shift_labels": torch.full((3, 9), 5)},
    "another ignored label": {"ignore_index": 7},
}


@pytest.mark.parametrize("tied", [False, True], ids=["head of its own", "tied head"])
@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_loss_and_gradients(options: dict[str, Any], tied: bool) -> None:
    model = llama(torch.float64, tie_word_embeddings=tied)
    inputs = {**batch(), **options}
    if "ignore_index" in options:
        inputs["labels"] = inputs["labels"].masked_fill(inputs["labels"] == -100, 7)
    # transformers takes the loss of float32 logits, whatever the model's dtype.
    close = {"rtol": 1e-5, "atol": 1e-7}
    want, gradients = answer(model, **inputs)
    got, ours = answer(nxt.patch_transformers(model), **inputs)
    assert_close(got, want, check_dtype=False, **close)
    assert_close(ours, gradients, **close)


@pytest.mark.parametrize("kept", [4, torch.tensor([0, 3, 8])], ids=["the last", "some"])
def test_logits_to_keep(kept: Any) -> None:
    model, inputs = llama(), batch()
    length = kept if isinstance(kept, int) else len(kept)
    inputs |= {"logits_to_keep": kept, "shift_labels": torch.full((3, length), 5)}
    want, gradients = answer(model, **inputs)
    got, ours = answer(nxt.patch_transformers(model), **inputs)
    assert_close(got, want)
    assert_close(ours, gradients)


def test_labels_that_are_not_those_of_the_kept_tokens() -> None:
    model = nxt.patch_transformers(llama())
    with pytest.raises(ValueError, match=r"target has shape \(27,\); expected \(12,\)"):
        model(**batch(), logits_to_keep=4)


def test_logits_are_there_in_evaluation_and_without_labels() -> None:
    model, inputs = llama(), batch()
    model.eval()
    want = model(**inputs)
    nxt.patch_transformers(model)
    got = model(**inputs)
    assert_close(got.logits, want.logits, rtol=0, atol=0)
    assert_close(got.loss, want.loss, rtol=0, atol=0)
    model.train()
    assert model(input_ids=inputs["input_ids"]).logits.shape == (3, 9, VOCABULARY)
    assert model(**inputs).logits is None
    generated = model.eval().generate(inputs["input_ids"][:1], max_new_tokens=3, do_sample=False, pad_token_id=0)
    assert generated.shape == (1, 12)


def test_other_outputs() -> None:
    model, inputs = nxt.patch_transformers(llama()), batch()
    made = model(**inputs, output_hidden_states=True, use_cache=False)
    assert len(made.hidden_states) == 3
    loss, *_ = model(**inputs, use_cache=False, return_dict=False)
    assert_close(loss, made.loss)
    assert_close(model(inputs["input_ids"], labels=inputs["labels"]).loss, made.loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_types(dtype: torch.dtype) -> None:
    """The loss is nearer to that of the model in float64 than transformers' own."""
    model, inputs = llama(dtype), batch()
    with torch.no_grad():
        hidden = model.model(inputs["input_ids"]).last_hidden_state.double()
        logits = hidden @ model.lm_head.weight.double().t()
    shifted = torch.nn.functional.pad(inputs["labels"], (0, 1), value=-100)[:, 1:]
    exact = torch.nn.functional.cross_entropy(logits.flatten(0, 1), shifted.flatten())
    theirs = model(**inputs).loss
    ours = nxt.patch_transformers(model)(**inputs).loss
    assert ours.dtype == torch.float32
    assert abs(ours.double() - exact) <= abs(theirs.double() - exact)
    assert abs(ours.double() - exact) < 1e-6 * exact


def test_softcapped_logits() -> None:
    config = transformers.Gemma2Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        final_logit_softcapping=0.5,
    )
    torch.manual_seed(0)
    model, inputs = transformers.Gemma2ForCausalLM(config).train(), batch()
    want, gradients = answer(model, **inputs)
    got, ours = answer(nxt.patch_transformers(model), **inputs)
    assert_close(got, want)
    assert_close(ours, gradients, rtol=1e-4, atol=1e-6)


def test_unpatching_and_patching_twice() -> None:
    model = llama()
    forward = model.forward
    assert nxt.patch_transformers(model) is model
    assert nxt.patch_transformers(model) is model
    assert nxt.unpatch_transformers(model) is model
    assert model.forward == forward
    assert nxt.unpatch_transformers(model).forward == forward
    assert llama()(**batch()).logits is not None, "other models are as they were"


def test_patching_leaves_modes_and_gradients_alone() -> None:
    model = llama()
    model.model.layers[0].eval()
    nxt.patch_transformers(model)
    assert model.training
    assert not model.model.layers[0].training
    assert all(p.grad is None for p in model.parameters())


def test_copies_are_models_of_their_own() -> None:
    model = nxt.patch_transformers(llama())
    copied, inputs = copy.deepcopy(model), batch()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert copied(**inputs).loss != model(**inputs).loss
    assert copied(**inputs).logits is None


def test_a_training_step_lowers_the_loss() -> None:
    model, inputs = nxt.patch_transformers(llama()), batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(**inputs, use_cache=False).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_what_is_no_such_model() -> None:
    small = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 2}
    with pytest.raises(TypeError, match=r"Linear is no causal language model of transformers: it has no get_output"):
        nxt.patch_transformers(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="head of LlamaModel is a NoneType"):
        nxt.patch_transformers(transformers.LlamaModel(transformers.LlamaConfig(**small)))
    with pytest.raises(TypeError, match="takes no logits_to_keep"):
        nxt.patch_transformers(transformers.BertForMaskedLM(transformers.BertConfig(**small)))
    wrapped = llama()
    wrapped.lm_head = torch.nn.Sequential(wrapped.lm_head)
    with pytest.raises(TypeError, match=r"is a Sequential, not a torch\.nn\.Linear"):
        nxt.patch_transformers(wrapped)
    replaced = llama()
    replaced.forward = lambda *args, **options: None
    with pytest.raises(TypeError, match="has been replaced already"):
        nxt.patch_transformers(replaced)
    scaled = transformers.CohereForCausalLM(transformers.CohereConfig(**small, logit_scale=0.5, pad_token_id=0))
    with pytest.raises(ValueError, match="loss of CohereForCausalLM is not that of its head's product"):
        nxt.patch_transformers(scaled)
    assert "forward" not in vars(scaled)


MEMORY = """
import re, sys, torch, transformers, normexp.torch as nxt
from pathlib import Path

config = transformers.LlamaConfig(
    vocab_size=100_000, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
)
model = nxt.patch_transformers(transformers.LlamaForCausalLM(config)).train()

def status(what):
    return 1024 * int(re.search(what + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

tokens = torch.ones(1, 2048, dtype=torch.int64)
model(input_ids=tokens[:, :64], labels=tokens[:, :64]).loss.backward()
before = status("VmRSS")
model(input_ids=tokens, labels=tokens).loss.backward()
print((status("VmHWM") - before) / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory() -> None:
    """2048 x 100000 logits are 781 MiB; 64 MiB are promised, beside the head's gradient (12) and a small model."""
    result = python("-c", MEMORY, MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="0")
    assert result.returncode == 0, result.stderr
    assert float(re.findall(r"[\d.]+", result.stdout)[-1]) < 64 + 2 * 12 + 16
