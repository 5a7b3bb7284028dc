"""The proof, ``normexp verify``: the article's claims, a conformance table and a real case against exact values.

`oracle` gives the exact values, `measure` the distance to them, `contract` what is allowed; `claims`, `cases`,
`conformance` and `digits` are what is tried, `peers` on whom; `report` says it. This module reads the arguments, and
imports the rest when there is something to run.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from contextlib import ExitStack
from typing import Final

# Modules of the extra "verify".
_NEEDED: Final = ("flint", "rich", "ml_dtypes", "sklearn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``normexp verify``."""
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")


def main(args: argparse.Namespace) -> int:
    """Run ``normexp verify`` and return its exit code: 0, 1 if normexp fails anything, 2 if it cannot run."""
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        print(f'normexp verify: needs {", ".join(absent)}: pip install "normexp[verify]"', file=sys.stderr)
        return 2
    from normexp._json_file import JsonFile

    with ExitStack() as stack:
        file = None
        if args.json is not None:
            try:
                file = stack.enter_context(JsonFile(args.json))
            except OSError as error:
                print(f"normexp verify: cannot write --json {args.json!r}: {error.strerror}", file=sys.stderr)
                return 2
        from normexp.verify.run import run

        return 0 if run(file) else 1
