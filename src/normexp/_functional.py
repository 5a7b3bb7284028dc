"""softmax, softmin, log_softmax and logsumexp for NumPy arrays."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from normexp import _engine
from normexp._arrays import Array, Axis, as_logits, as_mask, as_temperature, check_out, empty_like, reduced_axes


def softmax(
    x: ArrayLike,
    /,
    *,
    axis: Axis = -1,
    temperature: float = 1.0,
    where: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    r"""Normalized exponentials along an axis: positive, and summing to 1.

    .. math:: \mathrm{softmax}(x)_i = \exp(x_i / T) \, / \, \sum_j \exp(x_j / T)

    Parameters
    ----------
    x : array_like
        Logits, of any shape. NumPy arrays of float16, bfloat16 (ml_dtypes), float32 or float64 and CPU arrays that
        speak DLPack are read in place, whatever their strides; integers, bools and lists are computed as float64.
    axis : int, tuple of ints or None, default -1
        The axis, or the axes taken together, that the result sums to 1 over; None for all. A 0-d array is one row.
    temperature : float, default 1.0
        T above: positive and finite. Small values sharpen, large ones flatten.
    where : array_like of bool, optional
        Elements to count; broadcasts to the shape of `x`. The others are ignored, whatever they are, and get 0.
    out : ndarray, optional
        Where to write the result: same shape and dtype. May be `x` itself, may not overlap it otherwise.

    Returns
    -------
    ndarray
        Same shape and dtype as `x` (float64 for integers), `out` if given.

    Raises
    ------
    TypeError
        If `x` is no array of real numbers of at most 64 bits, or an argument is of the wrong kind.
    numpy.exceptions.AxisError
        If `axis` is out of range.
    ValueError
        If `temperature` is not positive and finite, `where` does not broadcast to the shape of `x`, or `out` has the
        wrong shape, is read-only or overlaps `x`.

    See Also
    --------
    log_softmax : Its logarithm, exact where softmax underflows to 0.

    Notes
    -----
    The error is at most 0.51 units in the last place (ULP) in float16 and bfloat16, 1 in float32 and 2 in float64,
    for any row length and any finite input: no overflow, and underflow only where the exact value underflows. The
    result has the same bits for any number of threads, CPU level, memory layout and batch.

    A row with a NaN or +inf, or of nothing but -inf, is NaN, as in PyTorch; a row that `where` masks entirely is 0.

    References
    ----------
    .. [1] P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions",
       IMA J. Numer. Anal. 41(4), 2021. :doi:`10.1093/imanum/draa038`

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import softmax
    >>> softmax([1.0, 2.0, 3.0])
    array([0.09003057, 0.24472847, 0.66524096])
    >>> softmax(np.array([1000.0, 1001.0, 1002.0]))
    array([0.09003057, 0.24472847, 0.66524096])
    >>> softmax([[0, 0], [0, 1]], axis=0)
    array([[0.5       , 0.26894142],
           [0.5       , 0.73105858]])
    >>> softmax([1.0, 2.0, 3.0], where=[True, True, False])
    array([0.26894142, 0.73105858, 0.        ])
    """
    return _map(_engine.SOFTMAX, x, axis, False, temperature, where, out)


def softmin(
    x: ArrayLike,
    /,
    *,
    axis: Axis = -1,
    temperature: float = 1.0,
    where: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    r"""Softmax of the negated input: the smallest element gets the largest share.

    .. math:: \mathrm{softmin}(x)_i = \exp(-x_i / T) \, / \, \sum_j \exp(-x_j / T)

    Parameters
    ----------
    x : array_like
        See `softmax`.
    axis : int, tuple of ints or None, default -1
        See `softmax`.
    temperature : float, default 1.0
        T above: positive and finite.
    where : array_like of bool, optional
        Elements to count; the others get 0.
    out : ndarray, optional
        Where to write the result. May be `x` itself.

    Returns
    -------
    ndarray
        Bit for bit ``softmax(-x)``, without the negated copy.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax` does.

    Notes
    -----
    Accuracy and special values are those of `softmax`, with -inf in the place of +inf.

    Examples
    --------
    >>> from normexp import softmin
    >>> softmin([1.0, 2.0, 3.0])
    array([0.66524096, 0.24472847, 0.09003057])
    """
    return _map(_engine.SOFTMAX, x, axis, True, temperature, where, out)


def log_softmax(
    x: ArrayLike,
    /,
    *,
    axis: Axis = -1,
    temperature: float = 1.0,
    where: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    r"""Logarithm of `softmax`, without the digits that taking them one after the other would lose.

    .. math:: \mathrm{log\_softmax}(x)_i = x_i / T - \log \sum_j \exp(x_j / T)

    Parameters
    ----------
    x : array_like
        See `softmax`.
    axis : int, tuple of ints or None, default -1
        See `softmax`.
    temperature : float, default 1.0
        T above: positive and finite.
    where : array_like of bool, optional
        Elements to count; the others get -inf.
    out : ndarray, optional
        Where to write the result. May be `x` itself.

    Returns
    -------
    ndarray
        Same shape and dtype as `x` (float64 for integers), `out` if given.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax` does.

    Notes
    -----
    Errors are at most 0.51 ULP in float16 and bfloat16, 1 in float32 and 2 in float64, relative to the result also
    where that is nearly 0: a row that is sure of its first class keeps the digits of how sure. The sum is taken without
    its largest term, and log1p puts that back.

    A row with a NaN or +inf, or of nothing but -inf, is NaN, as in PyTorch; a row that `where` masks entirely is -inf.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import log_softmax
    >>> log_softmax(np.array([20.0, 0.0], dtype=np.float32))
    array([-2.0611537e-09, -2.0000000e+01], dtype=float32)
    >>> log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    return _map(_engine.LOG_SOFTMAX, x, axis, False, temperature, where, out)


