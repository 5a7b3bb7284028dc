"""Implementations that are wrong, and go by the name of normexp."""

import numpy as np

from normexp.verify import peers


def imposter(compute):
    """Something else that goes by the name of normexp; softmin is softmax of -x."""

    def as_asked(function, x, temperature):
        if function == "softmin":
            return np.asarray(compute("softmax", -x, temperature)).astype(x.dtype)
        return np.asarray(compute(function, x, temperature)).astype(x.dtype)

    return peers.Implementation("normexp", "0", as_asked)
