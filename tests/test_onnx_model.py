"""The models written by hand are the models that ONNX Runtime reads."""

import numpy as np
import pytest

from normexp._onnx_model import ELEMENT_TYPES, OPERATORS, _varint, model


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),  # the example in the protocol buffers documentation
        (-1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_varint(value, encoded):
    assert _varint(value) == encoded


@pytest.mark.parametrize("function", OPERATORS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_onnxruntime_computes_the_model(function, dtype, axis):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = np.random.default_rng(0).normal(scale=3, size=(4, 7)).astype(dtype)
    session = onnxruntime.InferenceSession(model(function, dtype, axis=axis), providers=["CPUExecutionProvider"])
    (got,) = session.run(["y"], {"x": x})
    lse = np.log(np.exp(x.astype(np.float64)).sum(axis, keepdims=True))
    want = {"softmax": np.exp(x - lse), "log_softmax": x - lse, "logsumexp": lse.squeeze(axis)}[function]
    assert got.dtype == x.dtype
    # 64 roundings are far more than either side makes here, and far less than any wrong model would be off.
    np.testing.assert_allclose(got, want, rtol=64 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("function", "dtype"), [("softmin", "float32"), ("softmax", "int8")])
def test_unknown_names_raise(function, dtype):
    with pytest.raises(KeyError):
        model(function, dtype)


def test_every_dtype_is_encoded():
    assert len({model("softmax", dtype) for dtype in ELEMENT_TYPES}) == len(ELEMENT_TYPES)
