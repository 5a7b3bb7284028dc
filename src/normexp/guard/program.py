"""Running a program under guard as python runs it: its arguments, its path, its exceptions, its exit code."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from types import TracebackType

from normexp.guard.finding import Finding


def run(command: Sequence[str], *, as_module: bool) -> int:
    """Run a script, or a module, with its arguments.

    Parameters
    ----------
    command : sequence of str
        The script's path or the module's name, and the arguments.
    as_module : bool
        Whether it is a module.

    Returns
    -------
    int
        What the program ends with if that is not 0; else 1 if there are findings but of severity info, or 0.
    """
    from normexp.torch import guard

    sys.argv = list(command)
    # As python has it: beside the script are the modules that it imports.
    sys.path[0] = os.getcwd() if as_module else os.path.dirname(os.path.realpath(command[0]))
    with guard() as watched:
        try:
            code = _code_of(command[0], as_module)
        except KeyboardInterrupt:
            _summarize(watched.findings)
            raise
    counted = _summarize(watched.findings)
    return code or (1 if counted else 0)


def _code_of(name: str, as_module: bool) -> int:
    try:
        if as_module:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except Exception as error:
        error.__traceback__ = _programs_own(error.__traceback__)
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _programs_own(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that run the program: those of this file and of runpy."""
    start = trace
    while trace is not None and trace.tb_frame.f_globals.get("__name__") in (__name__, "runpy"):
        trace = trace.tb_next
    return trace or start


def _summarize(findings: Sequence[Finding]) -> int:
    """Print how much was found; return how much of it counts."""
    counted = sum(finding.kind.severity != "info" for finding in findings)
    if counted:
        print(f"normexp guard: {counted} finding{'s' if counted > 1 else ''}", file=sys.stderr)
    return counted
