"""The softmax family, from logits to loss: fast, accurate to the last place, and proved.

Every function here is a *reduce* of a row to the mergeable pair (max, sum of exp(x - max)) and a *map* over the
same row. Importing this module imports NumPy and nothing heavier.
"""

from normexp._config import get_num_threads as get_num_threads
from normexp._config import set_num_threads as set_num_threads
from normexp._config import show_config as show_config
from normexp._functional import log_softmax as log_softmax
from normexp._functional import logsumexp as logsumexp
from normexp._functional import softmax as softmax
from normexp._functional import softmin as softmin
from normexp._linear import LinearLossAndGrads as LinearLossAndGrads
from normexp._linear import linear_cross_entropy as linear_cross_entropy
from normexp._linear import linear_cross_entropy_and_grad as linear_cross_entropy_and_grad
from normexp._losses import LossAndGrad as LossAndGrad
from normexp._losses import cross_entropy as cross_entropy
from normexp._losses import cross_entropy_and_grad as cross_entropy_and_grad
from normexp._losses import nll_loss as nll_loss
from normexp._stats import RowStats as RowStats
from normexp._stats import row_stats as row_stats
from normexp._stream import LogSumExp as LogSumExp

__version__ = "0.1.0"

__all__ = [
    "LinearLossAndGrads",
    "LogSumExp",
    "LossAndGrad",
    "RowStats",
    "cross_entropy",
    "cross_entropy_and_grad",
    "get_num_threads",
    "linear_cross_entropy",
    "linear_cross_entropy_and_grad",
    "log_softmax",
    "logsumexp",
    "nll_loss",
    "row_stats",
    "set_num_threads",
    "show_config",
    "softmax",
    "softmin",
]
