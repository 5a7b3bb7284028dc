"""Arithmetic of constants."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

from normexp.check.values import Constant, Tensor, Value

_FOLDED: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_LARGEST: Final = 1e300  # numbers beyond (and strings longer) are not worked out: 9**9**9 must take no time
_LONGEST: Final = 10_000


def fold(op: ast.operator, left: object, right: object) -> Value:
    """Give ``left op right``; unknown if it fails, is no number or text, or would be huge."""
    function = _FOLDED.get(type(op))
    texts = isinstance(left, str) and isinstance(right, str) and isinstance(op, ast.Add)
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if function is None or not (texts or numbers):
        return Tensor()
    if isinstance(op, ast.Pow) and isinstance(right, int | float) and abs(right) > 400:
        return Tensor()
    try:
        value = function(left, right)
        if isinstance(value, complex) or (isinstance(value, int | float) and abs(value) > _LARGEST):
            return Tensor()
    except (ArithmeticError, ValueError):
        return Tensor()
    return Constant(value) if not isinstance(value, str) or len(value) < _LONGEST else Tensor()
