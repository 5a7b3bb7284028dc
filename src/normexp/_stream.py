"""LogSumExp: the mergeable state behind every function here, for data that comes in pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from normexp import _engine
from normexp._arrays import Array, Axis, as_logits, as_mask, reduced_axes


class LogSumExp:
    """Log-sum-exp of a stream: update it with blocks, merge it with others, read its value at any time.

    The state is, for each row, the largest logit so far and the sum of exp(logit - largest) over the others, kept in
    about 106 bits. Blocks may come in any sizes and states may be merged in any grouping, by any number of workers.

    Attributes
    ----------
    value : ndarray
        logsumexp of everything seen so far.

    Notes
    -----
    The error of `value` is at most 0.51 ULP in float16 and bfloat16, 1 in float32 and 2 in float64 when it is at
    least a quarter of the largest logit in absolute value. When it is smaller, because that and the logarithm of the
    sum cancel, the error is at most 2**-55 of the largest logit: the data that `logsumexp` would read again are gone.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import LogSumExp, logsumexp
    >>> x = np.arange(12.0).reshape(2, 6)
    >>> left, right = LogSumExp(), LogSumExp()
    >>> left.update(x[:, :4])
    LogSumExp(shape=(2,), dtype=float64)
    >>> right.update(x[:, 4:])
    LogSumExp(shape=(2,), dtype=float64)
    >>> left.merge(right).value
    array([ 5.45619332, 11.45619332])
    >>> np.array_equal(left.value, logsumexp(x))
    True
    """

    __slots__ = ("_dtype", "_states")

    def __init__(self) -> None:
        self._states: Array | None = None  # (..., 3): largest, sum of the others, its second word
        self._dtype: np.dtype[np.generic] | None = None

    def update(self, block: ArrayLike, axis: Axis = -1, *, where: ArrayLike | None = None) -> LogSumExp:
        """Take in a block of logits.

        Parameters
        ----------
        block : array_like
            Logits, as `logsumexp` takes them. Without `axis`, its shape must be that of the blocks before it.
        axis : int, tuple of ints or None, default -1
            The axis or axes to sum over.
        where : array_like of bool, optional
            Elements to count.

        Returns
        -------
        LogSumExp
            Itself.

        Raises
        ------
        ValueError
            If the rows of `block` are not those of the blocks before it: another shape without `axis`.
        TypeError, numpy.exceptions.AxisError
            As `logsumexp` does.
        """
        logits = as_logits(block, "block")
        axes = reduced_axes(axis, logits.ndim)
        mask = as_mask(where, logits.shape)
        kept = tuple(1 if i in axes else n for i, n in enumerate(logits.shape))
        states = np.zeros((*kept, 3))
        if 0 in logits.shape:
            states[..., 0] = -np.inf
        else:
            bits = sum(1 << a for a in axes)
            _engine.apply(_engine.STATE, logits, states, mask, bits, False, 1.0)
        self._take(states.reshape(*(n for i, n in enumerate(logits.shape) if i not in axes), 3), logits.dtype)
        return self

    def merge(self, other: LogSumExp, /) -> LogSumExp:
        """Take in everything that `other` has seen; `other` stays as it is.

        Parameters
        ----------
        other : LogSumExp
            A state over rows of the same shape.

        Returns
        -------
        LogSumExp
            Itself.

        Raises
        ------
        TypeError
            If `other` is not a LogSumExp.
        ValueError
            If its rows have another shape.
        """
        if not isinstance(other, LogSumExp):
            raise TypeError(f"merge takes another LogSumExp, not {type(other).__name__}")
        if other._states is not None and other._dtype is not None:
            self._take(other._states, other._dtype)
        return self

    @property
    def value(self) -> Array:
        """Logsumexp of everything seen so far, in the widest dtype seen; the float64 -inf, 0-d, if nothing was."""
        if self._states is None:
            return np.array(-np.inf)
        values = np.empty(self._states.shape[:-1])
        _engine.state_values(self._states.reshape(-1, 3), values.reshape(-1))
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(self._dtype)

    def _take(self, states: Array, dtype: np.dtype[np.generic]) -> None:
        if self._states is None or self._dtype is None:
            self._states, self._dtype = states.copy(), dtype
            return
        if states.shape != self._states.shape:
            raise ValueError(f"rows of shape {states.shape[:-1]} cannot join rows of shape {self._states.shape[:-1]}")
        merged = np.empty_like(self._states)
        _engine.merge_states(self._states.reshape(-1, 3), states.reshape(-1, 3), merged.reshape(-1, 3))
        self._states, self._dtype = merged, np.promote_types(self._dtype, dtype)

    def __repr__(self) -> str:
        if self._states is None:
            return "LogSumExp(nothing seen)"
        return f"LogSumExp(shape={self._states.shape[:-1]}, dtype={self._dtype})"
