"""Time normexp beside its peers and beside what memory allows: ``normexp bench``.

`timing` takes the times, `cell` says what is timed, `peers` and `limits` who takes part, `accuracy` how wrong each one
is, `report` what is said. This module reads the arguments, and imports the rest when there is something to run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from normexp.bench.cell import DTYPES, OPERATIONS, Front, Shape

DEFAULT_OPERATIONS: Final[dict[Front, tuple[str, ...]]] = {
    "numpy": ("softmax",),
    "torch": ("softmax", "cross_entropy_and_grad", "training_step"),
}
TRAINING: Final = "training_step"  # of a small network by PyTorch: no cell of an array
BATCHES: Final = (64, 256)
DEFAULT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Plan:
    """The arguments, checked."""

    cells: list[tuple[str, Shape]]
    """Functions and the shapes of their arrays, in the order of the tables."""
    batches: tuple[int, ...]
    """Sizes of the batches that training steps are timed with."""
    front: Front
    """What is timed as normexp: the functions of arrays, or those of normexp.torch."""
    dtype: str
    threads: int
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp bench``.

    They are read as text and checked by `main`, so that a mistake costs one line and exit code 2.
    """
    parser.add_argument(
        "--op",
        action="append",
        metavar="NAME",
        help=f"the function to time: {', '.join(OPERATIONS)}; with --front torch also {TRAINING}"
        f" (default: {_default_operations()}; may be repeated)",
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
    parser.add_argument("--dtype", metavar="NAME", default="float32", help=f"{', '.join(DTYPES)} (default: float32)")
    parser.add_argument("--threads", metavar="N", help="threads for everyone (default: the cores allowed to us)")
    parser.add_argument(
        "--seconds",
        metavar="S",
        default=str(DEFAULT_SECONDS),
        help=f"time allowed for each table; it stops early once the ratios are steady (default: {DEFAULT_SECONDS:g})",
    )
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")


def _default_operations() -> str:
    return "; ".join(f"{', '.join(ops)} for {front}" for front, ops in DEFAULT_OPERATIONS.items())


def _defaults() -> list[str]:
    """Say the default shapes of each function, those that share them together."""
    functions: dict[str, list[str]] = {}
    for op, operation in OPERATIONS.items():
        for front, shapes in operation.shapes.items():
            where = " ".join(",".join(map(str, shape)) for shape in shapes)
            functions.setdefault(f"{front}: {where}", []).append(op)
    return [f"{shapes} for {', '.join(ops)}" for shapes, ops in functions.items()]


def main(args: argparse.Namespace) -> int:
    """Run ``normexp bench`` and return its exit code: 0, or 2 for arguments that cannot be met."""
    try:
        plan = _plan(args)
    except ValueError as error:
        return _refuse(str(error))
    from normexp._json_file import JsonFile
    from normexp.bench.run import run

    with ExitStack() as stack:
        file = None
        if args.json is not None:
            try:
                file = stack.enter_context(JsonFile(args.json))
            except OSError as error:
                return _refuse(f"cannot write --json {args.json!r}: {error.strerror}")
        try:
            run(plan, file)
        except MemoryError as error:
            return _refuse(str(error))
    return 0


def _refuse(message: str) -> int:
    print(f"normexp bench: {message}", file=sys.stderr)
    return 2


def _plan(args: argparse.Namespace) -> Plan:
    front: Front = "torch" if _one_of("--front", args.front, DEFAULT_OPERATIONS) == "torch" else "numpy"
    known = (*OPERATIONS, TRAINING) if front == "torch" else tuple(OPERATIONS)
    ops = [_one_of("--op", op, known) for op in args.op or DEFAULT_OPERATIONS[front]]
    shapes = [_shape(text) for text in args.shape or ()]
    plan = Plan(
        cells=[(op, shape) for op in ops if op in OPERATIONS for shape in shapes or OPERATIONS[op].shapes[front]],
        batches=BATCHES if TRAINING in ops else (),
        front=front,
        dtype=_one_of("--dtype", args.dtype, DTYPES),
        threads=_cores() if args.threads is None else _positive_integer("--threads", args.threads),
        seconds=_seconds(args.seconds),
    )
    if find_spec("rich") is None:
        raise ValueError('needs rich: pip install "normexp[bench]"')
    for package in ("torch", *(("sklearn",) if plan.batches else ())) if front == "torch" else ():
        if find_spec(package) is None:
            raise ValueError(f'--front torch needs {package}: pip install "normexp[torch]" scikit-learn')
    if plan.dtype == "bfloat16" and find_spec("ml_dtypes") is None:
        raise ValueError("--dtype bfloat16 needs ml_dtypes: pip install ml_dtypes")
    return plan


def _one_of(option: str, text: str, choices: Collection[str]) -> str:
    if text not in choices:
        raise ValueError(f"{option} must be one of {', '.join(choices)}, not {text!r}")
    return text


def _shape(text: str) -> Shape:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(
            "--shape must be two or more positive integers with commas, such as 4096,1000 for rows and classes, or"
            f" 8,21,512,512 with the classes second, not {text!r}"
        )
    return shape


def _positive_integer(option: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError(f"{option} must be a positive integer, not {text!r}")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"--seconds must be a positive number, not {text!r}")
    return value


def _cores() -> int:
    """Count the cores that this process may run on, which a container or taskset can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
