"""The command ``normexp explain``: its arguments, its files, its exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from numpy.typing import ArrayLike

from normexp._whole_file import WholeFile, check_apart
from normexp.explain.row import NAMES, BadRowError, from_file, is_value, parsed

_PLOTS: Final = (".png", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp explain``."""
    parser.description = (
        "One row of logits on three ways to the softmax, each operation rounded to the format, beside exact values: "
        "where a number overflows, underflows, loses digits or dies in the gradient."
    )
    parser.add_argument(
        "values", metavar="VALUES", nargs="*", help="the logits: -1000 0 1e3, -inf (no nan), or with commas"
    )
    parser.add_argument("--target", metavar="K", help="the class (counting from 0) that the loss is taken against")
    parser.add_argument("--dtype", metavar="DTYPE", help=f"{', '.join(NAMES)} (default: the file's, or float32)")
    parser.add_argument("--temperature", metavar="T", help="divide the logits by this (default: 1)")
    parser.add_argument("--file", metavar="FILE", help="take the logits from a .npy file, of shape (K,) or (N, K)")
    parser.add_argument("--row", metavar="R", help="the row of the file, counting from 0")
    parser.add_argument("--plot", metavar="FILE", help="also draw it: .png or .svg")
    parser.add_argument("--json", action="store_true", help="print the same facts as JSON")


def as_values(argv: Sequence[str]) -> list[str]:
    """Make a number that begins with a minus sign a value, which argparse takes for an option (-1e3, -inf, -1,2)."""
    # What begins with a space is no option.
    return [f" {word}" if word.startswith("-") and is_value(word) else word for word in argv]


def main(args: argparse.Namespace) -> int:
    """Run ``normexp explain`` and return its exit code: 0, or 2 if something given cannot be used."""
    from normexp.explain import explain, missing

    try:
        plot = None if args.plot is None else Path(args.plot)
        if plot is not None and plot.suffix.lower() not in _PLOTS:
            raise BadRowError(f"--plot {args.plot!r} must end in {' or '.join(_PLOTS)}")
        if absent := missing(*(["matplotlib"] if plot else [])):
            raise BadRowError(f'needs {", ".join(absent)}: pip install "normexp[explain]"')
        check_apart([("--plot", args.plot)], [args.file])
        x = _row(args)
        explanation = explain(
            x,
            target=None if args.target is None else _integer("--target", args.target),
            dtype=args.dtype,
            temperature=1.0 if args.temperature is None else _number("--temperature", args.temperature),
        )
    except ValueError as error:
        return _refuse(str(error))
    with ExitStack() as stack:
        try:
            picture = None if plot is None else stack.enter_context(WholeFile(plot))
            if picture is not None and plot is not None:
                from normexp.explain.plot import draw

                picture.write_bytes(draw(explanation, plot.suffix.lower().lstrip(".")))
        except OSError as error:
            return _refuse(f"cannot write --plot {args.plot!r}: {error.strerror}")
    if args.json:
        from normexp._json_file import as_text

        print(as_text(explanation.document()), end="")
    else:
        from normexp._console import console
        from normexp.explain.terminal import show

        show(explanation, console())
    return 0


def _row(args: argparse.Namespace) -> ArrayLike:
    if args.file is not None:
        if args.values:
            raise BadRowError("VALUES and --file are two rows; give one of them")
        return from_file(args.file, None if args.row is None else _integer("--row", args.row))
    if args.row is not None:
        raise BadRowError("--row goes with --file")
    values = parsed(args.values)
    if not values:
        raise BadRowError("no logits: give some numbers, or --file x.npy")
    return values


def _integer(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRowError(f"{option} must be an integer, not {text.strip()!r}") from None


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRowError(f"{option} must be a number, not {text.strip()!r}") from None


def _refuse(message: str) -> int:
    print(f"normexp explain: {message}", file=sys.stderr)
    return 2
