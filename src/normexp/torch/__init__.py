"""The softmax family for PyTorch tensors: the functions and modules of `torch.nn`, on normexp's CPU engine.

The functions have the signatures and semantics of `torch.nn.functional`; what the engine does not take (other devices,
sparse or complex tensors, subclasses, ...) goes to PyTorch's own operator. `enable` puts the engine behind PyTorch's
own operators, for code that is not to be changed.
"""

try:
    import torch as _torch
except ImportError:
    raise ImportError('normexp.torch needs PyTorch, 2.10 or newer: pip install "normexp[torch]"') from None
if not hasattr(_torch.Tensor, "__dlpack_c_exchange_api__"):
    raise ImportError(f"normexp.torch needs PyTorch 2.10 or newer, not {_torch.__version__}")

from normexp.guard.api import guard as guard
from normexp.torch._dispatcher import accelerated as accelerated
from normexp.torch._dispatcher import disable as disable
from normexp.torch._dispatcher import enable as enable
from normexp.torch._functional import log_softmax as log_softmax
from normexp.torch._functional import logsumexp as logsumexp
from normexp.torch._functional import softmax as softmax
from normexp.torch._functional import softmin as softmin
from normexp.torch._linear import linear_cross_entropy as linear_cross_entropy
from normexp.torch._linear_module import LinearCrossEntropyLoss as LinearCrossEntropyLoss
from normexp.torch._losses import cross_entropy as cross_entropy
from normexp.torch._losses import nll_loss as nll_loss
from normexp.torch._modules import CrossEntropyLoss as CrossEntropyLoss
from normexp.torch._modules import LogSoftmax as LogSoftmax
from normexp.torch._modules import NLLLoss as NLLLoss
from normexp.torch._modules import Softmax as Softmax
from normexp.torch._modules import Softmin as Softmin
from normexp.torch._stats import RowStats as RowStats
from normexp.torch._stats import row_stats as row_stats
from normexp.torch._transformers import patch_transformers as patch_transformers
from normexp.torch._transformers import unpatch_transformers as unpatch_transformers

__all__ = [
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "LogSoftmax",
    "NLLLoss",
    "RowStats",
    "Softmax",
    "Softmin",
    "accelerated",
    "cross_entropy",
    "disable",
    "enable",
    "guard",
    "linear_cross_entropy",
    "log_softmax",
    "logsumexp",
    "nll_loss",
    "patch_transformers",
    "row_stats",
    "softmax",
    "softmin",
    "unpatch_transformers",
]
