"""Which operation made the first infinity or NaN: read from what autograd kept of a batch whose loss is not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from normexp.guard.graph import Node, leaves, operation, parents, saved, spelled

_HALF: Final = (torch.float16, torch.bfloat16)
_MASKING: Final = ("MaskedFill", "Where", "Add", "Sub", "Mul", "MaskedScatter", "IndexPut", "IndexFill", "CopySlices")
_INPUTS: Final = frozenset(
    ["self", "other", "mat1", "mat2", "batch1", "batch2", "input", "weight", "tensor1", "tensor2", "vec", "mat"]
)


@dataclass(frozen=True, slots=True)
class Culprit:
    """The operation that made a value that is not finite.

    Parameters
    ----------
    node : Node
        The operation.
    kind : str
        The name of the kind of finding.
    what : str
        What it did, as the end of a sentence that begins with its name.
    """

    node: Node
    kind: str
    what: str


def _is_any(condition: Tensor) -> bool:
    return bool(condition.any())


# Where an operation leaves its domain, by the value it saved: the condition, and what came of it. A gradient can be
# infinite where the value is not: those have None there.
_Rule = tuple[str, Callable[[Tensor], Tensor], str]
_FORWARD: Final[dict[str, tuple[_Rule, ...]]] = {
    "Log": (("self", lambda x: x == 0, "of an exact 0 is -inf"), ("self", lambda x: x < 0, "of a negative is nan")),
    "Log2": (("self", lambda x: x == 0, "of an exact 0 is -inf"), ("self", lambda x: x < 0, "of a negative is nan")),
    "Log10": (("self", lambda x: x == 0, "of an exact 0 is -inf"), ("self", lambda x: x < 0, "of a negative is nan")),
    "Log1p": (("self", lambda x: x <= -1, "of -1 or less is not finite"),),
    "Div": (("other", lambda x: x == 0, "by an exact 0"),),
    "Reciprocal": (("result", torch.isinf, "of an exact 0 is inf"),),
    "Rsqrt": (("result", torch.isinf, "of an exact 0 is inf"), ("result", torch.isnan, "of a negative is nan")),
    "Sqrt": (("result", torch.isnan, "of a negative is nan"),),
    "Exp": (("result", lambda x: x == torch.inf, "overflows to inf"),),
    "Acos": (("self", lambda x: x.abs() > 1, "of more than 1 is nan"),),
    "Asin": (("self", lambda x: x.abs() > 1, "of more than 1 is nan"),),
}
_BACKWARD: Final[dict[str, tuple[_Rule, ...]]] = {
    "Log": (("self", lambda x: x == 0, "has an infinite derivative at 0"),),
    "Div": (("other", lambda x: x == 0, "has an infinite derivative where it divides by 0"),),
    "Sqrt": (("result", lambda x: x == 0, "has an infinite derivative at 0"),),
    "Std": (("result", lambda x: x == 0, "has no derivative where all values are the same"),),
    "Acos": (("self", lambda x: x.abs() == 1, "has an infinite derivative at 1 and -1"),),
    "Asin": (("self", lambda x: x.abs() == 1, "has an infinite derivative at 1 and -1"),),
}


def _broken(rules: Sequence[_Rule], values: dict[str, Tensor]) -> str | None:
    for name, condition, what in rules:
        value = values.get(name)
        if value is not None and _is_any(condition(value)):
            return what
    return None


def trap(node: Node) -> str | None:
    """Return why the gradient of this operation is infinite somewhere, if it is."""
    name = operation(node)
    if name == "Pow":
        exponent: Any = getattr(node, "_saved_exponent", 1)
        base = dict(saved(node)).get("self")
        if isinstance(exponent, float) and 0 < exponent < 1 and base is not None and _is_any(base == 0):
            return "has an infinite derivative at 0"
        return None
    rules = _BACKWARD.get(name)
    return None if rules is None else _broken(rules, dict(saved(node)))


def bad_leaf(nodes: Sequence[Node]) -> Tensor | None:
    """Return a parameter that is not finite itself."""
    for node in nodes:
        for leaf in leaves(node):
            if leaf.is_floating_point() and not _is_finite(leaf):
                return leaf.detach()
    return None


def culprit(nodes: Sequence[Node], may_read: Callable[[Node], bool]) -> Culprit | None:
    """Return the first of these operations, in the order in which they ran, that made an infinity or a NaN."""
    for node in nodes:
        if may_read(node):
            found = _made_by(node)
            if found is not None:
                return found
    return None


def _made_by(node: Node) -> Culprit | None:
    name = operation(node)
    values = dict(saved(node))
    for key in sorted(_INPUTS & values.keys()):
        value = values[key]
        if _is_any(torch.isnan(value) | (value == torch.inf)):
            return _of_input(node, key, value)
    what = _broken(_FORWARD.get(name, ()), values)
    if what is not None:
        half = any(value.dtype in _HALF for value in values.values())
        return Culprit(node, "half-overflow" if half and "overflows" in what else "not-finite", what)
    result = values.get("result", values.get("output"))
    if result is None or not result.is_floating_point():
        return None
    if name in ("Softmax", "LogSoftmax"):
        return _of_softmax(node, result) if _is_any(torch.isnan(result)) else None
    return None if not _is_any(torch.isnan(result) | (result == torch.inf)) else _overflow(node, result)


def _overflow(node: Node, value: Tensor) -> Culprit:
    """What this operation put out is not finite."""
    if value.dtype in _HALF and _is_any(torch.isinf(value)):
        return Culprit(node, "half-overflow", f"overflows {_named(value.dtype)} ({torch.finfo(value.dtype).max:g})")
    return Culprit(node, "not-finite", f"makes {'nan' if _is_any(torch.isnan(value)) else 'inf'}")


def _of_input(node: Node, key: str, value: Tensor) -> Culprit:
    """What this operation took is not finite: the work of the one before, or of nobody here."""
    before = sorted(parents(node), key=lambda one: one._sequence_nr())
    if not before:
        named = "nan" if _is_any(torch.isnan(value)) else "inf"
        return Culprit(node, "not-finite", f"is given {named}, in data that came in so")
    return _overflow(before[-1], value)


def _of_softmax(node: Node, result: Tensor) -> Culprit:
    """A softmax of a NaN, of +inf or of nothing but -inf is NaN; its input it does not keep."""
    before = parents(node)
    maker = before[0] if before else None
    while maker is not None and operation(maker) in ("View", "UnsafeView", "Expand", "Transpose", "Unsqueeze"):
        before = parents(maker)
        maker = before[0] if before else None
    if maker is None or operation(maker) in _MASKING:
        rows = int(torch.isnan(result).any(_dim_of(node)).sum())
        return Culprit(node, "rows-all-masked", f"gives nan for {rows} rows, of nothing but -inf")
    if result.dtype in _HALF:
        return Culprit(maker, "half-overflow", f"overflows {_named(result.dtype)} before a softmax")
    return Culprit(maker, "not-finite", f"makes inf or nan, of which {spelled(operation(node))} is nan")


def _dim_of(node: Node) -> int:
    """Return the dimension of a softmax, which is kept as 64 bits without a sign."""
    dim = int(node._saved_dim)
    return dim - 2**64 if dim >= 2**63 else dim


def softmax_of_one(node: Node) -> bool:
    """Whether this softmax goes over one class: over the columns of a matrix, or the channels of images.

    Over the last of several dimensions, or the second of three, it may be a sequence that has one position.
    """
    if operation(node) not in ("Softmax", "LogSoftmax"):
        return False
    result = dict(saved(node)).get("result")
    if result is None or result.dim() not in (2, 4, 5):
        return False
    return _dim_of(node) % result.dim() == 1 and result.size(1) == 1


def _is_finite(x: Tensor) -> bool:
    return bool(torch.isfinite(x.detach()).all())


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
