"""The same rows at the other CPU levels: normexp picks one when it is imported, so that each takes a process.

Run as a module it is that process: rows come in on standard input, results go out on standard output.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import IO, Final

import numpy as np

import normexp
from normexp import _engine
from normexp.bench.cell import OPERATIONS, Array, Cell, element_type

# It starts in a fraction of a second, and its rows take less; a machine that swaps may take longer.
_SECONDS: Final = 60


class LevelError(Exception):
    """There is no result; the message says why."""


def others() -> list[str]:
    """Return the levels that this machine can run, besides the one that runs here."""
    return [level for level in _engine.levels() if level != _engine.level()]


def at_level(cell: Cell, level: str) -> Array:
    """Compute a cell of rows x classes by normexp's function of arrays at one level.

    Raises
    ------
    LevelError
        The process failed.
    """
    sent = io.BytesIO()
    np.save(sent, _bits(cell.x))
    if cell.target is not None:
        np.save(sent, cell.target)
    # What is imported there is what is imported here, wherever it was found.
    environment = {**os.environ, "NORMEXP_CPU": level, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", __name__, cell.op, cell.x.dtype.name, str(cell.threads)]
    try:
        done = subprocess.run(
            command, input=sent.getvalue(), capture_output=True, env=environment, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LevelError(str(error)) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise LevelError(lines[-1] if lines else f"exit code {done.returncode}")
    result: Array = np.load(io.BytesIO(done.stdout)).view(cell.out.dtype)
    return result


def _bits(array: Array) -> Array:
    """View the elements as integers: the file format knows no bfloat16."""
    return array.view(f"u{array.itemsize}")


def _main(source: IO[bytes], target: IO[bytes], op: str, dtype: str, threads: str) -> None:
    from normexp.bench.peers.ours import ours

    received = io.BytesIO(source.read())
    x = np.load(received).view(element_type(dtype))
    labels = np.load(received) if OPERATIONS[op].is_loss else None
    normexp.set_num_threads(int(threads))
    fresh = ours(Cell.of(op, x, labels, int(threads)))[0]
    assert fresh.result is not None
    np.save(target, _bits(np.asarray(fresh.result())))


if __name__ == "__main__":
    _main(sys.stdin.buffer, sys.stdout.buffer, *sys.argv[1:])
