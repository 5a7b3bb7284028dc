"""The row that is given: numbers on the command line, an array, a row of a file; and what can be wrong with it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normexp._arrays import Array, as_array, as_integer, as_logits, as_temperature, is_float

NAMES = ("float16", "bfloat16", "float32", "float64")


class BadRowError(ValueError):
    """A row, or what is asked of it, that cannot be explained; in words for the person who gave it."""


def is_value(text: str) -> bool:
    """Whether a word of the command line is one or more numbers, however written (-nan too, which is refused later)."""
    values = [_number(part) for part in _parts(text)]
    return bool(values) and None not in values


def parsed(texts: Sequence[str]) -> list[float]:
    """Read numbers, apart or with commas between them; nan is none that anybody means to type."""
    values = []
    for text in texts:
        for part in _parts(text):
            value = _number(part)
            if value is None or math.isnan(value):
                raise BadRowError(f"{part!r} is no number")
            if math.isinf(value) and "inf" not in part.lower():
                raise BadRowError(f"{part!r} is beyond the largest float64, {sys.float_info.max:.4g}")
            values.append(value)
    return values


def _parts(text: str) -> list[str]:
    return text.replace(",", " ").replace("[", " ").replace("]", " ").split()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def from_file(path: str, row: int | None) -> Array:
    """Read one row of a .npy file, without reading the others.

    Parameters
    ----------
    path : str
        The file: logits of shape (K,) or (N, K).
    row : int or None
        Which row, counting from 0, from the end if negative; None if there is only one.
    """
    from normexp.eval.npy import open_npy
    from normexp.eval.stored import BadInputError

    try:
        stored = open_npy(path)
        _check_stored(path, stored.shape, stored.dtype)
        if len(stored.shape) == 1:
            if row is not None:
                raise BadRowError(f"{path} has shape {stored.shape}: it is a single row, and takes no --row")
            return stored.rows(0, stored.shape[0])
        count = stored.shape[0]
        if row is None:
            if count > 1:
                raise BadRowError(f"{path} has {count:,} rows; say which: --row R, 0 to {count - 1}")
            row = 0
        if not -count <= row < count:
            raise BadRowError(f"--row {row} is out of range: {path} has {count:,} rows, 0 to {count - 1}")
        only: Array = stored.rows(row % count, 1)[0]
        return only
    except BadInputError as error:
        raise BadRowError(str(error)) from None
    except OSError as error:
        raise BadRowError(f"cannot read {path or repr(path)}: {error.strerror or error}") from None


def _check_stored(path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(shape) not in (1, 2):
        raise BadRowError(f"{path} has shape {shape}; expected logits of shape (K,) or (N, K)")
    if 0 in shape:
        raise BadRowError(f"{path} is empty: its shape is {shape}")
    if not is_float(dtype) and dtype.kind not in "biu":
        hint = "; .npy files do not keep bfloat16: save float32" if dtype.str[1:] == "V2" else ""
        raise BadRowError(f"{path} has dtype {dtype}; expected numbers{hint}")


def checked(
    x: ArrayLike, dtype: str | None, temperature: float, target: SupportsIndex | None
) -> tuple[NDArray[np.longdouble], str, float, int | None]:
    """Return the row in the widest format, the name of the format it shall have, T rounded to that, and the target.

    Raises
    ------
    BadRowError
        If there is nothing to explain in it.
    TypeError
        If an argument is of the wrong kind.
    """
    array = as_array(x, "x")
    if array.ndim != 1:
        raise BadRowError(f"x has shape {array.shape}; expected one row, of shape (K,)")
    if array.size == 0:
        raise BadRowError("x is empty; expected at least one logit")
    logits = as_logits(array)
    # A list is what people type: it becomes float32, as PyTorch makes of one.
    own = logits.dtype.name if hasattr(x, "dtype") and is_float(array.dtype) else "float32"
    name = own if dtype is None else dtype
    if name not in NAMES:
        raise BadRowError(f"dtype {name!r} is none of {', '.join(NAMES)}")
    if target is not None:
        place = as_integer(target, "target must be an integer, the index of a class")
        if not 0 <= place < array.size:
            raise BadRowError(f"target {place} is out of range: the {array.size:,} classes are 0 to {array.size - 1}")
        target = place
    return logits.astype(np.longdouble), name, _temperature(temperature, name), target


def _temperature(given: float, name: str) -> float:
    from normexp.explain.formats import Format

    try:
        value = as_temperature(given)
    except ValueError as error:
        raise BadRowError(str(error)) from None
    rounded = float(Format(name).nearest(np.array([value], np.longdouble))[0])
    if not sys.float_info.min <= rounded < np.inf:
        raise BadRowError(f"temperature {given:g} is {rounded:g} in {name}; it must be positive and finite")
    return rounded
