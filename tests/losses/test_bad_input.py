"""Bad input raises the right error, says what was given and what was expected, and leaves `out` as it was."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from test_bad_input import SENTINEL, STRUCTURED, OnGpu

import normexp
from losses.refusals import FROM_LOGITS, FUNCTIONS, LOSSES, Error, Q, T, X, refused


@pytest.mark.parametrize("shape", [(), (1,), (2,), (4,), (3, 1), (1, 3), (4, 3), (3, 4), (0,)])
def test_shape_of_labels(name: str, shape: tuple[int, ...]) -> None:
    refused(name, ValueError, ("target", str(shape), "(3,)"), target=np.zeros(shape, dtype=int))


@pytest.mark.parametrize("shape", [(), (3,), (4,), (3, 1), (4, 3), (3, 5), (1, 3, 4), (3, 4, 1)])
def test_shape_of_probabilities(shape: tuple[int, ...]) -> None:
    for name in FROM_LOGITS:
        refused(name, ValueError, ("target", str(shape), "(3, 4)"), target=np.zeros(shape, dtype=np.float32))


def test_labels_of_floats_are_no_labels() -> None:
    for name in ("nll_loss", "row_stats"):
        for target in (T.astype(np.float32), T.astype(float), Q, T.astype(ml_dtypes.bfloat16)):
            refused(name, TypeError, ("target", str(target.dtype), "integers"), target=target)
    for name in FROM_LOGITS:
        refused(name, ValueError, ("target", "integers"), target=T.astype(float))


TARGETS = {
    "bool": T > 0,
    "bool matrix": X > 1,
    "complex": T.astype(complex),
    "str": np.array(["a", "b", "c"]),
    "object": T.astype(object),
    "None in a list": [0, None, 1],
    "datetime": np.array(["2024-01-01"] * 3, dtype="datetime64[D]"),
    "timedelta": np.array([1, 2, 3], dtype="timedelta64[s]"),
    "structured": STRUCTURED,
    "float8": Q.astype(ml_dtypes.float8_e4m3fn),
    "int4": T.astype(ml_dtypes.int4),
    "another device": OnGpu(),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_kind_of_target(name: str, kind: str) -> None:
    error = (TypeError, BufferError, ValueError) if kind == "another device" else TypeError
    refused(name, error, ("target",) if kind != "another device" else ("CPU",), target=TARGETS[kind])


def test_masked_arrays(name: str) -> None:
    masked = np.ma.masked_equal(T, 3)
    refused(name, TypeError, ("target", "mask"), target=masked)
    refused(name, TypeError, ("mask",), np.ma.masked_greater(X, 1))
    for loss in LOSSES:
        refused(loss, TypeError, ("weight", "mask"), weight=np.ma.ones(4))


def test_ragged_target(name: str) -> None:
    refused(name, ValueError, ("target",), target=[[0], [1, 2], [3]])


def test_target_that_is_missing(name: str) -> None:
    if name != "row_stats":
        refused(name, TypeError, ("target",), target=None)


@pytest.mark.parametrize(
    "reduction", ["average", "", "Mean", None, 1, b"mean", "batchmean", ("mean",), np.array(["mean"])]
)
def test_reduction(reduction: Any) -> None:
    for name in LOSSES:
        refused(
            name,
            (ValueError, TypeError),
            ("reduction", "'none'", "'mean'", "'sum'", repr(reduction)),
            reduction=reduction,
        )


@pytest.mark.parametrize("smoothing", [-0.1, 1.0000001, float("nan"), float("inf"), -float("inf"), 2, -5e-324])
def test_label_smoothing_value(smoothing: float) -> None:
    for name in FROM_LOGITS:
        refused(name, ValueError, ("label_smoothing", str(smoothing)), label_smoothing=smoothing)
        refused(name, ValueError, ("label_smoothing", str(smoothing)), target=Q, label_smoothing=smoothing)


@pytest.mark.parametrize("smoothing", [None, "0.1", b"0", True, 1j, [0.1], np.ones(1), {}])
def test_label_smoothing_type(smoothing: Any) -> None:
    for name in FROM_LOGITS:
        refused(name, TypeError, ("label_smoothing",), label_smoothing=smoothing)


def test_label_smoothing_that_works() -> None:
    for smoothing in (0, 1, np.float32(0.5), np.float16(0.25), np.array(0.1), np.int64(0), -0.0):
        assert np.isfinite(normexp.cross_entropy(X, T, label_smoothing=smoothing))


@pytest.mark.parametrize("shape", [(), (3,), (5,), (1,), (0,), (1, 4), (4, 1), (3, 4)])
def test_weight_shape(shape: tuple[int, ...]) -> None:
    for name in LOSSES:
        refused(name, ValueError, ("weight", str(shape), "(4,)"), weight=np.ones(shape))


@pytest.mark.parametrize(
    "weight",
    [
        np.ones(4, bool),
        np.ones(4, complex),
        ["1", "1", "1", "1"],
        np.ones(4, object),
        [None] * 4,
        "abcd",
        np.ones(4, "m8[s]"),
    ],
)
def test_weight_dtype(weight: Any) -> None:
    for name in LOSSES:
        refused(name, TypeError, ("weight", str(np.asarray(weight).dtype)), weight=weight)


@pytest.mark.parametrize("index", [None, 1.0, "1", True, np.float64(1), [1], np.array([1, 2]), np.True_])
def test_ignore_index_type(index: Any) -> None:
    for name in LOSSES:
        refused(name, TypeError, ("ignore_index",), ignore_index=index)


def test_probabilities_have_no_label_to_ignore() -> None:
    for name in FROM_LOGITS:
        for index in (0, 1, 100):
            refused(name, ValueError, ("ignore_index", str(index), "probabilities"), target=Q, ignore_index=index)


@pytest.mark.parametrize("axis", [2, -3, 100, -(2**31)])
def test_axis_out_of_range(name: str, axis: int) -> None:
    refused(name, np.exceptions.AxisError, (str(axis), "2"), axis=axis)


@pytest.mark.parametrize("axis", [None, (1,), [1], (0, 1), 1.0, "1", True, np.False_, 1j, np.array([0, 1])])
def test_axis_type(name: str, axis: Any) -> None:
    refused(name, TypeError, ("axis",), axis=axis)


@pytest.mark.parametrize("axis", [-1, 0])
def test_zero_dimensional_logits(name: str, axis: int) -> None:
    for target in (0, np.array(0), 1.0) if name in FROM_LOGITS else (0,):
        refused(name, (ValueError, np.exceptions.AxisError), ("0",), np.float32(1), target, axis=axis)


def test_no_classes(name: str) -> None:
    """No label is one of none."""
    options = {"out": None} if name == "cross_entropy_and_grad" else {}
    refused(name, (IndexError, ValueError), ("class",), np.zeros((3, 0), np.float32), [0, 0, 0], **options)


@pytest.mark.parametrize("kind", ["complex", "object", "str", "float8", "structured"])
def test_logits(name: str, kind: str) -> None:
    x: Any = {
        "complex": X.astype(complex),
        "object": X.astype(object),
        "str": X.astype(str),
        "float8": X.astype(ml_dtypes.float8_e5m2),
        "structured": STRUCTURED,
    }[kind]
    options = {"out": None} if name == "cross_entropy_and_grad" else {}
    refused(name, TypeError, ("log_probs" if name == "nll_loss" else "logits", "float32"), x, **options)


OUTS: dict[str, tuple[Any, Error, tuple[str, ...]]] = {
    "shape": (np.zeros((4, 3), np.float32), ValueError, ("(4, 3)", "(3, 4)")),
    "too short": (np.zeros((2, 4), np.float32), ValueError, ("(2, 4)", "(3, 4)")),
    "of the loss": (np.zeros(3, np.float32), ValueError, ("(3,)", "(3, 4)")),
    "dtype": (np.zeros((3, 4)), TypeError, ("float64", "float32")),
    "byte order": (np.zeros((3, 4), np.dtype("f4").newbyteorder()), TypeError, ("f4",)),
    "list": ([[0.0] * 4] * 3, TypeError, ("list",)),
    "masked": (np.ma.zeros((3, 4), np.float32), TypeError, ("mask",)),
    "itself": (np.lib.stride_tricks.as_strided(np.zeros(8, np.float32), (3, 4), (8, 4)), ValueError, ("share memory",)),
    "unaligned": (np.zeros(49, np.uint8)[1:].view(np.float32).reshape(3, 4), ValueError, ("aligned",)),
}


@pytest.mark.parametrize("kind", OUTS)
@pytest.mark.parametrize("target", [T, Q], ids=["labels", "probabilities"])
def test_out(kind: str, target: np.ndarray) -> None:
    out, error, words = OUTS[kind]
    refused("cross_entropy_and_grad", error, ("out", *words), target=target, out=out)


def test_out_read_only() -> None:
    out = np.full((3, 4), SENTINEL, np.float32)
    out.flags.writeable = False
    refused("cross_entropy_and_grad", ValueError, ("out", "read-only"), out=out)
    x = X.copy()
    x.flags.writeable = False
    refused("cross_entropy_and_grad", ValueError, ("out", "read-only"), x, out=x)


def test_out_overlaps() -> None:
    base = np.arange(24, dtype=np.float32)
    x = base[:12].reshape(3, 4)
    for out in (base[1:13].reshape(3, 4), x[::-1], x[:, ::-1], base[11:23].reshape(3, 4), base[:24:2].reshape(3, 4)):
        refused("cross_entropy_and_grad", ValueError, ("out", "overlap"), x, out=out)
    q = base[12:].reshape(3, 4)
    for out in (q, q[::-1], base[10:22].reshape(3, 4)):
        refused("cross_entropy_and_grad", ValueError, ("out", "overlap"), X, q, out=out)


def test_out_overlaps_labels_or_weights() -> None:
    memory = np.zeros(64, dtype=np.uint8)
    out = memory[:48].view(np.float32).reshape(3, 4)
    refused(
        "cross_entropy_and_grad", ValueError, ("out", "overlap", "target"), target=memory[:24].view(np.int64), out=out
    )
    weight = memory[16:48].view(np.float64)
    refused("cross_entropy_and_grad", ValueError, ("out", "overlap", "weight"), weight=weight, out=out)


def test_arguments_by_position_and_by_name(name: str) -> None:
    function = FUNCTIONS[name]
    for call in (
        lambda: function(),
        lambda: function(X, T, 1),
        lambda: function(logits=X, target=T),
        lambda: function(X, target=T),
        lambda: function(X, T, dim=1),
        lambda: function(X, T, axes=1),
    ):
        with pytest.raises(TypeError):
            call()
    if name != "row_stats":
        with pytest.raises(TypeError):
            function(X)
    for other, option in (("nll_loss", "label_smoothing"), ("cross_entropy", "out"), ("row_stats", "reduction")):
        with pytest.raises(TypeError, match=option):
            FUNCTIONS[other](X, T, **{option: None})
