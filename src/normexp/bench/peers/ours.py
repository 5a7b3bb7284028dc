"""normexp itself: for NumPy arrays, for tensors, and behind PyTorch's own operators."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import normexp
from normexp.bench.cell import AXIS, Cell, Contender
from normexp.bench.peers.contenders import fresh, into
from normexp.bench.peers.pytorch import function_of, import_torch, tensor_call, to_array

IN_FLOAT32: Final = "normexp in float32"


def ours(cell: Cell) -> list[Contender]:
    """Return what takes part as normexp, through the front of the cell."""
    return _of_tensors(cell) if cell.front == "torch" else _of_arrays(cell)


def in_float32(cell: Cell) -> list[Contender]:
    """Return normexp on the same logits in float32: what another format gains or costs is a ratio within one run."""
    same = [one for one in ours(cell.in_float32()) if one.name == "normexp"]
    # Its values are of another format, and so have no error in this one.
    return [replace(one, name=IN_FLOAT32, result=None) for one in same]


def _of_arrays(cell: Cell) -> list[Contender]:
    """Return normexp with a fresh result, and with ``out=`` where there is one."""
    function, x, target, out = getattr(normexp, cell.op), cell.x, cell.target, cell.out
    if target is None:
        return [
            fresh(cell, "normexp", lambda: function(x, axis=AXIS)),
            into(cell, "normexp", lambda: function(x, axis=AXIS, out=out)),
        ]
    if cell.op == "cross_entropy":
        return [fresh(cell, "normexp", lambda: function(x, target, axis=AXIS))]
    return [
        fresh(cell, "normexp", lambda: function(x, target, axis=AXIS).grad),
        into(cell, "normexp", lambda: function(x, target, axis=AXIS, out=out)),
    ]


def _of_tensors(cell: Cell) -> list[Contender]:
    """Return normexp.torch, and PyTorch's own functions with normexp behind their operators.

    They are called as PyTorch is, so that what a call costs besides the arithmetic is counted.
    """
    torch = import_torch(cell.threads)
    import normexp.torch as front

    function = getattr(front, cell.op if cell.target is None else "cross_entropy")
    enabled = fresh(cell, "PyTorch, enabled", tensor_call(cell, function_of(cell, torch)), to_array(cell))
    return [
        fresh(cell, "normexp", tensor_call(cell, function), to_array(cell)),
        replace(enabled, scope=front.accelerated),
    ]
