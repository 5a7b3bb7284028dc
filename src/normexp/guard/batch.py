"""The operations behind a loss: their lines from the first batches, and what made it infinite or NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from normexp.guard.finding import shown
from normexp.guard.graph import Node, history, leaves, operation, origin, recorded, spelled
from normexp.guard.lines import Line
from normexp.guard.losses import Found, classes
from normexp.guard.nonfinite import Culprit, bad_leaf, culprit, softmax_of_one, trap

_SINGLE: Final = 2  # batches in which a softmax goes over one entry before it is said to


class Batches:
    """What is known of the operations of a program's batches.

    Parameters
    ----------
    found : Found
        Where findings go.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        # By the line of the loss: name and line of each operation, in the order in which they run.
        self._lines: dict[Line, list[tuple[str, Line]]] = {}
        self._losses: set[Line] = set()
        self._hooked = False
        self._singles: dict[Line, int] = {}
        # Whether the cause of what is not finite has been told; all that follows is NaN by it.
        self.is_told = False

    def loss_at(self, line: Line) -> None:
        """Note that a loss was taken at this line: what is behind the next backward is behind it, too."""
        self._losses.add(line)

    def _remember(self, line: Line, nodes: Sequence[Node]) -> None:
        known = []
        for node in nodes:
            noted = recorded(node)
            if noted is None:
                return  # of an earlier batch more is known
            known.append((operation(node), noted.line))
            self._hooked |= noted.hooked
            if not noted.hooked and softmax_of_one(node):
                self._single(noted.line, spelled(operation(node)))
        for one in (line, *self._losses):
            self._lines[one] = known
        self._losses.clear()

    def _single(self, line: Line, name: str) -> None:
        self._singles[line] = self._singles.get(line, 0) + 1
        if self._singles[line] >= _SINGLE:
            value = "1" if name == "softmax" else "0"
            message = f"{name} over a dimension of one entry gives {value} whatever the entry is, and no gradient."
            self._found.add("single-logit-softmax", line, message)

    def before_backward(self, roots: Sequence[Tensor], line: Line) -> Callable[[], None] | None:
        """Remember the lines, and return a look at the gradients if one of them may be infinite."""
        nodes = history(*(root.grad_fn for root in roots))
        self._remember(line, nodes)
        traps = [(node, what) for node in nodes if self._may_read(node) and (what := trap(node)) is not None]
        if not traps:
            return None
        told = [
            (spelled(operation(node)), what, noted.line if (noted := recorded(node)) else line) for node, what in traps
        ]

        def after() -> None:
            leaf = None if self.is_told else bad_leaf_gradient(nodes)
            if leaf is not None:
                self.is_told = True
                name, what, at = told[0]
                message = f"{name} {what}: the gradient of a parameter of shape {tuple(leaf.shape)} is not finite."
                self._found.add("not-finite-gradient", at, message, [f"backward at {shown(line)}"])

        return after

    def _may_read(self, node: Node) -> bool:
        """Whether reading what an operation saved is a read, and runs nobody's function."""
        noted = recorded(node)
        return not self._hooked if noted is None else not noted.hooked

    def not_finite(self, what: str, line: Line, args: Sequence[Any], result: Tensor) -> None:
        """Say what made a loss, called at this line with these arguments, infinite or NaN."""
        if self.is_told:
            return
        value = "nan" if bool(torch.isnan(result.detach()).any()) else "inf"
        trace = [f"{what} is {value} at {shown(line)}"]
        x: Tensor | None = args[0] if args else None
        if what in ("cross_entropy", "nll_loss") and self._is_masked(what, line, args[0], args[1], value):
            return
        nodes = history(result.grad_fn) if result.grad_fn is not None else []
        leaf = bad_leaf(nodes)
        if leaf is not None:
            message = (
                f"a parameter of shape {tuple(leaf.shape)} was not finite before this batch: "
                "the last step's gradient was not, or the step too large."
            )
            self._tell("not-finite", line, message, trace)
            return
        made = culprit(nodes, self._may_read) or _last_of(x)
        if made is not None:
            at = self._line_of(made.node, nodes, line)
            message = f"{spelled(operation(made.node))} {made.what}."
            self._tell(made.kind, at or line, message, trace)
        else:
            self._tell("not-finite", line, _without_graph(what, x, value), trace)

    def _tell(self, kind: str, line: Line, message: str, trace: Sequence[str]) -> None:
        self.is_told = True
        self._found.add(kind, line, message, trace)

    def _is_masked(self, what: str, line: Line, x: Tensor, target: Tensor, value: str) -> bool:
        """Whether a loss is not finite because of -inf in its input, as masks have it; then that is told."""
        rows = x.detach().movedim(classes(x), -1).reshape(-1, x.size(classes(x)))
        count = int((rows == -torch.inf).all(-1).sum())
        if count and value == "nan":
            self._tell("rows-all-masked", line, f"{count} of {len(rows)} rows of {what} are nothing but -inf.", [])
            return True
        if target.is_floating_point() or bool((torch.isnan(rows) | (rows == torch.inf)).any()):
            return False
        labels = target.detach().reshape(-1)
        is_class = (labels >= 0) & (labels < rows.size(-1))
        chosen = rows[is_class].gather(1, labels[is_class, None].long())
        count = int((chosen == -torch.inf).sum())
        if count:
            self._tell("not-finite", line, f"{what} is {value}: the class of {count} labels is masked by -inf.", [])
        return count > 0

    def _line_of(self, node: Node, nodes: Sequence[Node], line: Line) -> Line | None:
        """Return the line of an operation: its own, or that of the one in its place in an earlier batch."""
        noted = recorded(node)
        if noted is not None:
            return noted.line
        known, name = self._lines.get(line, []), operation(node)
        place = nodes.index(node) if node in nodes else -1
        # Counted from the beginning or, if batches differ, from the end; or else the only one of its name.
        for index in (place, place - len(nodes) + len(known)):
            if 0 <= index < len(known) and known[index][0] == name:
                return known[index][1]
        alike = {at for other, at in known if other == name}
        return alike.pop() if len(alike) == 1 else None


def bad_leaf_gradient(nodes: Sequence[Node]) -> Tensor | None:
    """Return the gradient of a parameter that is not finite."""
    for node in nodes:
        for leaf in leaves(node):
            if leaf.grad is not None and not bool(torch.isfinite(leaf.grad.detach()).all()):
                return leaf.grad
    return None


def _last_of(x: Tensor | None) -> Culprit | None:
    """Blame the operation that made the input of the loss, if that is not finite and there is one."""
    if x is None or bool(torch.isfinite(x.detach()).all()):
        return None
    node = origin(x)
    if node is None:
        return None
    bad: Any = "nan" if bool(torch.isnan(x.detach()).any()) else "inf"
    half = x.dtype in (torch.float16, torch.bfloat16) and bad == "inf"
    return Culprit(node, "half-overflow" if half else "not-finite", f"makes {bad}")


def _without_graph(what: str, x: Tensor | None, value: str) -> str:
    if x is None:
        return f"{what} is {value}; the operation that made it so is not known."
    if not bool(torch.isfinite(x.detach()).all()):
        return f"{what} is {value}: its input is not finite, and autograd has recorded nothing before it."
    return f"{what} of a finite input is {value}: nothing in the batch counts, or its target or weight is not finite."
