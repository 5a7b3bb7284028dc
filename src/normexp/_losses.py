"""nll_loss, cross_entropy and its gradient for NumPy arrays."""

from __future__ import annotations

from typing import NamedTuple, SupportsIndex

from numpy.typing import ArrayLike

from normexp._arrays import Array, as_logits, check_out, empty_like
from normexp._reduced_loss import reduced_loss
from normexp._targets import as_labels, as_target, as_weight, class_axis, rows_shape


class LossAndGrad(NamedTuple):
    """A loss and its gradient with respect to the logits.

    Parameters
    ----------
    loss : ndarray
        What `cross_entropy` returns.
    grad : ndarray
        Shape and dtype of the logits.

    Examples
    --------
    >>> from normexp import cross_entropy_and_grad
    >>> cross_entropy_and_grad([[0.0, 0.0]], [1]).grad
    array([[ 0.5, -0.5]])
    """

    loss: Array
    grad: Array


def nll_loss(
    log_probs: ArrayLike,
    target: ArrayLike,
    /,
    *,
    axis: SupportsIndex = -1,
    weight: ArrayLike | None = None,
    ignore_index: SupportsIndex = -100,
    reduction: str = "mean",
) -> Array:
    r"""Negative log-likelihood of labels, given log-probabilities: what `log_softmax` returns.

    .. math:: \ell_n = -w_{t_n} \, x_{n, t_n}

    Parameters
    ----------
    log_probs : array_like
        Log-probabilities, of any shape, read in place; see `softmax` for the dtypes.
    target : array_like of int
        Class indices, of any integer dtype: one for each row, so of the shape of `log_probs` without the class axis.
    axis : int, default -1
        The axis of the classes.
    weight : array_like, optional
        One weight w for each class; all 1 by default.
    ignore_index : int, default -100
        Rows with this label count for nothing. It may be a class or not.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides the sum by the sum of the weights of the labels that count; "none" gives each row's loss.

    Returns
    -------
    ndarray
        The dtype of `log_probs` (float64 for integers); 0-d, or one element for each row.

    Raises
    ------
    IndexError
        If a label is no class and not `ignore_index`.
    TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy` does.

    See Also
    --------
    cross_entropy : The same from logits, without the array of log-probabilities.

    Notes
    -----
    Each row's loss is rounded once; their sum is taken in two float64 words, in one order for any number of threads.
    The semantics are those of ``torch.nn.functional.nll_loss``: the mean over nothing is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import nll_loss
    >>> log_probs = np.log([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    >>> nll_loss(log_probs, [0, 2], reduction="none")
    array([0.69314718, 0.28768207])
    >>> nll_loss(log_probs, [0, 2])
    array(0.49041463)
    """
    logits = as_logits(log_probs, "log_probs")
    at = class_axis(axis, logits, "log_probs")
    labels = as_labels(target, rows_shape(logits, at), logits.shape)
    return reduced_loss(logits, labels, at, weight, ignore_index, 0.0, reduction, log_probs=True)


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    /,
    *,
    axis: SupportsIndex = -1,
    weight: ArrayLike | None = None,
    ignore_index: SupportsIndex = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Array:
    r"""Cross-entropy of logits and labels, or target probabilities: `log_softmax` and `nll_loss` in one.

    .. math:: \ell_n = \sum_c w_c \, q_{nc} \, (\mathrm{logsumexp}(x_n) - x_{nc}), \quad
              q_{nc} = (1 - \varepsilon) \, y_{nc} + \varepsilon / C

    y is 1 at the label of the row and 0 elsewhere, or the row of target probabilities.

    Parameters
    ----------
    logits : array_like
        Logits, of any shape, read in place, whatever the strides; see `softmax` for the dtypes.
    target : array_like
        Class indices, of any integer dtype: one for each row, so of the shape of `logits` without the class axis. Or
        class probabilities, floating, of the shape of `logits`; they are taken as they are, summing to 1 or not.
    axis : int, default -1
        The axis of the classes; 1 for PyTorch's channel-first arrays (N, C, d1, ...).
    weight : array_like, optional
        One weight w for each class; all 1 by default.
    ignore_index : int, default -100
        Rows with this label count for nothing, whatever their logits. It may be a class or not. Of no meaning for
        probabilities, where it must be negative.
    label_smoothing : float, default 0.0
        The share of each target that is spread evenly over all classes, epsilon above; from 0 to 1.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides the sum by the sum of the weights of the labels that count (without weights, their number); for
        probabilities, by the number of rows. "none" gives each row's loss.

    Returns
    -------
    ndarray
        The dtype of `logits` (float64 for integers); 0-d, or one element for each row.

    Raises
    ------
    IndexError
        If a label is no class and not `ignore_index`; says which.
    TypeError
        If an argument is of the wrong kind.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If shapes do not fit, `label_smoothing` is not in [0, 1], or `reduction` is none of the three.

    See Also
    --------
    cross_entropy_and_grad : Its gradient as well.
    row_stats : Entropy, rank of the target and more of each row.

    Notes
    -----
    The logits are read once, and nothing of their size is written. A row's loss has an error of at most 0.51 ULP in
    float16 and bfloat16, 1 in float32 and 2 in float64, relative to the loss, however near to 0 it is: no term of
    log(1 + rest) + (max - x) is negative. Rows are summed in two float64 words, in one order for any number of threads,
    and rounded once.

    The semantics are those of ``torch.nn.functional.cross_entropy``: the mean over nothing is NaN, its sum 0; a row
    with a NaN or +inf, or of nothing but -inf, gives NaN. One exception: a class of probability 0 contributes 0 even
    where its logit is -inf.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import cross_entropy
    >>> cross_entropy([[2.0, 1.0, 0.0], [0.0, 0.0, 5.0]], [0, 2])
    array(0.21049593)
    >>> cross_entropy(np.array([20.0, 0.0], dtype=np.float32), 0)
    array(2.0611537e-09, dtype=float32)
    >>> cross_entropy([[2.0, 1.0, 0.0]], [[0.5, 0.5, 0.0]], label_smoothing=0.1, reduction="none")
    array([0.95760596])
    """
    x = as_logits(logits, "logits")
    at = class_axis(axis, x)
    targets = as_target(target, rows_shape(x, at), x.shape)
    return reduced_loss(x, targets, at, weight, ignore_index, label_smoothing, reduction, log_probs=False)


