"""Our functions as ONNX models of one node: ONNX Runtime runs models, and the ``onnx`` package builds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

try:
    from onnx import TensorProto, helper
except ModuleNotFoundError as error:
    # ONNX Runtime itself may well be there: say what it is that is not.
    message = f"{error}: the package onnx builds the models that ONNX Runtime runs"
    raise ModuleNotFoundError(message, name=error.name) from None

OPERATORS: Final[Mapping[str, str]] = {
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "logsumexp": "ReduceLogSumExp",
    "cross_entropy": "SoftmaxCrossEntropyLoss",
}

ELEMENT_TYPES: Final[Mapping[str, int]] = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
}

# From operator set 13 on, Softmax normalizes one axis and not all that follow; from 18 on, ReduceLogSumExp takes its
# axes as a second input. The oldest that fits both is read by the most runtimes, and came with IR version 7.
OPERATOR_SET: Final = 13
IR_VERSION: Final = 7


def model(function: str, dtype: str, *, axis: int = -1, reduction: str = "mean") -> bytes:
    """Return the serialized model ``y = function(x)``, for ``onnxruntime.InferenceSession``.

    Parameters
    ----------
    function : str
        One of ours: a key of `OPERATORS`. ``cross_entropy`` has a second input, ``target``: class indices in int64.
    dtype : str
        Element type of ``x`` and ``y``: a key of `ELEMENT_TYPES`. Shapes are left open, so that one model serves
        arrays of any number of dimensions.
    axis : int
        The axis to normalize or, for ``logsumexp``, to reduce (and drop). ``cross_entropy`` has its classes on axis 1,
        whatever is given here.
    reduction : {"mean", "sum", "none"}, default "mean"
        What ``cross_entropy`` makes of the rows' losses.

    Returns
    -------
    bytes
        A ``ModelProto`` with the input ``x`` and the output ``y``.
    """
    x, y = (helper.make_tensor_value_info(name, ELEMENT_TYPES[dtype], None) for name in "xy")
    inputs = [x]
    attributes: dict[str, Any] = {"axis": axis}
    if function == "logsumexp":
        attributes = {"axes": [axis], "keepdims": 0}
    elif function == "cross_entropy":
        inputs.append(helper.make_tensor_value_info("target", TensorProto.INT64, None))
        attributes = {"reduction": reduction}
    node = helper.make_node(OPERATORS[function], [one.name for one in inputs], ["y"], **attributes)
    graph = helper.make_graph([node], function, inputs, [y])
    operators = helper.make_opsetid("", OPERATOR_SET)
    built = helper.make_model(graph, opset_imports=[operators], ir_version=IR_VERSION)
    serialized: bytes = built.SerializeToString()
    return serialized
