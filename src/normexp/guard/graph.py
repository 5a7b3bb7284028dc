"""Reading the graph that autograd recorded: which operations, from which lines, and what made this value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from normexp.guard.lines import Line

Node = Any  # torch.autograd.graph.Node, whose saved values have no types

# Operations that hand values on unchanged, each of which goes to some place of the result.
_MOVES: Final = frozenset(
    [
        "AsStrided",
        "Alias",
        "Clone",
        "Expand",
        "Index",
        "IndexSelect",
        "Permute",
        "Reshape",
        "ReshapeAlias",
        "Select",
        "Slice",
        "Split",
        "SplitWithSizes",
        "Squeeze",
        "T",
        "ToCopy",
        "Transpose",
        "Unbind",
        "UnsafeSplit",
        "UnsafeView",
        "Unsqueeze",
        "View",
        "Cat",
        "Stack",
        "Gather",
        "Unfold",
    ]
)
# Sums over what goes in: no longer of its kind.
MIXERS: Final = ("Addmm", "Mm", "Bmm", "Baddbmm", "Convolution", "Embedding", "NativeLayerNorm", "NativeBatchNorm")
_LOGARITHMS: Final = ("Log", "Xlogy")  # Log, Log2, LogSoftmax, Logsumexp, LogSigmoid, Logaddexp, ...
_LEAF: Final[Any] = torch._C._functions.AccumulateGrad  # type: ignore[attr-defined]
_MOST_NODES: Final = 50_000  # a graph without end (one that grows from batch to batch) must not hold anybody up


def operation(node: Node) -> str:
    """Return the name of the operation: "LogSoftmax" of LogSoftmaxBackward0."""
    return _without_backward(node.name())


@cache
def _without_backward(name: str) -> str:
    return re.sub(r"Backward\d*$", "", name)


def spelled(name: str) -> str:
    """Return the name of an operation as PyTorch's functions are named: "log_softmax"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def parents(node: Node) -> list[Node]:
    """Return the operations whose results this one took."""
    return [parent for parent, _ in node.next_functions if parent is not None and type(parent) is not _LEAF]


def leaves(node: Node) -> list[Tensor]:
    """Return the parameters that this operation took."""
    return [parent.variable for parent, _ in node.next_functions if parent is not None and type(parent) is _LEAF]


def history(*roots: Node) -> list[Node]:
    """Return all operations that led to these, in the order in which they ran."""
    seen = {root for root in roots if root is not None and type(root) is not _LEAF}
    left = list(seen)
    while left and len(seen) < _MOST_NODES:
        for parent in parents(left.pop()):
            if parent not in seen:
                seen.add(parent)
                left.append(parent)
    return sorted(seen, key=lambda node: node._sequence_nr())


def origin(x: Tensor) -> Node | None:
    """Return the operation that made the values of `x`, through those that only move them."""
    node = x.grad_fn
    while node is not None and operation(node) in _MOVES:
        found = parents(node)
        if not found or len({operation(one) for one in found}) > 1 or len(found) < len(node.next_functions):
            return None  # from several places: of no one kind
        node = found[0]
    return node


def has_logarithm(x: Tensor) -> bool:
    """Whether a logarithm was taken near `x`, before the last product of matrices."""
    left, seen = [x.grad_fn] if x.grad_fn is not None else [], 0
    while left and seen < 200:  # far beyond what anybody puts between a logarithm and its loss
        node = left.pop()
        seen += 1
        name = operation(node)
        if name.startswith(_LOGARITHMS):
            return True
        if not name.startswith(MIXERS):
            left.extend(parents(node))
    return False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was noted when an operation ran."""

    line: Line
    hooked: bool  # whether reading what it saved would run somebody's function (a checkpoint's forward, say)


_TRACE: Final = re.compile(r'  File "(.*)", line (\d+), in ')
HOOKED: Final = "    (saved through hooks)\n"


def recorded(node: Node) -> Recorded | None:
    """Return what the recorder noted of this operation, if it was at work."""
    trace = node.metadata.get("traceback_")
    return None if trace is None else _read(tuple(trace))


@lru_cache(maxsize=1000)  # there are as many as lines that call PyTorch
def _read(trace: tuple[str, ...]) -> Recorded | None:
    for text in reversed(trace):
        match = _TRACE.match(text)
        if match:
            return Recorded(Line(match[1], int(match[2])), HOOKED in trace)
    return None


_saved_names: dict[type, tuple[str, ...]] = {}


def saved(node: Node) -> Iterator[tuple[str, Tensor]]:
    """Yield what an operation kept for its gradient: ("result", tensor) and the like."""
    names = _saved_names.get(type(node))
    if names is None:
        names = _saved_names[type(node)] = tuple(name for name in dir(node) if name.startswith("_saved_"))
    for name in names:
        try:
            value = getattr(node, name)
        except RuntimeError:  # changed in place since, or freed: nothing to be read
            continue
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(one, Tensor):
                yield name.removeprefix("_saved_"), one.detach()
