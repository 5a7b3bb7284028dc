"""What each loss demands of its input, and what is found when it is given something else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from torch import Tensor

from normexp.guard.graph import MIXERS, has_logarithm, operation, origin, recorded, spelled
from normexp.guard.lines import Line
from normexp.guard.site import Site
from normexp.guard.values import look

PROBABILITIES, LOGARITHMS, POSITIVE = "probabilities", "log-probabilities", "positive"


class Found(Protocol):
    """Where findings go."""

    def add(self, kind: str, line: Line, message: str, trace: Sequence[str] = ()) -> None:
        """Take a finding."""


def classes(x: Tensor) -> int:
    """Return the dimension of the classes."""
    return 1 if x.dim() > 1 else 0


def floor(number: int) -> float:
    """Return the least cross-entropy of so many classes with probabilities for logits: of 1 against 0s."""
    return math.log1p((number - 1) / math.e)


def _made_at(x: Tensor) -> list[str]:
    """Say what made the values, and where, as far as the graph knows."""
    node = origin(x)
    if node is None:
        return []
    name, noted = operation(node), recorded(node)
    if name not in ("Softmax", "LogSoftmax", "Sigmoid", "Exp"):
        return []
    return [f"{spelled(name)} at {noted.line.path}:{noted.line.number}"] if noted else [f"made by {spelled(name)}"]


def _origin(x: Tensor) -> str:
    node = origin(x)
    return "" if node is None else operation(node)


def cross_entropy(found: Found, site: Site, args: Sequence[Any], value: float | None) -> None:
    """Look at ``cross_entropy(x, target, ...)``."""
    x = args[0]
    dim = classes(x)
    number = x.size(dim)
    if number == 1:
        site.zeros += 1
        if site.zeros > 1:  # twice, in case it was a batch of odd shape
            found.add(
                "single-logit-softmax", site.line, "cross_entropy over one class is always 0, and so its gradient."
            )
        return
    made = _origin(x)
    if made == "Sigmoid":
        message = "cross_entropy was given the output of a sigmoid: no two logits can differ by more than 1."
        found.add("sigmoid-into-cross-entropy", site.line, message, _made_at(x))
        return
    if not site.may_be("input", PROBABILITIES, LOGARITHMS):
        return  # logits, as nearly always the first batch says
    seen = look(x, dim, doubt=made.startswith(MIXERS))
    if site.agree("input", PROBABILITIES, seen, known=made == "Softmax"):
        message = (
            f"cross_entropy was given probabilities: rows of {number} that sum to 1. "
            f"It cannot fall below {floor(number):.3f} = ln(1 + {number - 1}/e) that way{_now(value)}."
        )
        found.add("double-softmax", site.line, message, _made_at(x))
    if site.agree("input", LOGARITHMS, seen, known=made == "LogSoftmax"):
        message = "cross_entropy was given log-probabilities, of which it takes the log_softmax once more."
        found.add("log-softmax-into-cross-entropy", site.line, message, _made_at(x))


def nll_loss(found: Found, site: Site, args: Sequence[Any], value: float | None) -> None:
    """Look at ``nll_loss(x, target, ...)``."""
    x = args[0]
    if x.size(classes(x)) == 1:
        return
    seen = look(x, classes(x))
    if site.agree("input", PROBABILITIES, seen, known=_origin(x) == "Softmax"):
        message = f"nll_loss was given probabilities: it goes from 0 to -1 where it should go to 0{_now(value)}."
        found.add("nll-on-probs", site.line, message, _made_at(x))
    elif seen.kind == POSITIVE and not has_logarithm(x):
        message = f"nll_loss was given values up to {_highest(x)}, and log-probabilities are 0 at most{_now(value)}."
        found.add("nll-on-logits", site.line, message)


def kl_div(found: Found, site: Site, args: Sequence[Any], value: float | None) -> None:
    """Look at ``kl_div(x, target, ..., log_target)``."""
    x, target, log_target = args
    for dim in {x.dim() - 1, classes(x)} if x.dim() else ():
        if x.size(dim) < 2:
            return
        seen, aimed = look(x, dim), look(target, dim) if target.shape == x.shape else None
        if site.agree(f"input {dim}", PROBABILITIES, seen, known=_origin(x) == "Softmax"):
            message = f"the input of kl_div is probabilities where it takes their logarithms{_now(value)}."
            found.add("kl-probs-input", site.line, message, _made_at(x))
            return
        if seen.kind == POSITIVE and not _is_below_one(x) and not has_logarithm(x):
            message = (
                f"the input of kl_div has values up to {_highest(x)}; log-probabilities are 0 at most{_now(value)}."
            )
            found.add("kl-on-logits", site.line, message)
            return
        if aimed is None:
            continue
        wrong, said = (PROBABILITIES, "True") if log_target else (LOGARITHMS, "False")
        if site.agree(f"target {dim}", wrong, aimed):
            message = f"the target of kl_div is {wrong} and log_target is {said}{_now(value)}."
            found.add("kl-log-target", site.line, message, _made_at(target))
            return


def bce_with_logits(found: Found, site: Site, args: Sequence[Any], value: float | None) -> None:
    """Look at ``binary_cross_entropy_with_logits(x, target, ...)``."""
    made = _origin(args[0])
    if made in ("Sigmoid", "Softmax"):
        message = (
            f"binary_cross_entropy_with_logits was given the output of a {made.lower()}: from 0 to 1, "
            f"of which it sees 0.5 to 0.731{_now(value)}."
        )
        found.add("double-sigmoid", site.line, message, _made_at(args[0]))


def _now(value: float | None) -> str:
    return "" if value is None else f" (now {value:.4g})"


def _highest(x: Tensor) -> str:
    return f"{float(x.detach().max()):.3g}"


def _is_below_one(x: Tensor) -> bool:
    """Whether these may be probabilities along some other dimension: then nothing is proved."""
    return float(x.detach().max()) <= 1 and float(x.detach().min()) >= 0


Check = Callable[[Found, Site, Sequence[Any], float | None], None]
CHECKS: Final[dict[str, Check]] = {
    "cross_entropy": cross_entropy,
    "nll_loss": nll_loss,
    "kl_div": kl_div,
    "binary_cross_entropy_with_logits": bce_with_logits,
}
