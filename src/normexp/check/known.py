"""What a value is known to be: a number, a string, true, a tensor."""

from __future__ import annotations

from normexp.check.terms import term
from normexp.check.values import (
    Bound,
    Class,
    Constant,
    Function,
    Instance,
    Library,
    Made,
    ModuleValue,
    Rest,
    Tensor,
    Tuple,
    Value,
)


def number(value: Value | None) -> float | None:
    """Give the number that a value is known to be; booleans are none."""
    if isinstance(value, Constant) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
        return float(value.value)
    return None


def integer(value: Value | None) -> int | None:
    """Give the integer that a value is known to be."""
    if isinstance(value, Constant) and isinstance(value.value, int) and not isinstance(value.value, bool):
        return value.value
    return None


def text(value: Value | None) -> str | None:
    """Give the string that a value is known to be."""
    return value.value if isinstance(value, Constant) and isinstance(value.value, str) else None


def truth(value: Value | None) -> bool | None:
    """Tell whether a value is true, if that is known."""
    match value:
        case Constant(value=constant):
            return bool(constant)
        case Tuple(items=items) if not any(isinstance(item, Rest) for item in items):
            return bool(items)
        case Function() | Class() | Bound() | Instance() | Made() | Library() | ModuleValue():
            return True
    return None


def tensor(value: Value | None) -> Tensor:
    """Give a value as a tensor: one of unknown kind if it is anything else."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Constant):
        return Tensor(term=term("constant", repr(value.value)))
    return Tensor()
