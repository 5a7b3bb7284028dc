"""The loss of a block of logits, and its gradient in their place, for both fronts of linear_cross_entropy."""

from __future__ import annotations

import math
import sys
from typing import NamedTuple

import numpy as np

from normexp import _engine
from normexp._arrays import Array, as_number, as_temperature
from normexp._functional import logsumexp, softmax


class LogitOptions(NamedTuple):
    """What is done to logits before the loss, and what is added to it for their size."""

    temperature: float = 1.0
    softcap: float | None = None
    z_loss: float = 0.0

    @classmethod
    def checked(cls, temperature: float, softcap: float | None, z_loss: float) -> LogitOptions:
        """Return the options, or raise an error that says which of them is none."""
        cap = None if softcap is None else as_number(softcap, "softcap")
        if cap is not None and not sys.float_info.min <= cap < math.inf:
            raise ValueError(f"softcap must be positive and finite, or None, not {softcap!r}")
        z = as_number(z_loss, "z_loss")
        if not 0 <= z < math.inf:
            raise ValueError(f"z_loss must be finite and not negative, not {z_loss!r}")
        return cls(as_temperature(temperature), cap, z)


class BlockLoss(NamedTuple):
    """The loss of rows of logits, whose gradient takes their place if it is wanted."""

    options: LogitOptions
    weight: Array | None  # of the classes, float64
    smoothing: float
    axis: int  # of the classes, 0 or 1

    def __call__(self, x: Array, target: Array, gain: float, each: Array | None, with_gradient: bool) -> float:
        """Return the sum of the rows' losses, and write them into `each`.

        x: rows by classes or classes by rows, float32 or float64; overwritten. gain: the derivative by rows' losses.
        """
        temperature, cap, z_loss = self.options
        capped = None
        if cap is not None:
            x /= cap
            np.tanh(x, out=x)
            capped = x.copy() if with_gradient else None
            x *= cap
        if temperature != 1:
            x /= temperature
        sizes = logsumexp(x, axis=self.axis) if z_loss else None
        shares = softmax(x, axis=self.axis) if z_loss and with_gradient else None
        total = _engine.losses(
            x, target, self.axis, self.weight, None, self.smoothing, False, gain, each, x if with_gradient else None
        )
        if sizes is not None:
            extra = z_loss * np.square(sizes, dtype=np.float64)
            total += float(extra.sum())
            if each is not None:
                each += extra.astype(each.dtype)
            if shares is not None:
                shares *= np.expand_dims(2 * z_loss * gain * sizes, self.axis)
                x += shares
        if capped is not None:
            x *= (1 - capped) * (1 + capped)
        if with_gradient and temperature != 1:
            x /= temperature
        return total

    def bytes_of_logit(self, itemsize: int) -> int:
        """How much memory a logit takes here besides itself."""
        copies = 3 * (self.options.softcap is not None) + (self.options.z_loss != 0)
        return copies * itemsize
