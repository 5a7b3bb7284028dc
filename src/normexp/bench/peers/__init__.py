"""Whoever else computes these functions, each set up as its own documentation says is best.

Every peer is a function from a cell to its contenders; it raises `MissingError` where it cannot take part. A peer that
can write to memory given to it takes part twice: a fresh result costs the first touch of its pages as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from normexp.bench.cell import Cell, Contender, MissingError
from normexp.bench.peers import in_numpy, jax_jit, onnx_runtime, ours, pytorch

# Tensors are PyTorch's: beside normexp.torch stands whoever takes them.
_OF_TENSORS: Final = ("PyTorch", "torch.compile")
PEERS: Final[dict[str, Callable[[Cell], list[Contender]]]] = {
    "PyTorch": pytorch.eager,
    "torch.compile": pytorch.compiled,
    "JAX": jax_jit.jax_jit,
    "ONNX Runtime": onnx_runtime.onnx_runtime,
    "SciPy": in_numpy.scipy,
    "NumPy, by hand": in_numpy.by_hand,
}


def assemble(cell: Cell, announce: Callable[[str], None] = lambda name: None) -> tuple[list[Contender], dict[str, str]]:
    """Return the contenders that can compute a cell, and why the other peers cannot.

    Each has run once by then: what it compiles, and what it warns of, comes before the timing.

    Parameters
    ----------
    cell : Cell
        What to compute.
    announce : callable
        Told the name of each peer before it is set up, which takes some of them seconds.
    """
    present = ours.ours(cell)
    if cell.x.dtype.name != "float32":
        present += ours.in_float32(cell)
    missing: dict[str, str] = {}
    for name, peer in PEERS.items():
        if cell.front == "torch" and name not in _OF_TENSORS:
            continue
        announce(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what peers think of their own insides is not our user's concern
                contenders = peer(cell)
                for contender in contenders:
                    for call in contender.ways.values():
                        call()
        except MissingError as error:
            missing[name] = str(error)
        # Their exceptions have no common base: no kernel for this dtype, no compiler, no memory.
        except Exception as error:
            missing[name] = f"cannot compute this ({first_line(error)})"
        else:
            present += contenders
    return present, missing


def first_line(error: Exception) -> str:
    """Return what an exception says, as far as a line goes."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
