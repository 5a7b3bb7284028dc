"""The command ``normexp``: argparse and exit codes. Each subcommand is imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        0 fine, 1 findings or failures, 2 usage, 130 interrupted.
    """
    args = _parser().parse_args(_words(sys.argv[1:] if argv is None else argv))
    try:
        code: int = args.run(args)
        # Here rather than at exit, so that a reader who has gone away is noticed.
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except KeyboardInterrupt:
        print("normexp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) wants no more. What is still in the buffer must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a process that SIGPIPE has ended: 128 + 13
    return code


def _parser() -> argparse.ArgumentParser:
    import normexp
    from normexp import bench, check, eval, explain, guard, lab, verify

    parser = argparse.ArgumentParser(
        prog="normexp", description="The softmax family, from logits to loss: fast, accurate to the last place, proved."
    )
    parser.add_argument("--version", action="version", version=f"normexp {normexp.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("verify", help="hold normexp, and its peers, against exact arithmetic")
    verify.add_arguments(command)
    command.set_defaults(run=verify.main)

    command = commands.add_parser("bench", help="time normexp beside its peers and beside what memory allows")
    bench.add_arguments(command)
    command.set_defaults(run=bench.main)

    command = commands.add_parser("eval", help="evaluate logits: loss, accuracy, calibration, temperature")
    eval.add_arguments(command)
    command.set_defaults(run=eval.main)

    command = commands.add_parser("check", help="find misuse of softmax and cross-entropy in code")
    check.add_arguments(command)
    command.set_defaults(run=check.main)

    command = commands.add_parser("explain", help="explain one row of logits: each rounding on the way to the softmax")
    explain.add_arguments(command)
    command.set_defaults(run=explain.main)

    command = commands.add_parser("guard", help="run a PyTorch program and watch its losses")
    guard.add_arguments(command)
    command.set_defaults(run=guard.main)

    command = commands.add_parser("lab", help="open a page on which softmax can be broken by hand")
    lab.add_arguments(command)
    command.set_defaults(run=lab.main)

    command = commands.add_parser("config", help="print the versions, the CPU level and the number of threads")
    command.set_defaults(run=_config)
    return parser


def _words(argv: Sequence[str]) -> Sequence[str]:
    from normexp.explain import as_values

    # Only logits are numbers that may begin with a minus sign.
    return as_values(argv) if argv[:1] == ["explain"] else argv


def _config(_: argparse.Namespace) -> int:
    import normexp

    print(normexp.show_config())
    return 0
