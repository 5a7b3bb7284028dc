"""One guard at work: what it has seen, what it has found. The functions that PyTorch calls end here."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final

import torch
from torch import Tensor

from normexp.guard.batch import Batches
from normexp.guard.finding import Finding
from normexp.guard.gradients import watch_underflow
from normexp.guard.kinds import KINDS
from normexp.guard.lines import Line, users_line
from normexp.guard.losses import CHECKS
from normexp.guard.pace import MOST_RESTS
from normexp.guard.recorder import RECORDER
from normexp.guard.site import RECORDED, Site
from normexp.guard.zero import reads_zero

# Reading a number from another device waits for that device, so that later losses there are read now and then.
_EVERY: Final = 32
# A gradient of nothing is no wonder where the loss is next to nothing.
_SMALL_LOSS: Final = 0.01
_ZEROS: Final = 3  # times that a loss of 0 is looked into at one line

Tell = Callable[[Finding], None]


class Told(Exception):
    """Carries what `tell` raised, which is meant for the program, past what is not."""


class _Care:
    """Lets nothing out but what `tell` raises: what guard cannot do is no fault of the program's."""

    __slots__ = ("_watch",)

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Told):
            raise error.__cause__ or error from None
        if isinstance(error, Exception):
            self._watch.could_not(error)
            return True
        return False


