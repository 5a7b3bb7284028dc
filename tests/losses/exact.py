"""Results held against exact values: within the bound, or within what may be lost where terms cancel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flint import arb, ctx
from support import BOUND

from normexp.verify import measure, oracle

# Where softmax is so near a target probability that they cancel, the gradient is computed in more digits, but not in
# any number of them: its error is within the bound, or this share of the probability (csrc/dense_losses.hpp: the wider
# arithmetic of floats has 2^-56, that of doubles about 2^-97). Without probabilities or smoothing nothing cancels.
CANCELLED = {"float16": 2.0**-56, "bfloat16": 2.0**-56, "float32": 2.0**-56, "float64": 2.0**-96}


def cancelled(against: oracle.Target, at: list[int]) -> np.ndarray:
    """What a derivative p_i A - a_i may lose where it cancels."""
    common, own = against.coefficients()
    if not common and len(own) == 1:
        return np.zeros(len(at))
    a = np.array([float(own.get(j, common)) for j in at])
    return np.abs(a)


def assert_exact(got: np.ndarray, exact: Any, what: str, lost: Callable[[], np.ndarray] | None = None) -> None:
    """Within the bound, or within the share of `lost` that may be."""
    bound, error = BOUND[got.dtype.name], measure.ulp_error(got, exact)
    worst = int(error.argmax())
    if error[worst] <= bound:
        return
    if lost is not None:
        with ctx.workprec(256):
            off = [abs(arb(float(g)) - e) for g, e in zip(got, exact, strict=True)]
            error[[d <= CANCELLED[got.dtype.name] * a for d, a in zip(off, lost(), strict=True)]] = 0
        worst = int(error.argmax())
    assert error[worst] <= bound, (
        f"{what}: {error[worst]:.4g} ULP off: {np.ravel(got)[worst]!r}, the {worst}th measured"
    )


def brief(array: np.ndarray) -> str:
    """A row in a few words."""
    return np.array2string(np.asarray(array), threshold=6, edgeitems=3, separator=", ")


def exactly(terms: list[Any]) -> Any:
    """The sum of enclosures, in the digits they have."""
    with ctx.workprec(256):
        return sum(terms[1:], terms[0])
