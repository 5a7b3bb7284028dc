"""The test file that ``normexp verify --write-example`` prints."""

from __future__ import annotations

from typing import Final

EXAMPLE: Final = '''\
"""A softmax of ours, held against exact arithmetic: pytest test_softmax.py (pip install "normexp[verify]" pytest)."""

import numpy as np
import pytest

from normexp.verify import assert_conforms


def softmax(x):
    """Put your own here: NumPy arrays, PyTorch tensors or JAX arrays; rows on the last axis."""
    exps = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))  # initial: a row may have no classes
    return exps / exps.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    """A loss for each row, or their mean."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=-1))
    return log_sums - np.take_along_axis(shifted, labels[:, None], axis=-1)[:, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax(dtype):
    # The textbook's form loses about a hundred units in the last place to the rounding of x - max (500 in float64).
    assert_conforms(softmax, op="softmax", dtypes=[dtype], max_ulp=600)


@pytest.mark.xfail(reason="near 0 the textbook's form gives 0: log(1 + rest) forgets rest", strict=True)
def test_cross_entropy():
    assert_conforms(cross_entropy, op="cross_entropy", dtypes=["float32"], max_ulp=600)
'''
