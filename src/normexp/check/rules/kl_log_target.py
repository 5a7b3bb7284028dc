"""NX105 kl-log-target."""

from __future__ import annotations

import ast
from typing import Final

from normexp.check.event import Event, Problem
from normexp.check.finding import Fix
from normexp.check.known import truth
from normexp.check.rule import Rule
from normexp.check.rules._fixes import appended
from normexp.check.values import Kind

RULE: Final = Rule(
    code="NX105",
    name="kl-log-target",
    severity="error",
    summary="The target of KLDivLoss is log-probabilities, and log_target is not set.",
    why="""\
Without `log_target=True` the target is taken as probabilities, and its logarithm is taken. The logarithm of a
negative number is NaN, so the loss is NaN as soon as one target is a log-probability below 0. Either give
probabilities, or say `log_target=True`, which is also the more accurate way.
""",
    bad="""\
import torch.nn.functional as F


def distil(student, teacher):
    return F.kl_div(F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1), reduction="batchmean")
""",
    good="""\
import torch.nn.functional as F


def distil(student, teacher):
    return F.kl_div(
        F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1), reduction="batchmean", log_target=True
    )
""",
    references=(
        (
            "torch.nn.KLDivLoss",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html",
        ),
    ),
    fixes="unsafe",
)


def find(event: Event) -> Problem | None:
    """Find a target of log-probabilities without log_target, and one of probabilities with it."""
    target = event.tensor("target")
    told = truth(event.value("log_target"))
    if event.operation != "kl_div" or told is None:
        return None
    if target.kind is Kind.LOG_PROBABILITIES and not told:
        return Problem(f"The target of {event.shown} is log-probabilities: say log_target=True.", target, _fix(event))
    if target.kind is Kind.PROBABILITIES and told:
        return Problem(f"{event.shown} has log_target=True, but its target is probabilities: leave it out.", target)
    return None


def _fix(event: Event) -> Fix | None:
    """Say log_target in the call of the function; a criterion is made elsewhere."""
    if event.shown != "kl_div" or not isinstance(event.node, ast.Call):
        return None
    return Fix((appended(event.source, event.node, "log_target=True"),), False, "Say log_target=True.")
