"""Evaluate a classifier's logits against labels: ``normexp eval LOGITS LABELS``.

`npy`, `tensors` and `table` read files, each a block of rows at a time (`stored`); `inputs` pairs logits with labels
and says what is wrong with them; `sums` is what a pass over the rows gives; `temperature` finds the best one; `report`
and `plot` say it. This module reads the arguments, and imports the rest when there is something to run.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from normexp._whole_file import WholeFile, check_apart

PLOTS: Final = (".png", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp eval``."""
    parser.description = (
        "Cross-entropy, accuracy, calibration and the best temperature of logits, in one pass over a file of any size."
    )
    parser.add_argument("logits", metavar="LOGITS", help="rows x classes: .npy, .npz, .safetensors or .csv")
    parser.add_argument(
        "labels",
        metavar="LABELS",
        nargs="?",
        help='a class index for each row, likewise (default: "labels" in LOGITS, an .npz or .safetensors)',
    )
    parser.add_argument("--ignore-index", metavar="N", help="leave out the rows with this label, such as -100")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--plot", metavar="FILE", help="draw the reliability diagram: .png or .svg")


def main(args: argparse.Namespace) -> int:
    """Run ``normexp eval`` and return its exit code: 0, or 2 if something given cannot be used."""
    try:
        ignore_index = None if args.ignore_index is None else _integer("--ignore-index", args.ignore_index)
        _check_plot(args.plot)
        check_apart((("--json", args.json), ("--plot", args.plot)), (args.logits, args.labels))
        _check_packages(args)
    except ValueError as error:
        return _refuse(str(error))
    from normexp._json_file import JsonFile
    from normexp.eval.run import run
    from normexp.eval.stored import BadInputError

    with ExitStack() as stack:
        json = plot = None
        try:
            if args.json is not None:
                json = stack.enter_context(JsonFile(args.json))
            if args.plot is not None:
                plot = stack.enter_context(WholeFile(args.plot))
        except OSError as error:
            option, path = ("--json", args.json) if args.json is not None and json is None else ("--plot", args.plot)
            return _refuse(f"cannot write {option} {path!r}: {error.strerror}")
        try:
            run(args.logits, args.labels, ignore_index, json, plot, Path(args.plot or "").suffix.lower().lstrip("."))
        except BadInputError as error:
            return _refuse(str(error))
        except BrokenPipeError:  # the command line knows what to do
            raise
        except OSError as error:  # a full disk, say
            return _refuse(f"cannot write: {error}")
    return 0


def _refuse(message: str) -> int:
    print(f"normexp eval: {message}", file=sys.stderr)
    return 2


def _integer(option: str, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{option} must be an integer, not {text!r}") from None
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{option} must fit 64 bits, not {text!r}")
    return value


def _check_plot(path: str | None) -> None:
    if path is not None and Path(path).suffix.lower() not in PLOTS:
        raise ValueError(f"--plot {path!r} must end in {' or '.join(PLOTS)}")


def _check_packages(args: argparse.Namespace) -> None:
    files = [path for path in (args.logits, args.labels) if path is not None]
    needed = ["rich"]
    if any(Path(path).suffix.lower() == ".safetensors" for path in files):
        needed.append("safetensors")
    if args.plot is not None:
        needed.append("matplotlib")
    absent = [name for name in needed if find_spec(name) is None]
    if absent:
        raise ValueError(f'needs {", ".join(absent)}: pip install "normexp[eval]"')
