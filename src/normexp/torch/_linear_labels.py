"""The labels' share of the gradient by the weights, for half types that add it up over several chunks of rows.

A row gives its hidden state to the weights of its label, whole, and a thousandth of it, or less, to those of other
classes. Added to the label's weights in bfloat16, chunk after chunk, such small parts are less than half a unit in the
last place and change nothing: with 4096 rows, 768 features and 50,257 classes that made the whole gradient 1.47 times
as far off as PyTorch's, which rounds once. So what comes to labels is put aside, and added last, in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normexp._blocks import cut


class LabelShares:
    """The derivatives by the logits at labels, one a row."""

    def __init__(self, hidden: Tensor, labels: Tensor, dtype: torch.dtype) -> None:
        self.hidden, self.labels = hidden, labels.long()
        self.values = torch.zeros(len(labels), dtype=dtype)

    def take(self, rows: slice, gradient: Tensor) -> None:
        """Take those of some rows out of the gradient by their logits, (n, V)."""
        labels = self.labels[rows]
        at = torch.arange(len(labels)), labels
        self.values[rows] = gradient[at].to(self.values.dtype)
        gradient[at] = 0

    def add_to(self, by_weight: Tensor, budget: int) -> None:
        """Add them, times hidden states, to the gradient by the weights: once a class, or once a piece of rows."""
        order = self.labels.argsort()
        bytes_of_row = 3 * by_weight.shape[1] * self.values.element_size()
        for piece in cut(0, len(order), max(1, budget // max(bytes_of_row, 1))):
            rows = order[piece]
            classes, which = torch.unique_consecutive(self.labels[rows], return_inverse=True)
            share = self.hidden[rows].to(self.values.dtype).mul_(self.values[rows].unsqueeze(1))
            by_weight[classes] = by_weight[classes].to(share.dtype).index_add_(0, which, share).to(by_weight.dtype)
