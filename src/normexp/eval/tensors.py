"""Arrays in .safetensors files."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open

from normexp._arrays import bfloat16_dtype
from normexp.eval.stored import BadInputError, Mapped, Stored

_DTYPES: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
}


def tensor_names(path: str) -> list[str]:
    """Return the names of the arrays in a .safetensors file, which is checked on the way."""
    try:
        with safe_open(path, framework="np") as file:
            return list(file.keys())
    except SafetensorError as error:
        raise BadInputError(f"{path} cannot be read as .safetensors: {error}") from None


def open_tensor(path: str, name: str) -> Stored:
    """Return an array in a .safetensors file, checked by `tensor_names`, by its name.

    It is mapped by us, for what the library maps stays in memory as far as it has been read.
    """
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(header_bytes))[name]
    return Mapped(
        path,
        f"{path}[{name}]",
        8 + header_bytes + entry["data_offsets"][0],
        tuple(entry["shape"]),
        _dtype(path, name, entry["dtype"]),
    )


def _dtype(path: str, name: str, code: str) -> np.dtype[Any]:
    if code == "BF16":
        try:
            return bfloat16_dtype()
        except TypeError:
            raise BadInputError(
                f'{path}[{name}] is bfloat16, which needs ml_dtypes: pip install "normexp[eval]"'
            ) from None
    if code not in _DTYPES:
        raise BadInputError(f"{path}[{name}] has dtype {code}; expected one of {', '.join([*_DTYPES, 'BF16'])}")
    return np.dtype(_DTYPES[code])