class Watch:
    """What one ``with guard()`` sees.

    Parameters
    ----------
    tell : callable
        Called with each finding, once.
    findings : list of Finding
        Where they are put.
    """

    def __init__(self, tell: Tell, findings: list[Finding]) -> None:
        self.findings = findings
        self.trouble: str | None = None
        self._tell = tell
        self._seen: set[tuple[str, Line]] = set()
        self._lock = threading.Lock()
        self._sites: dict[tuple[str, Line], Site] = {}
        self._open = 0
        self._since_open = 0  # looks at losses since one at a line that is open
        self._care = _Care(self)
        self._backwards = 0
        self._batches = Batches(self)

    def add(self, kind: str, line: Line, message: str, trace: Sequence[str] = ()) -> None:
        """Take a finding, unless it was taken before at this line."""
        with self._lock:
            if (kind, line) in self._seen:
                return
            self._seen.add((kind, line))
            finding = Finding(KINDS[kind], line, message, tuple(trace))
            self.findings.append(finding)
        try:
            self._tell(finding)
        except Exception as error:
            raise Told from error

    def could_not(self, error: Exception) -> None:
        """Say that something could not be looked at, once."""
        if self.trouble is None:
            self.trouble = f"{type(error).__name__}: {error}"
            print(f"normexp guard: could not look at everything ({self.trouble})", file=sys.stderr)

    def see_loss(self, what: str, args: Sequence[Any], result: Tensor, frame: FrameType | None) -> bool:
        """See a loss, of these arguments, that was called from this frame; return whether some may now be left out."""
        with self._care:
            line = users_line(frame)
            site = self._sites.get((what, line))
            if site is None:
                site = self._sites[what, line] = Site(what, line)
                self._open += 1
            site.calls += 1
            self._since_open += 1
            with torch._C.DisableTorchFunction():
                if site.is_open:
                    self._since_open = 0
                    self._look_closely(site, args, result)
                    self._open -= not site.is_open
                elif _is_due(result, site.calls):
                    self._glance(site, args, result)
        # A line that is open and is not come to (evaluation before the training, say) must not cost every step a look.
        return not self._open or self._since_open > MOST_RESTS

    def _glance(self, site: Site, args: Sequence[Any], result: Tensor) -> None:
        """Look at the value of a loss and at nothing else, unless it is a strange one."""
        value = result.item() if result.dim() == 0 else float(result.detach().sum())
        if value - value != 0:
            self._batches.not_finite(site.what, site.line, args, result)
            return
        self._batches.is_told = False
        if value == 0 and site.zeros < _ZEROS:
            self._zero(site, args)

    def _look_closely(self, site: Site, args: Sequence[Any], result: Tensor) -> None:
        site.close()
        self._batches.loss_at(site.line)
        value = result.item() if result.numel() == 1 else float(result.detach().double().mean())
        before = len(self.findings)
        CHECKS[site.what](self, site, args, value)
        if value - value != 0:
            if len(self.findings) == before:
                self._batches.not_finite(site.what, site.line, args, result)
            self._batches.is_told = True  # by the kind of its input, or by the line above
            return
        self._batches.is_told = False
        if value == 0:
            self._zero(site, args)
        elif value > _SMALL_LOSS and _has_labels(site.what, args):
            watch_underflow(args[0], result, self._underflow(site, value))

    def _zero(self, site: Site, args: Sequence[Any]) -> None:
        if site.what != "cross_entropy":
            return
        site.zeros += 1
        said = reads_zero(args)
        if said is not None:
            self.add("zero-loss", site.line, said)

    def _underflow(self, site: Site, value: float) -> Callable[[Tensor], None]:
        def lost(gradient: Tensor) -> None:
            with self._care:
                say(gradient)

        def say(gradient: Tensor) -> None:
            named, tiny = str(gradient.dtype).removeprefix("torch."), torch.finfo(gradient.dtype).tiny
            message = (
                f"the gradient at the input of {site.what} is {float(gradient.detach().abs().amax()):.2g} at most, in "
                f"{named}, whose normal numbers begin at {tiny:.2g}, while the loss is {value:.4g}."
            )
            self.add("underflowed-gradients", site.line, message)

        return lost

    def see_backward(
        self, roots: Sequence[Tensor], frame: FrameType | None, readable: bool
    ) -> Callable[[bool], None] | None:
        """See what a backward begins with; return what is to be called after it, with whether it went well."""
        self._backwards += 1
        with self._care:
            if self._backwards <= RECORDED or not RECORDER.is_done:
                return self._first_backward(roots if readable else (), frame)
            for root in roots if readable else ():
                if root.dim() == 0 and _is_due(root, self._backwards) and _is_bad(root):
                    self._not_finite(root, frame)
        return None

    def _not_finite(self, root: Tensor, frame: FrameType | None) -> None:
        with torch._C.DisableTorchFunction():
            self._batches.not_finite("the loss", users_line(frame), (), root)

    def _first_backward(self, roots: Sequence[Tensor], frame: FrameType | None) -> Callable[[bool], None]:
        RECORDER.pause()
        look: Callable[[], None] | None = None
        with torch._C.DisableTorchFunction():
            for root in roots:
                if root.dim() == 0 and _is_bad(root):
                    self._not_finite(root, frame)
            if roots:
                look = self._batches.before_backward(roots, users_line(frame))

        def after(done: bool) -> None:
            if self._backwards < RECORDED:
                RECORDER.resume()
            else:
                RECORDER.stop()
            if done and look is not None:
                with self._care, torch._C.DisableTorchFunction():
                    look()

        return after


def _is_bad(root: Tensor) -> bool:
    """Whether a loss is not finite, and not as torch.amp.GradScaler has it now and then: infinite in half precision."""
    value = root.item()
    if value - value == 0:
        return False
    return value != value or root.dtype not in (torch.float16, torch.bfloat16)


def _is_due(result: Tensor, calls: int) -> bool:
    """Whether a result is to be read now: one number in memory always, others now and then."""
    if result.is_cpu and result.dim() == 0:
        return True
    return calls % _EVERY == 0 and not (result.is_cuda and torch.cuda.is_current_stream_capturing())


def _has_labels(what: str, args: Sequence[Any]) -> bool:
    """Whether this is a loss of class indices, whose gradient is zero only where the loss is."""
    return what in ("cross_entropy", "nll_loss") and not args[1].is_floating_point()
