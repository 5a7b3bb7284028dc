"""linear_cross_entropy and its gradients for NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from normexp._arrays import Array, as_logits
from normexp._block_loss import BlockLoss, LogitOptions
from normexp._blocks import Blocks, as_budget, blocks_of, cut, panels
from normexp._targets import (
    as_ignore_index,
    as_smoothing,
    as_target,
    as_weight,
    check_reduction,
    divided,
    for_engine,
    is_labels,
    mean_divisor,
)

GRADIENTS: Final = ("hidden", "weight", "bias")


class LinearLossAndGrads(NamedTuple):
    """A loss and its gradients; None for those that were not asked for.

    Parameters
    ----------
    loss : ndarray
        What `linear_cross_entropy` returns.
    hidden, weight, bias : ndarray or None
        The gradient with respect to each, of its shape and dtype.

    Examples
    --------
    >>> from normexp import linear_cross_entropy_and_grad
    >>> linear_cross_entropy_and_grad([[1.0]], [[1.0], [-1.0]], [0], grads=("weight",))
    LinearLossAndGrads(loss=array(0.12692801), hidden=None, weight=array([[-0.11920292],
           [ 0.11920292]]), bias=None)
    """

    loss: Array
    hidden: Array | None
    weight: Array | None
    bias: Array | None


def linear_cross_entropy(
    hidden: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    /,
    *,
    bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    ignore_index: SupportsIndex = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    temperature: float = 1.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    memory_budget: SupportsIndex | None = None,
) -> Array:
    r"""Cross-entropy of ``hidden @ linear_weight.T + bias``, without an array of logits.

    .. math:: x_n = \frac{1}{T} \, c \tanh(\frac{1}{c} (W h_n + b)), \quad
              \ell_n = \sum_k w_k \, q_{nk} \, (\mathrm{logsumexp}(x_n) - x_{nk}) + z \, \mathrm{logsumexp}(x_n)^2

    Parameters
    ----------
    hidden : array_like
        Hidden states h, (..., H).
    linear_weight : array_like
        W, (V, H). The products are NumPy's, in the dtype that the two promote to; half types are widened to float32,
        some classes at a time.
    target : array_like
        Class indices, of the shape of `hidden` without its last axis; or class probabilities, (..., V).
    bias : array_like, optional
        b, (V).
    weight : array_like, optional
        One weight w for each class.
    ignore_index : int, default -100
        Rows with this label count for nothing, and are dropped before any work.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes; q above is as in `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `cross_entropy`.
    temperature : float, default 1.0
        T above: positive and finite.
    softcap : float, optional
        c above, the size that logits do not exceed; None for logits as they are.
    z_loss : float, default 0.0
        z above: the factor of the squared log-sum-exp in the loss of each row that counts.
    memory_budget : int, optional
        How many bytes blocks of logits may take. By default 40 MiB, or a sixteenth of all logits without 24 MiB if that
        is more, which keeps all memory within 64 MiB or that sixteenth. One row of logits is always held.

    Returns
    -------
    ndarray
        float32, of float64 and integers float64; 0-d, or one element for each row.

    Raises
    ------
    IndexError
        If a label is no class and not `ignore_index`; says which.
    TypeError, ValueError
        If shapes, dtypes or options do not fit, before anything is allocated.

    See Also
    --------
    linear_cross_entropy_and_grad : Its gradients as well.
    cross_entropy : The same of logits.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import cross_entropy, linear_cross_entropy
    >>> hidden = np.array([[1.0, 2.0], [0.0, -1.0]])
    >>> weight = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> linear_cross_entropy(hidden, weight, [2, 0])
    array(0.47952534)
    >>> cross_entropy(hidden @ weight.T, [2, 0])
    array(0.47952534)
    """
    logits = LogitOptions.checked(temperature, softcap, z_loss)
    sweep = _Sweep(hidden, linear_weight, target, bias, weight, ignore_index, label_smoothing, reduction, logits)
    return sweep.run(memory_budget, ())


def linear_cross_entropy_and_grad(
    hidden: ArrayLike,
    linear_weight: ArrayLike,
    target: ArrayLike,
    /,
    *,
    bias: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    ignore_index: SupportsIndex = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    temperature: float = 1.0,
    softcap: float | None = None,
    z_loss: float = 0.0,
    memory_budget: SupportsIndex | None = None,
    grads: Collection[str] = GRADIENTS,
) -> LinearLossAndGrads:
    """`linear_cross_entropy` and its gradients, in one sweep over the rows.

    Parameters
    ----------
    hidden, linear_weight, target : array_like
        See `linear_cross_entropy`.
    bias, weight : array_like, optional
        See `linear_cross_entropy`.
    ignore_index : int, default -100
        Rows with this label have a gradient of exactly 0.
    label_smoothing : float, default 0.0
        See `linear_cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        See `linear_cross_entropy`. The gradients are those of the mean or sum; for "none", those of the sum.
    temperature : float, default 1.0
        See `linear_cross_entropy`.
    softcap : float, optional
        See `linear_cross_entropy`.
    z_loss : float, default 0.0
        See `linear_cross_entropy`.
    memory_budget : int, optional
        See `linear_cross_entropy`.
    grads : collection of {"hidden", "weight", "bias"}, default all
        Which gradients to compute; the product of one that is not among them is not made.

    Returns
    -------
    LinearLossAndGrads
        The named tuple (loss, hidden, weight, bias).

    Raises
    ------
    IndexError, TypeError, ValueError
        As `linear_cross_entropy` does.

    Examples
    --------
    >>> from normexp import linear_cross_entropy_and_grad
    >>> made = linear_cross_entropy_and_grad([[1.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]], [1])
    >>> made.loss, made.hidden
    (array(0.31326169), array([[ 0.26894142, -0.26894142]]))
    """
    if isinstance(grads, str) or not set(grads) <= set(GRADIENTS):
        raise ValueError(f"grads must be a collection of {', '.join(map(repr, GRADIENTS))}, not {grads!r}")
    logits = LogitOptions.checked(temperature, softcap, z_loss)
    sweep = _Sweep(hidden, linear_weight, target, bias, weight, ignore_index, label_smoothing, reduction, logits)
    loss = sweep.run(memory_budget, tuple(grads))
    return LinearLossAndGrads(loss, *sweep.gradients())


class _Sweep:
    """What a sweep over the rows reads, checked, and what it writes."""

    def __init__(
        self,
        hidden: ArrayLike,
        linear_weight: ArrayLike,
        target: ArrayLike,
        bias: ArrayLike | None,
        weight: ArrayLike | None,
        ignore_index: SupportsIndex,
        label_smoothing: float,
        reduction: str,
        options: LogitOptions,
    ) -> None:
        check_reduction(reduction)
        self.reduction = reduction
        self.given, self.weight = as_logits(hidden, "hidden"), as_logits(linear_weight, "linear_weight")
        x, (classes, features) = self.given, _matrix(self.weight)
        if not x.ndim or x.shape[-1] != features:
            raise ValueError(f"hidden has shape {x.shape}; expected (..., {features}), as linear_weight has {features}")
        self.given_bias = None if bias is None else as_logits(bias, "bias")
        if self.given_bias is not None and self.given_bias.shape != (classes,):
            raise ValueError(f"bias has shape {self.given_bias.shape}; expected ({classes},), one for each class")
        self.shape = x.shape[:-1]
        against = as_target(target, self.shape, (*self.shape, classes))
        weights = as_weight(weight, classes)
        asked = as_ignore_index(ignore_index)
        if not is_labels(against) and asked >= 0:
            raise ValueError(f"ignore_index is {asked}, but target holds probabilities: no row has a label to ignore")
        self.loss = BlockLoss(options, weights, as_smoothing(label_smoothing), axis=1)
        against, ignored = for_engine(against, asked)
        rows = math.prod(self.shape)
        self.divisor = mean_divisor(against, classes, ignored, weights, rows)
        self.x = x.reshape(rows, features)
        self.target = against.reshape(rows, *against.shape[len(self.shape) :])
        counts = self.target != ignored if is_labels(against) and ignored is not None else np.True_
        self.kept = None if counts.all() else np.flatnonzero(counts)
        self.count = rows if self.kept is None else len(self.kept)
        promoted = np.result_type(x.dtype, self.weight.dtype)
        self.wide = np.dtype(np.float64 if promoted == np.float64 else np.float32)

    def run(self, memory_budget: SupportsIndex | None, grads: tuple[str, ...]) -> Array:
        """Return the loss; afterwards there are the gradients."""
        blocks, dtype = self._plan(memory_budget)
        rows, classes = len(self.x), len(self.weight)
        self.any_wanted = bool(grads)
        self.bias = None if self.given_bias is None else self.given_bias.astype(self.wide)
        self.each = np.zeros(rows, self.wide) if self.reduction == "none" else None
        self.by_hidden = np.zeros(self.x.shape, self.given.dtype) if "hidden" in grads else None
        self.by_weight = np.zeros(self.weight.shape, dtype) if "weight" in grads else None
        self.by_bias = np.zeros(classes) if "bias" in grads and self.given_bias is not None else None
        self.gain = divided(1.0, self.divisor) if self.reduction == "mean" else 1.0
        buffer = np.empty((blocks.chunk, classes), self.wide) if self.count else None
        total = 0.0
        for chunk in cut(0, self.count, blocks.chunk):
            total += self._chunk(chunk, blocks, buffer)
        if self.each is not None:
            return self.each.reshape(self.shape)
        if self.reduction == "mean":
            # Labels whose weights add up to 0 give NaN, whatever smoothing adds: PyTorch divides the two apart.
            total = divided(total, self.divisor) if self.divisor else math.nan
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(total).astype(self.wide)

    def gradients(self) -> tuple[Array | None, Array | None, Array | None]:
        """Return them in the shapes and dtypes of the arguments."""
        by_hidden = None if self.by_hidden is None else self.by_hidden.reshape(self.given.shape)
        by_weight = None if self.by_weight is None else self.by_weight.astype(self.weight.dtype, copy=False)
        if self.by_bias is None or self.given_bias is None:
            return by_hidden, by_weight, None
        return by_hidden, by_weight, self.by_bias.astype(self.given_bias.dtype)

    def _plan(self, memory_budget: SupportsIndex | None) -> tuple[Blocks, np.dtype[np.generic]]:
        """Choose the blocks, and the dtype that the gradient by the weights is added up in over chunks.

        That is float32 for half types, if half of the budget has room for it.
        """
        classes, itemsize = len(self.weight), self.wide.itemsize
        budget = as_budget(memory_budget, len(self.x) * classes * self.weight.itemsize)

        def within(bytes_left: int) -> Blocks:
            block_bytes = self.loss.bytes_of_logit(itemsize)
            return blocks_of(self.count, classes, bytes_left, chunk_bytes=itemsize, block_bytes=block_bytes)

        blocks, total = within(budget), self.weight.size * itemsize
        if blocks.chunk >= self.count or self.weight.dtype == self.wide or total > budget // 2:
            return blocks, self.weight.dtype
        return within(budget - total), self.wide

    def _chunk(self, chunk: slice, blocks: Blocks, buffer: Array | None) -> float:
        assert buffer is not None
        rows = chunk if self.kept is None else self.kept[chunk]
        x = self.x[rows].astype(self.wide, copy=False)
        logits = buffer[: len(x)]
        for classes in self._panels(len(x)):
            np.matmul(x, self.weight[classes].astype(self.wide, copy=False).T, out=logits[:, classes])
        if self.bias is not None:
            logits += self.bias
        total = 0.0
        for block in cut(0, len(x), blocks.loss):
            target = self.target[rows][block]
            each = None if self.each is None else np.empty(len(logits[block]), self.wide)
            total += self.loss(logits[block], target, self.gain, each, self.any_wanted)
            if self.each is not None:
                within = slice(chunk.start + block.start, chunk.start + block.stop)
                self.each[within if self.kept is None else self.kept[within]] = each
        self._add_gradients(rows, x, logits)
        return total

    def _add_gradients(self, rows: slice | Array, x: Array, gradient: Array) -> None:
        if self.by_bias is not None:
            self.by_bias += gradient.sum(0, dtype=np.float64)
        by_hidden = np.zeros(x.shape, self.wide) if self.by_hidden is not None else None
        for classes in self._panels(len(x)):
            part = gradient[:, classes]
            if by_hidden is not None:
                by_hidden += part @ self.weight[classes].astype(self.wide, copy=False)
            if self.by_weight is not None:
                self.by_weight[classes] = (part.T @ x) + self.by_weight[classes]
        if by_hidden is not None and self.by_hidden is not None:
            self.by_hidden[rows] = by_hidden

    def _panels(self, rows: int) -> list[slice]:
        """Cut the classes: into some at a time, which are widened or added together."""
        return list(panels(len(self.weight), max(self.weight.shape[1], rows)))


def _matrix(weight: Array) -> tuple[int, int]:
    if weight.ndim != 2:
        raise ValueError(f"linear_weight has shape {weight.shape}; expected two axes, (classes, features)")
    classes, features = weight.shape
    return classes, features
