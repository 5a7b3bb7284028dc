"""What ``normexp bench`` is asked to do: its arguments, checked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Final, NamedTuple, TypeVar

from normexp.bench.cell import DTYPES, OPERATIONS, Front, Shape
from normexp.bench.linear.problem import DEFAULT_SHAPE, OPERATION

DEFAULT_OPERATIONS: Final[dict[Front, tuple[str, ...]]] = {
    "numpy": ("softmax",),
    "torch": ("softmax", "cross_entropy_and_grad", "training_step"),
}
DEFAULT_DTYPE: Final = "float32"
TRAINING: Final = "training_step"  # of a small network by PyTorch: no cell of an array
BATCHES: Final = (64, 256)
# The eight shapes of softmax then take some three minutes, with what compiles and exact errors.
DEFAULT_SECONDS: Final = 10.0

SWEPT: Final = ("softmax", "cross_entropy", "cross_entropy_and_grad")
# Six rounds of all sizes take half of it.
SWEEP_SECONDS: Final = 30.0

T = TypeVar("T")


class Planned(NamedTuple):
    """What a table is of."""

    op: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Plan:
    """The arguments, checked."""

    cells: list[Planned]
    """In the order of the tables."""
    linear: list[Planned]
    """Last layers, of N x H x V."""
    batches: tuple[int, ...]
    """Sizes of the batches that training steps are timed with."""
    front: Front
    """What is timed as normexp: the functions of arrays, or those of normexp.torch."""
    threads: int
    seconds: float
    """Allowed for each table."""
    sweeps: list[tuple[str, str]] = field(default_factory=list)
    """Functions and formats to be timed over all sizes, instead of cells."""


def plan(args: argparse.Namespace) -> Plan:
    """Check the arguments.

    Raises
    ------
    ValueError
        One is wrong, or a package that it needs is missing; the message is one line for the person.
    """
    front: Front = "torch" if _one_of("--front", args.front, DEFAULT_OPERATIONS) == "torch" else "numpy"
    known = tuple(OPERATIONS) if args.scaling else (*OPERATIONS, OPERATION)
    known += (TRAINING,) if front == "torch" else ()
    usual = SWEPT if args.scaling else DEFAULT_OPERATIONS[front]
    ops = _unique(_one_of("--op", op, known) for op in args.op or usual)
    dtypes = _unique(_one_of("--dtype", dtype, DTYPES) for dtype in args.dtype or (DEFAULT_DTYPE,))
    shapes = _unique(_shape(text) for text in args.shape or ())
    if args.scaling and (shapes or front != "numpy"):
        raise ValueError("--scaling has shapes of its own, of NumPy's arrays: leave out --shape and --front")
    cells = [
        Planned(op, dtype, shape)
        for op in ops
        if op in OPERATIONS
        for dtype in dtypes
        for shape in shapes or OPERATIONS[op].shapes[front]
    ]
    linear = OPERATION in ops
    if odd := [shape for shape in shapes if linear and len(shape) != 3]:
        raise ValueError(
            f"--shape of {OPERATION} must be N,H,V for rows, features and classes, such as"
            f" {','.join(map(str, DEFAULT_SHAPE))}, not {','.join(map(str, odd[0]))!r}"
        )
    made = Plan(
        cells=[] if args.scaling else cells,
        linear=[Planned(OPERATION, dtype, shape) for dtype in dtypes for shape in shapes or (DEFAULT_SHAPE,)]
        if linear
        else [],
        batches=BATCHES if TRAINING in ops else (),
        front=front,
        threads=cores() if args.threads is None else _positive_integer("--threads", args.threads),
        seconds=_seconds(args.seconds, SWEEP_SECONDS if args.scaling else DEFAULT_SECONDS),
        sweeps=[(op, dtype) for op in ops for dtype in dtypes] if args.scaling else [],
    )
    if find_spec("rich") is None:
        raise ValueError('needs rich: pip install "normexp[bench]"')
    for package in ("torch", *(("sklearn",) if made.batches else ())) if front == "torch" else ():
        if find_spec(package) is None:
            raise ValueError(f'--front torch needs {package}: pip install "normexp[torch]" scikit-learn')
    if linear and front == "numpy" and made.threads != cores() and find_spec("threadpoolctl") is None:
        raise ValueError(f"--threads of {OPERATION}'s products needs threadpoolctl: pip install threadpoolctl")
    if "bfloat16" in dtypes and find_spec("ml_dtypes") is None:
        raise ValueError("--dtype bfloat16 needs ml_dtypes: pip install ml_dtypes")
    return made


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))


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


def _seconds(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"--seconds must be a positive number, not {text!r}")
    return value


def cores() -> int:
    """Count the cores that this process may run on, which a container or taskset can make fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