def logsumexp(
    x: ArrayLike,
    /,
    *,
    axis: Axis = -1,
    keepdims: bool = False,
    where: ArrayLike | None = None,
    out: Array | None = None,
) -> Array:
    r"""Logarithm of the sum of exponentials along an axis, without overflow.

    .. math:: \mathrm{logsumexp}(x) = \log \sum_j \exp(x_j)

    Parameters
    ----------
    x : array_like
        See `softmax`.
    axis : int, tuple of ints or None, default -1
        The axis or axes to sum over; None for all.
    keepdims : bool, default False
        Keep the axes summed over, with length 1.
    where : array_like of bool, optional
        Elements to count.
    out : ndarray, optional
        Where to write the result.

    Returns
    -------
    ndarray
        The dtype of `x` (float64 for integers). 0-d if all axes are summed over.

    Raises
    ------
    TypeError, ValueError, numpy.exceptions.AxisError
        As `softmax` does.

    Notes
    -----
    The error is at most 0.51 ULP in float16 and bfloat16, 1 in float32 and 2 in float64, also where the largest
    element and the logarithm of the sum cancel, as they do for log-probabilities: such rows are summed again in more
    digits.

    A NaN in the row gives NaN; otherwise +inf gives +inf; a row of -inf, or of nothing (no elements, or none that
    `where` counts), gives -inf.

    Examples
    --------
    >>> import numpy as np
    >>> from normexp import logsumexp
    >>> logsumexp(np.array([1000.0, 1000.0]))
    array(1000.69314718)
    >>> logsumexp(np.zeros((2, 3)), axis=1, keepdims=True)
    array([[1.09861229],
           [1.09861229]])
    """
    logits = as_logits(x)
    axes = reduced_axes(axis, logits.ndim)
    mask = as_mask(where, logits.shape)
    kept_shape = tuple(1 if i in axes else n for i, n in enumerate(logits.shape))
    shape = kept_shape if keepdims else tuple(n for i, n in enumerate(logits.shape) if i not in axes)
    result = np.empty(shape, logits.dtype) if out is None else check_out(out, shape, logits, where=mask)
    if 0 in logits.shape:
        result[...] = -np.inf
    else:
        # np.expand_dims, not reshape: `out` may have strides that reshape would copy.
        whole = result if keepdims else np.expand_dims(result, axes)
        _engine.apply(_engine.LOGSUMEXP, logits, whole, mask, _bits(axes), False, 1.0)
    return result if out is None else out


def _map(
    op: int,
    x: ArrayLike,
    axis: Axis,
    negate: bool,
    temperature: float,
    where: ArrayLike | None,
    out: Array | None,
) -> Array:
    if type(temperature) is not float or temperature != 1.0:
        temperature = as_temperature(temperature)
    if where is None:
        result = _engine.quick(op, x, axis, negate, temperature, out)
        if result is not None:
            return cast(Array, result)
    logits = as_logits(x)
    axes = reduced_axes(axis, logits.ndim)
    mask = as_mask(where, logits.shape)
    target = empty_like(logits) if out is None else check_out(out, logits.shape, logits, where=mask)
    _engine.apply(op, logits, target, mask, _bits(axes), negate, temperature)
    return target if out is None else out


def _bits(axes: tuple[int, ...]) -> int:
    return sum(1 << axis for axis in axes)
