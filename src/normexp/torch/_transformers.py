"""patch_transformers: the loss of Hugging Face's causal language models without their logits, while they train."""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normexp.torch._linear import linear_cross_entropy

_NEEDED: Final = ("labels", "logits_to_keep")
_IGNORED: Final = -100  # the label that transformers pads with
# How far the losses of a few tokens may lie apart, relative to them: by the rounding of logits in the model's dtype.
_APART: Final = {torch.float16: 2.0**-8, torch.bfloat16: 2.0**-5}


def patch_transformers(model: nn.Module) -> nn.Module:
    """Make a causal language model of Hugging Face's transformers compute its training loss by `linear_cross_entropy`.

    In training mode and with labels, the model's output has the same loss, with the same gradients, and ``logits`` of
    None: they are never made. In evaluation mode, or without labels, nothing changes.

    Parameters
    ----------
    model : torch.nn.Module
        A model with a language modelling head: ``LlamaForCausalLM`` and others whose logits are a linear function of
        the last hidden states, soft-capped or not (``config.final_logit_softcapping``).

    Returns
    -------
    torch.nn.Module
        `model` itself, changed; `unpatch_transformers` changes it back.

    Raises
    ------
    TypeError
        If it is no such model; says what is missing.
    ValueError
        If its loss of four tokens, which is computed both ways, differs: its logits are made in some other way.

    Notes
    -----
    Labels are shifted, ``shift_labels``, ``num_items_in_batch`` and ``logits_to_keep`` are understood, as
    transformers' loss for causal models does (tested with transformers 5.24). Only the model itself changes, no class.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.patch_transformers(torch.nn.Linear(2, 2))
    Traceback (most recent call last):
    TypeError: Linear is no causal language model of transformers: it has no get_output_embeddings()
    """
    _check_kind(model)
    if is_patched(model):
        return model
    if "forward" in vars(model):
        raise TypeError(f"the forward of this {type(model).__name__} has been replaced already; patch the model first")
    _check_loss(model)
    model.forward = MethodType(_forward, model)
    return model


def unpatch_transformers(model: nn.Module) -> nn.Module:
    """Undo `patch_transformers`.

    Parameters
    ----------
    model : torch.nn.Module
        A model, patched or not.

    Returns
    -------
    torch.nn.Module
        `model` itself.

    Examples
    --------
    >>> import torch
    >>> import normexp.torch as nxt
    >>> nxt.unpatch_transformers(torch.nn.Linear(2, 2))
    Linear(in_features=2, out_features=2, bias=True)
    """
    if is_patched(model):
        del model.forward
    return model


def is_patched(model: nn.Module) -> bool:
    """Whether `patch_transformers` has changed this model."""
    return getattr(vars(model).get("forward"), "__func__", None) is _forward


def _forward(model: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
    """Take the place of the model's forward."""
    original = type(model).forward
    given = inspect.signature(original).bind(model, *args, **options).arguments
    if not model.training or given.get("labels") is None:
        return original(model, *args, **options)
    return _with_loss(model, given)


def _with_loss(model: Any, given: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return the model's output with the loss and without the logits.

    given: the arguments of its forward by name, `self` and those that have no name of their own among them.
    """
    from transformers.modeling_outputs import CausalLMOutputWithPast

    arguments = dict(list(given.items())[1:])
    (rest,) = [p.name for p in _parameters(model) if p.kind is p.VAR_KEYWORD] or [""]
    more = arguments.pop(rest, {})
    labels, kept = arguments.pop("labels"), arguments.pop("logits_to_keep", 0)
    as_dict = {**arguments, **more}.get("return_dict")
    outputs = model.base_model(**{**arguments, **more, "return_dict": True})
    hidden = outputs.last_hidden_state
    if not isinstance(kept, int):
        hidden = hidden[:, kept]
    elif kept:
        hidden = hidden[:, -kept:]
    loss = _loss(model, hidden, labels, more)
    fields = CausalLMOutputWithPast.__dataclass_fields__
    made = CausalLMOutputWithPast(loss=loss, **{name: value for name, value in outputs.items() if name in fields})
    wants_tuple = as_dict is False or (as_dict is None and not getattr(model.config, "return_dict", True))
    return made.to_tuple() if wants_tuple else made


def _loss(model: Any, hidden: Tensor, labels: Tensor, options: dict[str, Any]) -> Tensor:  # noqa: ANN401
    ignored = options.get("ignore_index", _IGNORED)
    targets = options.get("shift_labels")
    if targets is None:
        targets = F.pad(labels, (0, 1), value=ignored)[..., 1:]
    count = options.get("num_items_in_batch")
    head = model.get_output_embeddings()
    loss = linear_cross_entropy(
        hidden.reshape(-1, hidden.shape[-1]),
        head.weight,
        targets.reshape(-1).to(hidden.device),
        linear_bias=head.bias,
        ignore_index=ignored,
        reduction="mean" if count is None else "sum",
        softcap=getattr(model.config, "final_logit_softcapping", None),
    )
    if count is None:
        return loss
    return loss / (count.to(loss.device) if isinstance(count, Tensor) else count)


def _parameters(model: Any) -> list[inspect.Parameter]:  # noqa: ANN401
    return list(inspect.signature(type(model).forward).parameters.values())


def _check_kind(model: Any) -> None:  # noqa: ANN401
    name = type(model).__name__
    for method in ("get_output_embeddings", "base_model", "config", "loss_function"):
        if not hasattr(model, method):
            call = "()" if method == "get_output_embeddings" else ""
            raise TypeError(f"{name} is no causal language model of transformers: it has no {method}{call}")
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        raise TypeError(f"the head of {name} is a {type(head).__name__}, not a torch.nn.Linear: its product is its own")
    missing = [need for need in _NEEDED if need not in (p.name for p in _parameters(model))]
    if missing or model.base_model is model:
        raise TypeError(f"{name} is no causal language model: its forward takes no {' and no '.join(missing)}")


def _check_loss(model: Any) -> None:  # noqa: ANN401
    """Compare both losses of four tokens, without dropout."""
    modes = {module: module.training for module in model.modules()}
    device = model.get_output_embeddings().weight.device
    tokens = torch.arange(1, 5, device=device).remainder(model.config.get_text_config().vocab_size).unsqueeze(0)
    try:
        model.eval()
        with torch.no_grad():
            want = model(input_ids=tokens, labels=tokens, use_cache=False).loss
            arguments = {"self": model, "input_ids": tokens, "labels": tokens, "use_cache": False}
            got = _with_loss(model, arguments).loss
    finally:
        for module, mode in modes.items():
            module.training = mode
    apart = _APART.get(model.get_output_embeddings().weight.dtype, 1e-4)
    if not torch.allclose(got.float(), want.float(), rtol=apart, atol=0.0):
        raise ValueError(
            f"the loss of {type(model).__name__} is not that of its head's product: {want.item():.6g} for four tokens, "
            f"not {got.item():.6g}; it scales or changes its logits in some way that is not known here"
        )
