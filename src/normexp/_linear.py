"""linear_cross_entropy and its gradients for NumPy arrays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple, SupportsIndex

from numpy.typing import ArrayLike

from normexp._arrays import Array
from normexp._block_loss import LogitOptions
from normexp._linear_sweep import Sweep

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
        The W above, (V, H). The products are NumPy's, in float32, or float64 if either is; half types are widened,
        some classes at a time.
    target : array_like
        Class indices, of the shape of `hidden` without its last axis; or class probabilities, (..., V).
    bias : array_like, optional
        The b above, (V).
    weight : array_like, optional
        One weight w for each class.
    ignore_index : int, default -100
        Rows with this label count for nothing, and are dropped before any work.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes; q above is as in `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        As in `cross_entropy`.
    temperature : float, default 1.0
        The T above: positive and finite.
    softcap : float, optional
        The c above, the size that logits do not exceed; None for logits as they are.
    z_loss : float, default 0.0
        The z above: the factor of the squared log-sum-exp in the loss of each row that counts.
    memory_budget : int, optional
        How many bytes blocks of logits may take. By default 36 MiB, or a sixteenth of all logits without 28 MiB if that
        is more, which keeps all memory within 64 MiB or that sixteenth. One row of logits is always held.

    Returns
    -------
    ndarray
        The loss, 0-d, or one element for each row: float32, or float64 of float64 and of integers.

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
    sweep = Sweep(hidden, linear_weight, target, bias, weight, ignore_index, label_smoothing, reduction, logits)
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
    sweep = Sweep(hidden, linear_weight, target, bias, weight, ignore_index, label_smoothing, reduction, logits)
    loss = sweep.run(memory_budget, tuple(grads))
    return LinearLossAndGrads(loss, *sweep.gradients())
