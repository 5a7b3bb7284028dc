"""NX303 log-sum-exp."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.arithmetic import shifted
from normexp.check.event import Event, Problem
from normexp.check.finding import Fix
from normexp.check.rule import Rule
from normexp.check.rules._fixes import operand, replacement

RULE: Final = Rule(
    code="NX303",
    name="log-sum-exp",
    severity="warning",
    summary="The logarithm of a sum of exponentials is taken by hand: it overflows.",
    why="""\
exp(x) is infinite above 88.72 in float32, above 709.78 in float64 and above 11.09 in half precision, and 0 where x is
very negative: log(sum(exp(x))) is then inf or -inf, although the true value lies within ln(n) of the largest of the n
elements. `logsumexp` subtracts the maximum first and adds it afterwards.
""",
    bad="""\
import torch


def normaliser(logits):
    return torch.log(torch.sum(torch.exp(logits), dim=-1))
""",
    good="""\
import torch


def normaliser(logits):
    return torch.logsumexp(logits, dim=-1)
""",
    references=(
        (
            "torch.logsumexp",
            "https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html",
        ),
        (
            "P. Blanchard, D. J. Higham, N. J. Higham: Accurately computing the log-sum-exp and softmax functions",
            "https://doi.org/10.1093/imanum/draa038",
        ),
    ),
    fixes="safe",
)


def find(event: Event) -> Problem | None:
    """Find log(sum(exp(x))) where nothing was subtracted from x."""
    summed = event.tensor().term
    exponential = summed.part(0)
    if event.operation != "log" or summed.operation != "sum" or exponential is None or exponential.operation != "exp":
        return None
    exponent = exponential.part(0)
    if exponent is None or shifted(exponent):
        return None
    return Problem("The logarithm of a sum of exponentials overflows by hand: use logsumexp.", None, _fix(event))


def _fix(event: Event) -> Fix | None:
    """Write torch.log(torch.sum(torch.exp(x), dim)) as torch.logsumexp(x, dim)."""
    total = operand(event.node)
    exponential = operand(total) if isinstance(total, ast.Call) and total.args else None
    exponent = operand(exponential) if isinstance(exponential, ast.Call) and exponential.args else None
    if not (isinstance(event.node, ast.Call) and isinstance(total, ast.Call) and exponent is not None):
        return None
    source = event.source
    names = [source.segment(call.func) for call in (event.node, total) if isinstance(call.func, ast.Attribute)]
    if names != ["torch.log", "torch.sum"] or len(total.args) + len(total.keywords) < 2:
        return None
    rest = [source.segment(argument) for argument in total.args[1:]]
    rest += [f"{keyword.arg}={source.segment(keyword.value)}" for keyword in total.keywords if keyword.arg]
    text = f"torch.logsumexp({', '.join([source.segment(exponent), *rest])})"
    return Fix((replacement(source, event.node, text),), True, "Use logsumexp.")
