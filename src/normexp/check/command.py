"""The command ``normexp check``: its arguments, its files, its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from normexp._whole_file import WholeFile, check_apart
from normexp.check.formats import FORMATS, render

if TYPE_CHECKING:
    from normexp.check.config import Config
    from normexp.check.finding import Note
    from normexp.check.report import Report

# A fix may bring forth another: log(exp(x) / sum(exp(x))) takes two rounds. Sound fixes do not take so many.
_ROUNDS: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp check``.

    They are read as text and checked by `main`, so that a mistake costs one line and exit code 2.
    """
    parser.description = (
        "Find misuse of softmax and cross-entropy in Python files and notebooks, without running them. Exits with 1 if"
        " there is a finding of severity error or warning."
    )
    parser.add_argument("paths", metavar="PATH", nargs="*", help="files and folders; - is standard input")
    parser.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="CODE",
        help="apply only these rules: codes (NX101), beginnings of codes (NX1) or names, by commas; may be repeated",
    )
    parser.add_argument("--ignore", action="append", default=[], metavar="CODE", help="do not apply these, likewise")
    parser.add_argument("--format", metavar="NAME", default="text", help=f"{', '.join(FORMATS)} (default: text)")
    parser.add_argument("--output", metavar="FILE", help="write the report to this file")
    parser.add_argument("--fix", action="store_true", help="repair what can be without changing what is computed")
    parser.add_argument("--unsafe-fixes", action="store_true", help="with --fix: also repair what changes it")
    parser.add_argument("--explain", metavar="CODE", help="print the page of a rule, and check nothing")


def main(args: argparse.Namespace) -> int:
    """Run ``normexp check``.

    Returns
    -------
    int
        0, 1 if there is a finding of severity error or warning, 2 for arguments that cannot be met.
    """
    from normexp.check.config import configured
    from normexp.check.names import did_you_mean, rule_of

    try:
        if args.explain is not None:
            from normexp.check.pages import page

            print(page(rule_of(args.explain)), end="")
            return 0
        if not args.paths:
            raise ValueError("needs a PATH: a file or a folder, such as . for this one")
        if args.format not in FORMATS:
            raise ValueError(
                f"--format must be {', '.join(FORMATS)}, not {args.format!r}{did_you_mean(args.format, FORMATS)}"
            )
        if args.unsafe_fixes and not args.fix:
            raise ValueError("--unsafe-fixes goes with --fix")
        if args.fix and "-" in args.paths:
            raise ValueError("--fix cannot repair standard input: give the path of the file")
        check_apart((("--output", args.output),), args.paths)
        config = configured(args.paths, args.select, args.ignore)
    except ValueError as error:
        return _refuse(str(error))
    with ExitStack() as stack:
        try:
            # Entered before the work, so that a path that cannot be written costs none of it.
            file = None if args.output is None else stack.enter_context(WholeFile(args.output))
        except OSError as error:
            return _refuse(f"cannot write --output {args.output!r}: {error.strerror}")
        try:
            report = _checked(args, config)
        except (ValueError, MemoryError) as error:
            return _refuse(str(error))
        return _write(report, args.format, args.output, file)


def _checked(args: argparse.Namespace, config: Config) -> Report:
    from normexp.check.fixing import fix
    from normexp.check.run import run

    report = run(args.paths, config)
    if not args.fix:
        return report
    total = 0
    notes: dict[Note, None] = {}
    for _ in range(_ROUNDS):
        fixed, said = fix(report.findings, unsafe=args.unsafe_fixes)
        notes |= dict.fromkeys(said)
        if not fixed:
            break
        total += fixed
        report = run(args.paths, config)
    _say(notes)
    print(f"normexp check: {total:,} fixed", file=sys.stderr)
    return report


def _write(report: Report, form: str, path: str | None, file: WholeFile | None) -> int:
    text = render(report, form)
    if form != "sarif":  # which has them inside
        _say(report.notes)
    if file is None:
        # A terminal that cannot show a character shows its code.
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    else:
        try:
            file.write_bytes(text.encode("utf-8", "backslashreplace"))
        except BrokenPipeError:  # the reader of a pipe has gone: the command line knows what to do
            raise
        except OSError as error:  # the disk is full
            return _refuse(f"cannot write --output {path!r}: {error.strerror}")
    return 1 if report.failed else 0


def _say(notes: Iterable[Note]) -> None:
    from normexp.check.formats.text import note

    for one in notes:
        print(f"normexp check: {note(one)}", file=sys.stderr)


def _refuse(message: str) -> int:
    print(f"normexp check: {message}", file=sys.stderr)
    return 2
