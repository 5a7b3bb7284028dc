"""Noting the line of each operation that autograd records, for the first batches.

PyTorch's anomaly mode has a Python stack written down for each operation, by a function of Python. That function is
replaced by one that takes only the user's line: some 2 µs where a whole stack is some 50. The mode is off whenever a
backward runs, where it would change what an error says.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import torch
import torch.fx.traceback as fx_traceback

from normexp.guard.graph import HOOKED
from normexp.guard.lines import users_line

# A program that never comes to a loss pays for this many operations at most: less than a tenth of a second.
_MOST: Final = 20_000
_FX: Final = os.path.dirname(fx_traceback.__file__)


class Recorder:
    """The recorder; PyTorch has one anomaly mode, so there is one."""

    def __init__(self) -> None:
        self.is_done = True
        self._on = False
        self._left = 0
        self._stack = fx_traceback.format_stack

    def restart(self) -> None:
        """Record from here on."""
        self._left = _MOST
        self.is_done = False
        self.resume()

    def resume(self) -> None:
        """Record again after `pause`, unless there was enough."""
        # Somebody's own anomaly mode writes down whole stacks, which is as good.
        if not self._on and self._left > 0 and not torch.is_anomaly_enabled():
            self._on = True
            self._stack = fx_traceback.format_stack
            fx_traceback.format_stack = self._users_line
            torch.set_anomaly_enabled(True, False)

    def pause(self) -> None:
        """Do not record for a while."""
        if self._on:
            if torch.is_anomaly_check_nan_enabled():
                return  # now it is the user's; when it is over, the state comes back that we made
            self._on = False
            torch.set_anomaly_enabled(False, False)
            fx_traceback.format_stack = self._stack

    def stop(self) -> None:
        """Record no more."""
        self._left = 0
        self.pause()
        self.is_done = not self._on

    def _users_line(self) -> list[str]:
        caller = sys._getframe(1)
        # torch.fx writes down stacks with the same function, for its own ends.
        if torch.is_anomaly_check_nan_enabled() or caller.f_code.co_filename.startswith(_FX):
            return self._stack()
        self._left -= 1
        if self._left <= 0:
            self.stop()
        line = users_line(caller)
        trace = [f'  File "{line.path}", line {line.number}, in the program\n']
        if torch._C._autograd._top_saved_tensors_default_hooks(True) is not None:
            trace.append(HOOKED)
        return trace


RECORDER: Final = Recorder()
