"""The engine's functions for tensors, with their types. None: the engine does not take the call; it is PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, cast

from torch import Tensor

from normexp import _engine

_engine.connect_tensors(Tensor)

SOFTMAX: Final = _engine.SOFTMAX
LOG_SOFTMAX: Final = _engine.LOG_SOFTMAX
SOFTMAX_BACKWARD: Final = _engine.SOFTMAX_BACKWARD
LOG_SOFTMAX_BACKWARD: Final = _engine.LOG_SOFTMAX_BACKWARD

# As PyTorch numbers them.
NONE: Final = _engine.NONE
MEAN: Final = _engine.MEAN
SUM: Final = _engine.SUM

_Weight: TypeAlias = Tensor | None

# (SOFTMAX or LOG_SOFTMAX, logits, dim, whether to negate them)
map_rows = cast("Callable[[int, Tensor, int, bool], Tensor | None]", _engine.tensor_map)
# (SOFTMAX_BACKWARD or LOG_SOFTMAX_BACKWARD, gradient by the result, the result, dim)
map_backward = cast("Callable[[int, Tensor, Tensor, int], Tensor | None]", _engine.tensor_backward)
# (logits, a bit for each dimension to go over)
softmax_over = cast("Callable[[Tensor, int], Tensor | None]", _engine.tensor_softmax)
# (logits, a bit for each dimension to sum over, keepdim)
logsumexp_over = cast("Callable[[Tensor, int, bool], Tensor | None]", _engine.tensor_logsumexp)
# (logits, target, weight, ignore_index, label_smoothing, whether they are log-probabilities, reduction, whether there
# will be a backward): the loss, its derivative by the sum of the rows' losses, what to keep for the backward or None
loss = cast(
    "Callable[[Tensor, Tensor, _Weight, int, float, bool, int, bool], tuple[Tensor, float, Tensor | None] | None]",
    _engine.tensor_loss,
)
# (logits, target, weight, ignore_index, reduction): that derivative alone
loss_gain = cast("Callable[[Tensor, Tensor, _Weight, int, int], float | None]", _engine.tensor_gain)
# (logits, target, weight, ignore_index, label_smoothing, factor, what was kept): the gradient of the sum of the rows'
# losses, times factor
loss_gradient = cast(
    "Callable[[Tensor, Tensor, _Weight, int, float, float, Tensor | None], Tensor | None]",
    _engine.tensor_loss_gradient,
)
# (logits, target or None, dim): the fields of RowStats
row_stats = cast("Callable[[Tensor, Tensor | None, int], tuple[Tensor, ...] | None]", _engine.tensor_stats)


def bits(dims: tuple[int, ...] | list[int]) -> int:
    """Return a number with a bit for each of the dimensions."""
    return sum(1 << dim for dim in dims)
