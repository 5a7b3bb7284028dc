"""The models are the functions, as ONNX Runtime computes them, and are valid by ONNX's own rules."""

import numpy as np
import pytest
from support import python

pytest.importorskip("onnx")

import onnx

from normexp._onnx_model import ELEMENT_TYPES, IR_VERSION, OPERATOR_SET, OPERATORS, model


def run(function, x, *, axis=-1, **feed):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model(function, x.dtype.name, axis=axis), providers=["CPUExecutionProvider"])
    (got,) = session.run(["y"], {"x": x, **feed})
    assert got.dtype == x.dtype
    return got


def log_sum_exp(x, axis):
    return np.log(np.exp(x.astype(np.float64)).sum(axis, keepdims=True))


def assert_close(got, want):
    # 64 roundings are far more than either side makes here, and far less than any wrong model would be off.
    np.testing.assert_allclose(got, want, rtol=64 * np.finfo(got.dtype).eps)


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_onnxruntime_computes_the_model(function, dtype, axis):
    x = np.random.default_rng(0).normal(scale=3, size=(4, 7)).astype(dtype)
    lse = log_sum_exp(x, axis)
    want = {"softmax": np.exp(x - lse), "log_softmax": x - lse, "logsumexp": lse.squeeze(axis)}[function]
    assert_close(run(function, x, axis=axis), want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3, 4)])
def test_cross_entropy_has_its_classes_on_axis_1(dtype, shape):
    random = np.random.default_rng(0)
    x = random.normal(scale=3, size=shape).astype(dtype)
    target = random.integers(0, 5, shape[:1] + shape[2:])
    losses = log_sum_exp(x, 1) - np.take_along_axis(x, np.expand_dims(target, 1), 1)
    assert_close(run("cross_entropy", x, target=target), losses.mean())


@pytest.mark.parametrize("function", OPERATORS)
@pytest.mark.parametrize("dtype", ELEMENT_TYPES)
def test_the_model_is_valid(function, dtype):
    built = onnx.load_from_string(model(function, dtype))
    assert built.ir_version == IR_VERSION
    assert [one.version for one in built.opset_import] == [OPERATOR_SET]
    assert {one.type.tensor_type.elem_type for one in (built.graph.input[0], built.graph.output[0])} == {
        ELEMENT_TYPES[dtype]
    }
    # The checker insists on shapes, which the runtime does not: give it some.
    for one in (*built.graph.input, *built.graph.output):
        one.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(built)


def test_the_ir_version_is_the_oldest_with_the_operators():
    assert onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", OPERATOR_SET)]) == IR_VERSION


@pytest.mark.parametrize(("function", "dtype"), [("softmin", "float32"), ("softmax", "int8")])
def test_unknown_names_raise(function, dtype):
    with pytest.raises(KeyError):
        model(function, dtype)


def test_without_onnx_the_error_says_what_it_is_for():
    done = python("-c", "import sys; sys.modules['onnx'] = None; import normexp._onnx_model")
    assert "ModuleNotFoundError" in done.stderr
    assert "the package onnx builds the models that ONNX Runtime runs" in done.stderr
