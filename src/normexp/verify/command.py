"""The command ``normexp verify``: its arguments, its files, its exit codes."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from contextlib import ExitStack
from typing import Any, Final

from normexp._json_file import JsonFile
from normexp._whole_file import WholeFile, check_apart

# Modules of the extra "verify".
_NEEDED: Final = ("flint", "rich", "ml_dtypes", "sklearn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp verify``."""
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--html", metavar="FILE", help="also write them as a page that needs nothing else")
    parser.add_argument(
        "--full", action="store_true", help="five times as many inputs, and the peers that compile: some minutes"
    )
    own = parser.add_argument_group("a function of your own")
    own.add_argument("--impl", metavar="MODULE:FUNCTION", help="hold this function against exact values instead")
    own.add_argument("--op", metavar="OP", help="what it computes: softmax (the default), log_softmax, logsumexp, "
                     "softmin, cross_entropy or cross_entropy_grad")  # fmt: skip
    own.add_argument("--arrays", metavar="KIND", help="what it takes: numpy, torch or jax (default: the first of them)")
    own.add_argument("--device", metavar="DEVICE", help="where the arrays are to be, as torch (cuda) or jax (gpu) say")
    own.add_argument("--dtype", metavar="DTYPE", action="append", help="a format to try; may be given more than once "
                     "(default: those of float32, float64, float16, bfloat16 that it gives back)")  # fmt: skip
    own.add_argument("--max-ulp", metavar="ULP", type=float, help="the error allowed (default: what normexp promises)")
    own.add_argument("--write-example", action="store_true", help="print a test file that uses this suite, and stop")


def main(args: argparse.Namespace) -> int:
    """Run ``normexp verify`` and return its exit code: 0, 1 if something fails, 2 if it cannot run."""
    if args.write_example:
        from normexp.verify.example import EXAMPLE

        print(EXAMPLE, end="")
        return 0
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        return _refuse(f'needs {", ".join(absent)}: pip install "normexp[verify]"')
    if args.impl is None and any((args.op, args.arrays, args.device, args.dtype, args.max_ulp is not None)):
        return _refuse("--op, --arrays, --device, --dtype and --max-ulp go with --impl MODULE:FUNCTION")
    if args.impl is not None and (args.html or args.full):
        return _refuse("--html and --full do not go with --impl")
    try:
        check_apart((("--json", args.json), ("--html", args.html)))
    except ValueError as error:
        return _refuse(str(error))
    with ExitStack() as stack:
        opened: list[Any] = []
        for option, path, kind in (("--json", args.json, JsonFile), ("--html", args.html, WholeFile)):
            try:
                opened.append(None if path is None else stack.enter_context(kind(path)))
            except OSError as error:
                return _refuse(f"cannot write {option} {path!r}: {error.strerror}")
        file, page = opened
        if args.impl is not None:
            return _examine(args, file)
        from normexp.verify.run import run

        return 0 if run(file, page, full=args.full) else 1


def _refuse(why: str) -> int:
    print(f"normexp verify: {why}", file=sys.stderr)
    return 2


def _examine(args: argparse.Namespace, file: JsonFile | None) -> int:
    """Try the function that ``--impl`` names."""
    from normexp.verify import conform, subject, words

    op = args.op or "softmax"
    if unknown := subject.unknown(op, args.arrays, args.dtype):
        return _refuse(f"--{unknown.what} {unknown.given!r} is none of {', '.join(unknown.known)}")
    if args.max_ulp is not None and not args.max_ulp >= 0:
        return _refuse(f"--max-ulp must be 0 or more, not {args.max_ulp}")
    try:
        function = subject.load(args.impl)
        tried = subject.examined(function, op, arrays=args.arrays, device=args.device, dtypes=args.dtype)
    except subject.NotAFunctionError as error:
        return _refuse(str(error))
    outcome = conform.run(tried, args.max_ulp)
    for dtype, reason in tried.refused.items():
        print(f"not tried in {dtype}: {reason}")
    if outcome.findings:
        print(outcome.describe())
    if file is not None:
        file.write(outcome.document())
    worst = ", ".join(f"{dtype} {words.ulp(ulp)}" for dtype, ulp in outcome.worst.items())
    print(
        f"normexp verify: {args.impl} as {tried.op} of {tried.arrays} arrays: "
        f"{words.plural(outcome.checks, 'check')}, {len(outcome.findings)} failed, worst error in ULP: {worst}: "
        f"{'FAIL' if outcome.findings else 'PASS'}"
    )
    return 1 if outcome.findings else 0
