"""The figures, held against the textbook."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
import textbook
from safetensors.numpy import save_file

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int8, np.int32, np.uint16, np.int64]


def agrees(got, logits, labels, ignore_index=None):
    expected = textbook.figures(logits, labels, ignore_index)
    for key, value in expected.items():
        # Accuracies and counts are exact; a Brier score near 0 is a difference of the textbook's own.
        tolerance = 0 if key.startswith(("rows", "ignored", "classes", "top")) else textbook.CLOSE
        if key == "perplexity":
            tolerance *= max(1, expected["cross_entropy"])
        assert got[key] == pytest.approx(value, rel=tolerance, abs=1e-15), key


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 16, 32, 33, 100, 2049, 5000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_classes(evaluate, classes, dtype):
    rng = np.random.default_rng(classes)
    logits = (rng.standard_normal((157, classes)) * 3).astype(dtype)
    labels = np.where(rng.random(157) < 0.6, logits.argmax(1), rng.integers(classes, size=157))
    np.save("x.npy", logits)
    np.save("t.npy", labels)
    got, _ = evaluate("x.npy", "t.npy")
    agrees(got, logits, labels)
    assert sum(one["rows"] for one in got["bins"]) == 157


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_any_dtype(evaluate, dtype):
    rng = np.random.default_rng(1)
    logits = (np.abs(rng.standard_normal((83, 20))) * 4).astype(dtype)
    labels = rng.integers(20, size=83)
    save_file({"logits": logits, "labels": labels.astype(np.uint8)}, "both.safetensors")
    got, _ = evaluate("both.safetensors")
    agrees(got, logits, labels)
    assert got["logits"] == {
        "name": "both.safetensors[logits]",
        "shape": [83, 20],
        "dtype": np.dtype(dtype).name,
    }


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">f2", ">i4", "<f4"])
@pytest.mark.parametrize("label_dtype", [">i2", ">i8", "u1", "<u4", "<u8"])
def test_any_byte_order(evaluate, dtype, label_dtype):
    rng = np.random.default_rng(2)
    logits = (rng.standard_normal((41, 7)) * 4).astype(dtype)
    labels = rng.integers(7, size=41).astype(label_dtype)
    np.savez("both.npz", logits=logits, labels=labels)
    got, _ = evaluate("both.npz")
    agrees(got, logits, labels)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 33])
@pytest.mark.parametrize("classes", [3, 50])
def test_ignored_rows_are_not_looked_at(evaluate, rows, classes):
    rng = np.random.default_rng(rows)
    logits = (rng.standard_normal((rows + 9, classes)) * 2).astype(np.float32)
    labels = rng.integers(classes, size=rows + 9)
    labels[::2][:9] = -100
    logits[labels == -100] = [np.nan] * classes
    assert (labels != -100).any()
    np.savez("both.npz", logits=logits, labels=labels)
    got, printed = evaluate("both.npz", "--ignore-index", "-100")
    agrees(got, logits, labels, -100)
    assert f"{got['ignored']} more were ignored" in printed
    assert got["ignore_index"] == -100
    got, _ = evaluate("both.npz", "--ignore-index=-100")
    assert got["ignored"] > 0


def test_a_class_may_be_the_ignored_one(evaluate):
    rng = np.random.default_rng(3)
    logits, labels = rng.standard_normal((60, 4)), rng.integers(4, size=60)
    np.savez("both.npz", logits=logits, labels=labels)
    got, _ = evaluate("both.npz", "--ignore-index", 2)
    agrees(got, logits, labels, 2)


@pytest.mark.parametrize("classes", [5, 40])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ties_go_to_the_first(evaluate, classes, dtype):
    rng = np.random.default_rng(4)
    logits = rng.integers(3, size=(300, classes)).astype(dtype)
    labels = rng.integers(classes, size=300)
    np.savez("both.npz", logits=logits, labels=labels)
    got, _ = evaluate("both.npz")
    agrees(got, logits, labels)


def test_doubles_are_not_compared_as_floats(evaluate):
    logits = 1.0 + np.array([[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]] * 8) * 2.0**-50
    labels = np.array([5, 0, 4, 1, 0, 5, 1, 4] * 2)
    np.savez("both.npz", logits=logits, labels=labels)
    got, _ = evaluate("both.npz")
    assert (got["top1_accuracy"], got["top5_accuracy"]) == (0.25, 0.75)


@pytest.mark.parametrize("classes", [4, 64])
def test_impossible_classes(evaluate, classes):
    rng = np.random.default_rng(5)
    logits = (rng.standard_normal((50, classes)) * 2).astype(np.float32)
    logits[rng.random(logits.shape) < 0.3] = -np.inf
    logits[:, 0] = 0
    labels = np.zeros(50, int)
    np.savez("both.npz", logits=logits, labels=labels)
    agrees(evaluate("both.npz")[0], logits, labels)


@pytest.mark.parametrize("classes", [3, 64])
def test_an_impossible_label(evaluate, classes):
    logits = np.zeros((20, classes), np.float32)
    logits[7, 1] = -np.inf
    np.savez("both.npz", logits=logits, labels=np.ones(20, int))
    got, printed = evaluate("both.npz")
    assert "a label is impossible" in printed
    assert got["cross_entropy"] == got["perplexity"] == got["cross_entropy_at_temperature"] == "inf"
    assert got["temperature"] == "nan"
    assert got["brier_score"] == pytest.approx((19 * (1 - 1 / classes) + 1 + 1 / (classes - 1)) / 20, rel=1e-6)


@pytest.mark.parametrize("classes", [2, 40, 3000])
def test_sure_rows_keep_their_digits(evaluate, classes):
    logits = np.zeros((16, classes), np.float32)
    logits[:, 1] = 20
    np.savez("both.npz", logits=logits, labels=np.ones(16, int))
    got, _ = evaluate("both.npz")
    rest = (classes - 1) * math.exp(-20)
    assert got["cross_entropy"] == pytest.approx(math.log1p(rest), rel=textbook.CLOSE)
    assert got["mean_entropy"] == pytest.approx(math.log1p(rest) + 20 * rest / (1 + rest), rel=textbook.CLOSE)
    p = math.exp(-20) / (1 + rest)
    assert got["brier_score"] == pytest.approx((rest / (1 + rest)) ** 2 + (classes - 1) * p * p, rel=textbook.CLOSE)


def test_large_logits_and_large_offsets(evaluate):
    rng = np.random.default_rng(6)
    logits = (rng.integers(-4, 4, size=(64, 40)) + 2**20).astype(np.float32)
    logits[::2] += 2**21
    logits[5] = 3e38
    logits[5, ::3] = -3e38
    labels = rng.integers(40, size=64)
    labels[5] = 1
    np.savez("both.npz", logits=logits, labels=labels)
    agrees(evaluate("both.npz")[0], logits, labels)


def test_confidence_on_an_edge_counts_below_it(evaluate):
    """1/3 is the edge of the fifth bin and the sixth, 1 the last edge."""
    logits = np.array([[0, 0, 0], [90, 0, 0]], np.float32)
    np.savez("both.npz", logits=logits, labels=[0, 0])
    got, _ = evaluate("both.npz")
    assert {i: one["rows"] for i, one in enumerate(got["bins"]) if one["rows"]} == {4: 1, 14: 1}
    assert got["bins"][4] == {
        "above": 4 / 15,
        "up_to": 5 / 15,
        "rows": 1,
        "confidence": pytest.approx(1 / 3),
        "accuracy": 1.0,
    }
    assert got["bins"][0]["accuracy"] is None
    assert got["expected_calibration_error"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("block_bytes", [1, 1000, 4 << 20])
def test_blocks_change_no_digit_that_matters(evaluate, monkeypatch, block_bytes):
    monkeypatch.setattr("normexp.eval.inputs._BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(7)
    logits, labels = textbook.made(rng, "noise", 257, 30)
    np.savez("both.npz", logits=logits, labels=labels)
    agrees(evaluate("both.npz")[0], logits, labels)
