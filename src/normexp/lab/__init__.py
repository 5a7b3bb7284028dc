"""Open a page on which softmax can be broken by hand: ``normexp lab``.

The page, lab.html, is one file with everything in it. It computes each stage of the loss exactly as float16, bfloat16,
float32 and float64 do, by three routes side by side, in English and Chinese.
"""

from __future__ import annotations

import argparse
import sys
import webbrowser
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

from normexp._whole_file import WholeFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp lab``."""
    parser.description = (
        "Open a page on which softmax can be broken by hand: logits to drag, every stage in four formats, a preset for "
        "each trap. It is one file, and loads nothing."
    )
    parser.add_argument("--save", metavar="FILE", help="write the page to this file instead of opening it")


def main(args: argparse.Namespace) -> int:
    """Run ``normexp lab`` and return its exit code: 0, or 2 if the page cannot be written."""
    return _open() if args.save is None else _save(args.save)


def page() -> bytes:
    """Return the page, HTML in UTF-8."""
    return resources.files("normexp.lab").joinpath("lab.html").read_bytes()


def _save(path: str) -> int:
    try:
        if not path:
            raise FileNotFoundError(2, "No such file or directory")
        with WholeFile(path) as file:
            file.write_bytes(page())
    except OSError as error:
        print(f"normexp lab: cannot write --save {path!r}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def _open() -> int:
    with ExitStack() as stack:
        here = stack.enter_context(resources.as_file(resources.files("normexp.lab").joinpath("lab.html")))
        if not _opened(here):
            # No failure: on a machine without a screen this is all there is to do.
            print(here)
            print(
                "normexp lab: no browser could be opened here. Open this file in one, or write it where one can "
                "read it: normexp lab --save lab.html",
                file=sys.stderr,
            )
    return 0


def _opened(path: Path) -> bool:
    try:
        return webbrowser.open(path.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False
