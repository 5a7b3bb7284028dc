"""guard(): the context manager."""

from __future__ import annotations

import sys
from contextlib import ContextDecorator
from types import TracebackType
from typing import Self

from normexp.guard import taps
from normexp.guard.finding import Finding
from normexp.guard.watch import Tell, Watch


def print_finding(finding: Finding) -> None:
    """Print a finding to standard error."""
    print(f"normexp guard: {finding}", file=sys.stderr, flush=True)


class guard(ContextDecorator):
    """Watch the losses of a running program for softmax and cross-entropy misuse.

    Within the block (or the function, as a decorator), in all threads: cross-entropy of probabilities, negative
    log-likelihood and KL divergence of the wrong kind, a sigmoid or softmax taken twice, a softmax over one entry, rows
    that are all masked, losses that read 0 and are not, infinities and NaN with the operation that made them, and
    gradients that underflow. Each is found once a line of your code. Nothing is changed: not a bit of a result, nor the
    random numbers, the graph or the exceptions.

    Parameters
    ----------
    tell : callable, optional
        Called with each `Finding` as it is found; by default it is printed to standard error. What it raises comes out
        of the call of the loss.

    Attributes
    ----------
    findings : list of Finding
        What was found, in order: `kind` (with `code`, `name`, `severity`, `remedy`), `line`, `message`, `trace`.

    See Also
    --------
    normexp.torch.cross_entropy : The loss that reads 2e-9 where PyTorch's reads 0.

    Notes
    -----
    The first five calls at each line are looked at closely; after that, a loss is read, once a call.

    Examples
    --------
    >>> import torch
    >>> import torch.nn.functional as F
    >>> import normexp.torch as nxt
    >>> with nxt.guard(tell=lambda finding: print(finding.kind.name)) as watched:
    ...     p = torch.softmax(torch.randn(8, 10), 1)
    ...     loss = F.cross_entropy(p, torch.arange(8))
    double-softmax
    >>> print(watched.findings[0].message)  # doctest: +ELLIPSIS
    cross_entropy was given probabilities: rows of 10 that sum to 1. It cannot fall below 1.461 = ln(1 + 9/e) ...
    """

    def __init__(self, *, tell: Tell = print_finding) -> None:
        self._tell = tell
        self._watches: list[Watch] = []
        self._last: Watch | None = None
        self.findings: list[Finding] = []

    @property
    def _trouble(self) -> str | None:
        """What could not be looked at."""
        return self._last.trouble if self._last is not None else None

    def _recreate_cm(self) -> Self:
        return type(self)(tell=self._tell)

    def __enter__(self) -> Self:
        watch = self._last = Watch(self._tell, self.findings)
        self._watches.append(watch)
        taps.add(watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        taps.remove(self._watches.pop())
