"""The rules, one a file, in the order of their codes: what each says of itself, and how it is found."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from normexp.check.rule import Rule
from normexp.check.rules import (
    argmax_of_softmax,
    double_sigmoid,
    double_softmax,
    implicit_dim,
    keepdims,
    kl_log_target,
    kl_probs_input,
    log_of_softmax,
    log_softmax_into_cross_entropy,
    log_sum_exp,
    mask_fill,
    missing_softmax,
    naive_exp,
    nll_on_logits,
    nll_on_probs,
    sigmoid_into_cross_entropy,
    single_logit_softmax,
    softmax_bce,
    wrong_dim,
)

MODULES: Final[tuple[ModuleType, ...]] = (
    double_softmax,
    nll_on_logits,
    nll_on_probs,
    kl_probs_input,
    kl_log_target,
    missing_softmax,
    sigmoid_into_cross_entropy,
    double_sigmoid,
    softmax_bce,
    log_softmax_into_cross_entropy,
    single_logit_softmax,
    wrong_dim,
    implicit_dim,
    keepdims,
    mask_fill,
    log_of_softmax,
    naive_exp,
    log_sum_exp,
    argmax_of_softmax,
)

RULES: Final[tuple[Rule, ...]] = tuple(module.RULE for module in MODULES)
