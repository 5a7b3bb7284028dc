"""NumPy arrays as PyTorch tensors, and back."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def to_tensor(x: Array) -> Any:  # noqa: ANN401 - torch is optional, its types with it
    """Copy an array into a tensor; NumPy's bfloat16 is unknown to PyTorch and goes as int16."""
    torch = importlib.import_module("torch")
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(x.copy())


def from_tensor(tensor: Any, dtype: np.dtype) -> Array:  # noqa: ANN401
    """Copy a tensor back into an array."""
    torch = importlib.import_module("torch")
    if dtype.name == "bfloat16":
        bits: Array = tensor.view(torch.int16).numpy()
        return bits.view(dtype)
    return np.asarray(tensor.numpy())
