"""normexp itself."""

from __future__ import annotations

import normexp
from normexp.bench.cell import AXIS, Cell, Contender
from normexp.bench.peers.contenders import fresh, into


def ours(cell: Cell) -> list[Contender]:
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
