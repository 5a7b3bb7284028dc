"""The command ``normexp bench``: its arguments, its files, its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from normexp._whole_file import WholeFile, check_apart
from normexp.bench.cell import DTYPES, OPERATIONS
from normexp.bench.linear.problem import DEFAULT_SHAPE
from normexp.bench.linear.problem import OPERATION as LINEAR
from normexp.bench.plan import DEFAULT_DTYPE, DEFAULT_OPERATIONS, DEFAULT_SECONDS, SWEEP_SECONDS, SWEPT, TRAINING, plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp bench``.

    They are read as text and checked by `main`, so that a mistake costs one line and exit code 2.
    """
    parser.add_argument(
        "--op",
        action="append",
        metavar="NAME",
        help=f"the function to time: {', '.join(OPERATIONS)}, {LINEAR} (with its gradients and its memory); with"
        f" --front torch also {TRAINING} (default: {_default_operations()}; may be repeated)",
    )
    parser.add_argument(
        "--shape",
        action="append",
        metavar="N,C[,...]",
        help="rows and classes, or channel-first as PyTorch has it: the classes are on axis 1"
        f" (default: {'; '.join(_defaults())}; may be repeated)",
    )
    parser.add_argument(
        "--front",
        metavar="NAME",
        default="numpy",
        help="numpy: the functions of arrays; torch: those of normexp.torch, with gradients by autograd, and PyTorch's"
        " own with normexp behind their operators (default: numpy)",
    )
    parser.add_argument(
        "--dtype",
        action="append",
        metavar="NAME",
        help=f"{', '.join(DTYPES)}: in all but {DEFAULT_DTYPE}, normexp in {DEFAULT_DTYPE} takes part, too"
        f" (default: {DEFAULT_DTYPE}; may be repeated)",
    )
    parser.add_argument(
        "--scaling",
        action="store_true",
        help=f"instead, time normexp alone over rows of 1 to 4 million classes and calls of 1 to 65,536 rows, on one"
        f" thread and on all, and mark the cliffs (default: {', '.join(SWEPT)})",
    )
    parser.add_argument("--threads", metavar="N", help="threads for everyone (default: the cores allowed to us)")
    parser.add_argument(
        "--seconds",
        metavar="S",
        help="time allowed for each table; it stops early once the ratios are steady"
        f" (default: {DEFAULT_SECONDS:g}, with --scaling {SWEEP_SECONDS:g})",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--html", metavar="FILE", help="also write them as a page that needs nothing else")


def _default_operations() -> str:
    return "; ".join(f"{', '.join(ops)} for {front}" for front, ops in DEFAULT_OPERATIONS.items())


def _defaults() -> list[str]:
    """Say the default shapes of each function, those that share them together."""
    functions: dict[str, list[str]] = {}
    for op, operation in OPERATIONS.items():
        for front, shapes in operation.shapes.items():
            where = " ".join(",".join(map(str, shape)) for shape in shapes)
            functions.setdefault(f"{front}: {where}", []).append(op)
    of_layers = f"rows, features and classes: {','.join(map(str, DEFAULT_SHAPE))} for {LINEAR}"
    return [*(f"{shapes} for {', '.join(ops)}" for shapes, ops in functions.items()), of_layers]


def main(args: argparse.Namespace) -> int:
    """Run ``normexp bench``.

    Returns
    -------
    int
        0, 1 if normexp breaks a promise, 2 for arguments that cannot be met.
    """
    try:
        planned = plan(args)
        check_apart((("--json", args.json), ("--html", args.html)))
    except ValueError as error:
        return _refuse(str(error))
    from normexp._json_file import JsonFile
    from normexp.bench import run
    from normexp.bench.page import page

    with ExitStack() as stack:
        # Entered before the work, so that a path that cannot be written costs none of it.
        writers: list[tuple[str, Callable[[dict[str, Any]], None]]] = []
        try:
            if args.json is not None:
                said = f"--json {args.json!r}"
                writers.append((said, stack.enter_context(JsonFile(args.json)).write))
            if args.html is not None:
                said = f"--html {args.html!r}"
                file = stack.enter_context(WholeFile(args.html))
                writers.append((said, lambda document: file.write_bytes(page(document).encode())))
        except OSError as error:
            return _refuse(f"cannot write {said}: {error.strerror}")
        try:
            document = run.run(planned)
        except MemoryError as error:
            return _refuse(str(error))
        for said, write in writers:
            try:
                write(document)
            except BrokenPipeError:  # the reader of a pipe has gone: the command line knows what to do
                raise
            except OSError as error:  # the disk is full
                return _refuse(f"cannot write {said}: {error.strerror}")
    return 1 if document["broken_promises"] else 0


def _refuse(message: str) -> int:
    print(f"normexp bench: {message}", file=sys.stderr)
    return 2