def cross_entropy_and_grad(
    logits: ArrayLike,
    target: ArrayLike,
    /,
    *,
    axis: SupportsIndex = -1,
    weight: ArrayLike | None = None,
    ignore_index: SupportsIndex = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    out: Array | None = None,
) -> LossAndGrad:
    r"""Cross-entropy and its gradient with respect to the logits, in one go.

    .. math:: \partial \ell_n / \partial x_{nc} = \mathrm{softmax}(x_n)_c \sum_k w_k q_{nk} - w_c q_{nc}

    Parameters
    ----------
    logits : array_like
        See `cross_entropy`.
    target : array_like
        See `cross_entropy`.
    axis : int, default -1
        The axis of the classes.
    weight : array_like, optional
        One weight for each class.
    ignore_index : int, default -100
        Rows with this label have a gradient of exactly 0.
    label_smoothing : float, default 0.0
        See `cross_entropy`.
    reduction : {"mean", "sum", "none"}, default "mean"
        See `cross_entropy`. The gradient is that of the mean or sum; for "none", that of the sum.
    out : ndarray, optional
        Where to write the gradient: shape and dtype of `logits`. May be `logits` itself, not overlap them otherwise.

    Returns
    -------
    LossAndGrad
        The named tuple (loss, grad): what `cross_entropy` returns, and an array like `logits`, `out` if given.

    Raises
    ------
    IndexError, TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy` does; nothing is then written to `out`.

    Notes
    -----
    Accuracy and special values are those of `cross_entropy`. At the label the gradient is minus the sum of all other
    shares, not ``p - 1``: a row that is sure of its label keeps a gradient. Where softmax is close to target
    probabilities or smoothed labels, so that they cancel, the row is computed again in more digits.

    That ends where they agree to 2**-58 of softmax (2**-97 in float64): what is left is rounding then.

    No array of probabilities or log-probabilities is made: the logits are read twice, while still in the cache, and the
    gradient is written once.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import cross_entropy_and_grad
    >>> loss, grad = cross_entropy_and_grad(np.array([[20.0, 0.0]]), [0])
    >>> loss, grad
    (array(2.06115362e-09), array([[-2.06115362e-09,  2.06115362e-09]]))
    """
    x = as_logits(logits, "logits")
    at = class_axis(axis, x)
    targets = as_target(target, rows_shape(x, at), x.shape)
    weights = as_weight(weight, x.shape[at])
    grad = empty_like(x) if out is None else check_out(out, x.shape, x, target=targets, weight=weights)
    loss = reduced_loss(x, targets, at, weights, ignore_index, label_smoothing, reduction, log_probs=False, grad=grad)
    return LossAndGrad(loss, grad if out is None else out)
