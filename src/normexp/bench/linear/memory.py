"""How much memory a contender takes: each runs in a process of its own, and the system says how large that became.

Run as a module it is that process: what to do comes as arguments, the peak goes out on standard output.

The peak is that of the resident memory during forward and backward, less what was resident before. It holds the
gradients, which every way has to make, and is at least what a machine must have free; what is said "beside the
gradients" is the peak less their size. That is not what was taken at one moment: a peak that comes before the gradients
exist counts by what it exceeds them. With few rows, where a large gradient by the weights comes after small logits, it
may be 0, and the peak itself is what tells contenders apart.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import normexp
from normexp.bench.cell import Front, MissingError
from normexp.bench.linear.peers import PEERS
from normexp.bench.linear.problem import Problem

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
_FORGET_THE_PEAK: Final = "5"  # man 5 proc

# Setting up takes a compiler half a minute, and random numbers for 128,256 x 2048 weights three seconds; a machine that
# does other work takes longer.
_SECONDS: Final = 300
_SLOWER: Final = 10
"""A first call is slower than those that were timed: pages, and a smaller one before."""


def check() -> None:
    """Raise `MissingError` where the system does not tell."""
    if not (_STATUS.exists() and os.access(_CLEAR, os.W_OK)):
        raise MissingError(f"not measured: this system has no {_CLEAR}, which Linux has")


def peak(name: str, problem: Problem, seconds: float) -> int:
    """Return the peak of a contender's process beside its arguments, in bytes.

    Parameters
    ----------
    name : str
        Who it is, in `PEERS`.
    problem : Problem
        What to compute; it is made again there.
    seconds : float
        What a call takes.

    Raises
    ------
    MissingError
        The process failed.
    """
    environment = {
        **os.environ,
        # Freed memory goes back to the system at once (glibc), so that what is taken again is counted again.
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "0",
        # NumPy's products: read when it is imported, by whichever of them it has.
        **dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), str(problem.threads)),
        # What is imported there is what is imported here, wherever it was found.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    shape = ",".join(map(str, problem.shape))
    command = [sys.executable, "-W", "ignore", "-m", __name__]
    command += [name, problem.front, problem.dtype.name, shape, str(problem.threads)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_SECONDS + _SLOWER * seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"not measured: {error}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise MissingError(f"not measured: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return int(done.stdout.split()[-1])


def _resident(what: str) -> int:
    """Return a field of the system's account of this process, in bytes."""
    found = re.search(rf"^{what}:\s*(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None, what
    return 1024 * int(found[1])


def _main(name: str, front: Front, dtype: str, shape: str, threads: str) -> None:
    normexp.set_num_threads(int(threads))
    rows, features, classes = map(int, shape.split(","))
    # A first call of a few rows compiles, and brings in code, thread stacks and pools. A compiler takes a single row
    # for something of its own.
    few = max(min(2, rows), rows // 16)
    problem = replace(Problem.make((rows, features, classes), dtype, int(threads), front), any_rows=few < rows)
    peer = PEERS[front][name]
    peer(problem.of_rows(few)).call()
    contender = peer(problem)
    if "torch" in sys.modules:
        # What is compiled in the call that counts would count.
        sys.modules["torch"]._dynamo.config.error_on_recompile = True
    before = _resident("VmRSS")
    _CLEAR.write_text(_FORGET_THE_PEAK)
    contender.call()
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type] # the front comes from `peak`
