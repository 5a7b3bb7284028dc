"""Watch the losses of a running PyTorch program: ``normexp guard SCRIPT``, `normexp.torch.guard`, a plugin of pytest.

`taps` replaces the operators behind the losses, `recorder` notes lines, `watch` sees the calls; `losses`, `values`,
`graph`, `nonfinite`, `gradients` and `zero` say what is wrong; `kinds` and `finding` how that reads.
This module reads the arguments, and imports the rest when there is something to run.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp guard``."""
    parser.description = (
        "Run a PyTorch program, as python would, and say on standard error where its losses are given the wrong thing, "
        "are 0, infinite or NaN without need, or have gradients that underflow."
    )
    parser.usage = "normexp guard [-h] SCRIPT [ARGS ...]\n       normexp guard [-h] -m MODULE [ARGS ...]"
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="run a module, as python -m"
    )
    parser.add_argument("script", nargs=argparse.REMAINDER, metavar="SCRIPT", help="the program and its own arguments")


def main(args: argparse.Namespace) -> int:
    """Run ``normexp guard`` and return its exit code: the program's own, or 1 for findings."""
    command: list[str] = args.module if args.module is not None else args.script
    if args.module is None and command[:1] == ["--"]:
        command = command[1:]
    if not command:
        return _refuse("say which SCRIPT to run, or -m MODULE")
    if args.module is None and not os.path.exists(command[0]):
        return _refuse(f"there is no file {command[0]!r}")
    if args.module is None and command[0].startswith("-"):
        return _refuse(f"unknown option {command[0]!r}: options of the program go after its name")
    if args.module is not None and not _is_there(command[0]):
        return _refuse(f"there is no module {command[0]!r}")
    if find_spec("torch") is None:
        return _refuse('needs torch: pip install "normexp[torch]"')
    from normexp.guard.program import run

    return run(command, as_module=args.module is not None)


def _is_there(module: str) -> bool:
    before = sys.path[:]
    sys.path[0] = os.getcwd()  # as python -m has it
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError as error:
        # A package around it that is there, and misses something itself, says so when it runs.
        return error.name is not None and not f"{module}.".startswith(f"{error.name}.")
    except (ImportError, ValueError):
        return False
    finally:
        sys.path[:] = before


def _refuse(message: str) -> int:
    print(f"normexp guard: {message}", file=sys.stderr)
    return 2
