"""NumPy arrays as PyTorch tensors, and back."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def copied(x: Array) -> Array:
    """Copy an array, and keep its strides."""
    if x.flags.c_contiguous:
        return x.copy()
    ends = [(n - 1) * step for n, step in zip(x.shape, x.strides, strict=True)]
    before, after = -sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
    memory = np.zeros(before + after + x.itemsize, np.uint8)
    made: Array = np.ndarray(x.shape, x.dtype, memory, offset=before, strides=x.strides)
    made[...] = x
    return made


def to_tensor(x: Array) -> Any:  # noqa: ANN401 - torch is optional, its types with it
    """Copy an array into a tensor with its strides, where these are not negative.

    NumPy's bfloat16 is unknown to PyTorch and goes as int16.
    """
    torch = importlib.import_module("torch")
    made = x.copy() if min(x.strides, default=0) < 0 else copied(x)
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(made.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(made)


def from_tensor(tensor: Any, dtype: np.dtype) -> Array:  # noqa: ANN401
    """Copy a tensor back into an array."""
    torch = importlib.import_module("torch")
    if dtype.name == "bfloat16":
        bits: Array = tensor.view(torch.int16).numpy()
        return bits.view(dtype)
    return np.asarray(tensor.numpy())
