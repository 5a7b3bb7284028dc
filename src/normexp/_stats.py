"""row_stats: what evaluation, distillation and reinforcement learning ask of rows of logits."""

from __future__ import annotations

from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike

from normexp import _engine
from normexp._arrays import Array, as_logits
from normexp._targets import as_labels, check_labels, class_axis, rows_shape


class RowStats(NamedTuple):
    """Figures of rows of logits, one element for each row.

    Parameters
    ----------
    logsumexp, max : ndarray
        The dtype of the logits.
    argmax : ndarray of int64
        Position of the largest logit.
    entropy : ndarray
        In nats.
    log_prob : ndarray or None
        Log-probability of the target; None without one.
    rank : ndarray of int64 or None
        Rank of the target, from 0; None without one.

    Examples
    --------
    >>> from normexp import row_stats
    >>> row_stats([0.0, 0.0]).entropy
    array(0.69314718)
    """

    logsumexp: Array
    max: Array
    argmax: Array
    entropy: Array
    log_prob: Array | None
    rank: Array | None


def row_stats(logits: ArrayLike, target: ArrayLike | None = None, /, *, axis: SupportsIndex = -1) -> RowStats:
    r"""Log-sum-exp, maximum, entropy, and where the target stands, of each row, read once.

    .. math:: H = \mathrm{logsumexp}(x) - \sum_c \mathrm{softmax}(x)_c \, x_c

    Parameters
    ----------
    logits : array_like
        Logits, of any shape, read in place; see `softmax` for the dtypes.
    target : array_like of int, optional
        Class indices, of any integer dtype: one for each row, so of the shape of `logits` without the class axis.
    axis : int, default -1
        The axis of the classes.

    Returns
    -------
    RowStats
        A named tuple of arrays with one element for each row, all of the dtype of `logits` (float64 for integers) but
        `argmax` and `rank`, which are int64:

        - ``logsumexp``: as `normexp.logsumexp` gives it
        - ``max``: the largest logit
        - ``argmax``: its position, the first one of several
        - ``entropy``: of the softmax, in nats
        - ``log_prob``: of the target, as `log_softmax` gives it; or None
        - ``rank``: of the target, from 0 for the largest logit: its position in a stable descending sort, so that it is
          among the top k where ``rank < k``, and 0 exactly where it is `argmax`; or None

    Raises
    ------
    IndexError
        If a label is no class; says which.
    TypeError, ValueError, numpy.exceptions.AxisError
        As `cross_entropy` does. There must be at least one class.

    Notes
    -----
    Accuracy is that of `logsumexp`, `log_softmax` and `cross_entropy`: at most 0.51 ULP in float16 and bfloat16, 1 in
    float32 and 2 in float64, for entropies as well, however near to 0 they are.

    In a row with a NaN, `argmax` is its position, `rank` the number of classes, and all else NaN. In a row with +inf,
    or of nothing but -inf, `entropy` and `log_prob` are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import row_stats
    >>> stats = row_stats(np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 5.0]]), [1, 2])
    >>> stats.argmax, stats.rank
    (array([0, 2]), array([1, 0]))
    >>> stats.entropy
    array([0.83239558, 0.07986945])
    """
    x = as_logits(logits, "logits")
    at = class_axis(axis, x)
    if x.shape[at] == 0:
        raise ValueError(f"logits have no classes: axis {at} of shape {x.shape} is empty")
    shape = rows_shape(x, at)
    labels = None if target is None else as_labels(target, shape, x.shape)
    if labels is not None:
        check_labels(labels, x.shape[at], None, None)
    logsumexp, largest, entropy, log_prob = (np.empty(shape, x.dtype) for _ in range(4))
    argmax, rank = (np.empty(shape, np.int64) for _ in range(2))
    _engine.stats(x, labels, at, logsumexp, largest, argmax, entropy, log_prob, rank)
    if labels is None:
        return RowStats(logsumexp, largest, argmax, entropy, None, None)
    return RowStats(logsumexp, largest, argmax, entropy, log_prob, rank)
