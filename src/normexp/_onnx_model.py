"""Our functions as ONNX models, written by hand: ONNX Runtime runs models but needs the ``onnx`` package to build one.

A model of one node is about a hundred bytes of protocol buffers, whose wire format is two rules. A number is a
*varint*: seven bits a byte, lowest first, the top bit set on all bytes but the last. A field is a varint
``number << 3 | kind``, then its payload: a varint (kind 0), or a length and that many bytes (kind 2), which is a
string or a message again. The field numbers below are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OPERATORS: Final[Mapping[str, str]] = {
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "logsumexp": "ReduceLogSumExp",
}

# TensorProto.DataType
ELEMENT_TYPES: Final[Mapping[str, int]] = {"float32": 1, "float16": 10, "float64": 11, "bfloat16": 16}

# From operator set 13 on, Softmax normalizes one axis and not all that follow; from 18 on, ReduceLogSumExp takes its
# axes as a second input. The oldest that fits both is read by the most runtimes, and came with IR version 7.
OPERATOR_SET: Final = 13
IR_VERSION: Final = 7

_ATTRIBUTE_INT: Final = 2  # AttributeProto.AttributeType
_ATTRIBUTE_INTS: Final = 7


def model(function: str, dtype: str, *, axis: int = -1) -> bytes:
    """Return the serialized model ``y = function(x)``, for ``onnxruntime.InferenceSession``.

    Parameters
    ----------
    function : str
        One of ours: a key of `OPERATORS`.
    dtype : str
        Element type of ``x`` and ``y``: a key of `ELEMENT_TYPES`. Their shapes are left open.
    axis : int
        The axis to normalize or, for ``logsumexp``, to reduce (and drop).

    Returns
    -------
    bytes
        A ``ModelProto`` with the input ``x`` and the output ``y``.
    """
    if function == "logsumexp":
        attributes = _integers("axes", axis) + _integer("keepdims", 0)
    else:
        attributes = _integer("axis", axis)
    node = _field(1, b"x") + _field(2, b"y") + _field(4, OPERATORS[function].encode()) + attributes
    graph = _field(1, node) + _field(2, function.encode()) + _value(11, "x", dtype) + _value(12, "y", dtype)
    return _field(1, IR_VERSION) + _field(7, graph) + _field(8, _field(2, OPERATOR_SET))


def _value(number: int, name: str, dtype: str) -> bytes:
    """Give a ValueInfoProto: a name, and the type of a tensor whose shape is left open."""
    tensor = _field(1, ELEMENT_TYPES[dtype])
    return _field(number, _field(1, name.encode()) + _field(2, _field(1, tensor)))


def _integer(name: str, value: int) -> bytes:
    """Give a node's attribute that is one integer."""
    return _field(5, _field(1, name.encode()) + _field(3, value) + _field(20, _ATTRIBUTE_INT))


def _integers(name: str, value: int) -> bytes:
    """Give a node's attribute that is a list of integers, of one integer here."""
    return _field(5, _field(1, name.encode()) + _field(8, value) + _field(20, _ATTRIBUTE_INTS))


def _field(number: int, payload: int | bytes) -> bytes:
    if isinstance(payload, int):
        return _varint(number << 3 | 0) + _varint(payload)
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    rest = value & 0xFFFF_FFFF_FFFF_FFFF  # a negative int64 is written as its two's complement
    digits = bytearray()
    while rest > 0x7F:
        digits.append(rest & 0x7F | 0x80)
        rest >>= 7
    digits.append(rest)
    return bytes(digits)
